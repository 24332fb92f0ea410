#pragma once
// The rows of a tensor, moved and encoded as planned, a few megabytes at a time, by all threads.
#include <cstddef>
#include <span>
#include <vector>

#include "runtime/convert/import_plan.h"
#include "runtime/model/buffer.h"
#include "runtime/threads/team.h"

namespace nibble {

class RowEncoder {
 public:
  /// n_threads 0: what suits the machine. cancel: not owned, may be nullptr.
  RowEncoder(int n_threads, const CancelToken* cancel, const ThreadSource& source = {});

  /// Hands the tensor's bytes to sink, in order. Errors: bad_file (a number that is not finite or
  /// that the type does not hold, with tensor and row), cancelled, out_of_memory.
  void run(const ImportedTensor& tensor, FunctionRef<void(std::span<const std::byte>)> sink);

 private:
  void encode(const ImportedTensor& tensor, int64_t first, int64_t n, int64_t stride);

  Team team_;
  const CancelToken* cancel_;
  Buffer<std::byte> buffer_;
  std::vector<float> floats_;  // [threads, 2, cols]
};

}  // namespace nibble
