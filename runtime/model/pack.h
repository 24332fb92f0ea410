#pragma once
// Rearranges a model's matrices into the layout that the kernels read fastest (quant/packed.h), and
// gives the file's pages back on the way, so the model is never in memory twice.
#include <cstdint>
#include <functional>

#include "runtime/model/model.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/team.h"

namespace nibble {

/// Bytes that packing would take: of all matrices with a packed form. The embedding stays as it is
/// where it is not also the output head: a row at a time is read of it.
int64_t packed_bytes(const Model&) noexcept;

/// Packs every such matrix for these kernels, with all threads of the team. on_progress gets bytes
/// done and in all, from the calling thread; may be empty. Errors: out_of_memory, cancelled. The
/// model is then unusable.
void pack_weights(const TensorFile&, Model&, const KernelTable&, Team&, const CancelToken* cancel,
                  const std::function<void(uint64_t done, uint64_t total)>& on_progress);

}  // namespace nibble
