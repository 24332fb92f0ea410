#pragma once
// A model file in several, for where files may only be so large, and one file of them again. What
// is in the parts and what they are called: formats/gguf_split.h.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "formats/tensor_file.h"
#include "runtime/threads/cancel.h"

namespace nibble {

struct SplitFileOptions {
  /// Of the tensors in a part; a larger tensor is a part of its own.
  uint64_t max_bytes = uint64_t{2} << 30;
  int64_t max_tensors = 0;  // 0: as many as fit
  /// Called with bytes written and bytes in all, from the calling thread; may be empty.
  std::function<void(uint64_t done, uint64_t total)> on_progress;
  const CancelToken* cancel = nullptr;  // not owned
};

struct SplitFileResult {
  std::vector<std::string> files;
  int64_t n_tensors = 0;
  uint64_t bytes = 0;  // of all files
};

/// Writes PREFIX-00001-of-0000N.gguf and so on; none of them may be there, so that parts of two
/// models are never mixed. Each appears whole and verified; when one cannot be written, those
/// before it are removed. Errors: bad_argument (a part is there already; more than kMaxShards
/// parts), io, out_of_memory, cancelled.
SplitFileResult split_file(const TensorFile& in, const std::string& prefix,
                           const SplitFileOptions& options = {});

/// One file of a split model, opened as one. What split_file made of a file gives that file again,
/// byte for byte, if it was laid out as nibble writes GGUF. max_bytes and max_tensors are ignored.
/// Errors: bad_argument (not a split model; out is a part), io, out_of_memory, cancelled.
SplitFileResult merge_files(const TensorFile& in, const std::string& out,
                            const SplitFileOptions& options = {});

}  // namespace nibble
