#pragma once
// A model file whose matrices lie as the kernels read them (quant/packed.h), so that it is mapped
// and run without a copy; and the way back. Files are written front to back, a tensor at a time:
// besides it and its source, memory holds a few megabytes.
#include <cstdint>
#include <functional>
#include <string>

#include "formats/tensor_file.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/thread_source.h"

namespace nibble {

/// Metadata of a packed file: general.alignment of the file that was packed, 0 if it had none.
inline constexpr const char* kSourceAlignmentKey = "nibble.packed.source_alignment";

struct PackFileOptions {
  int n_threads = 0;           // 0: what suits the machine
  ThreadSource thread_source;  // where they come from
  /// Called with bytes written and bytes in all, from the calling thread; may be empty.
  std::function<void(uint64_t done, uint64_t total)> on_progress;
  const CancelToken* cancel = nullptr;  // not owned
};

struct PackFileResult {
  int64_t n_tensors = 0;
  int64_t n_changed = 0;  // packed or unpacked; the others were copied
  uint64_t bytes = 0;     // of the new file
};

/// Packs every matrix that Engine::open would pack; all else is copied, in the same order. The
/// model must be one that nibble runs, with a matrix to pack. The new file appears whole and
/// verified, or not at all. Errors: bad_argument (already packed; nothing to pack; out is the
/// input), bad_file, unsupported (the model), io, out_of_memory, cancelled.
PackFileResult pack_file(const TensorFile& in, const std::string& out,
                         const PackFileOptions& options = {});

/// Gives every packed tensor its original bytes, and the metadata what pack_file changed. The
/// result is the file that was packed, byte for byte, if that was laid out as nibble writes GGUF:
/// version 3, data in the order of the table without gaps, the end padded. Errors: bad_argument
/// (nothing is packed; out is the input), bad_file, io, out_of_memory, cancelled.
PackFileResult unpack_file(const TensorFile& in, const std::string& out,
                           const PackFileOptions& options = {});

}  // namespace nibble
