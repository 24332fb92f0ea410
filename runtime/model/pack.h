#pragma once
// Rearranges a model's matrices into the layout that the kernels read fastest (quant/packed.h), and
// gives the file's pages back on the way, so the model is never in memory twice.
#include <cstdint>
#include <functional>
#include <vector>

#include "quant/packed.h"
#include "runtime/model/model.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/team.h"

namespace nibble {

/// A matrix that is not packed yet, and the form that suits its use.
struct Packable {
  Matrix matrix;
  PackForm form;
};

/// All matrices with a packed form. The embedding stays as it is where it is not also the output
/// head: a row at a time is read of it.
std::vector<Packable> packable_matrices(const Model&);

/// Bytes that packing them would take.
int64_t packed_bytes(const Model&) noexcept;

/// Packs m, which is as in a file, with all threads of the team; out [layout.bytes], 64-byte
/// aligned. A cancelled one is left unfinished.
void pack_matrix(const Matrix& m, const PackedLayout& layout, std::byte* out, Team& team,
                 const CancelToken* cancel) noexcept;
/// The way back: out [m.rows, row_bytes], the bytes that were packed.
void unpack_matrix(const Matrix& m, std::byte* out, Team& team, const CancelToken* cancel) noexcept;

/// Packs every such matrix for these kernels, with all threads of the team. on_progress gets bytes
/// done and in all, from the calling thread; may be empty. Errors: out_of_memory, cancelled. The
/// model is then unusable.
void pack_weights(const TensorFile&, Model&, const KernelTable&, Team&, const CancelToken* cancel,
                  const std::function<void(uint64_t done, uint64_t total)>& on_progress);

}  // namespace nibble
