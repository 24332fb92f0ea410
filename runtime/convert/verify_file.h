#pragma once
// Whether a model file's data is what was written: every number finite, and each tensor's bytes
// those of the hash that the file keeps of them. What can be wrong with the structure is found when
// the file is opened.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "formats/tensor_file.h"
#include "formats/tensor_hashes.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/thread_source.h"

namespace nibble {

struct VerifyFileOptions {
  int n_threads = 0;           // 0: what suits the machine
  ThreadSource thread_source;  // where they come from
  /// Called with bytes read and bytes in all, from the calling thread; may be empty.
  std::function<void(uint64_t done, uint64_t total)> on_progress;
  const CancelToken* cancel = nullptr;  // not owned
};

struct TensorDamage {
  std::string tensor;
  bool hash_differs = false;
  int64_t bad_row = -1;  // the first with a number that is infinite or none; -1: no such row
};

struct VerifyResult {
  int64_t n_tensors = 0;
  int64_t n_unknown = 0;  // of types that nibble does not decode: their numbers were not looked at
  uint64_t bytes = 0;     // of tensors
  TensorHashes::State hashes = TensorHashes::State::absent;
  std::vector<TensorDamage> damages;  // in the order of the file
};

/// Reads the whole file once, by all threads; its pages are given back behind.
/// Errors: bad_file (hashes of another type), io (the file changes meanwhile), out_of_memory,
/// cancelled.
VerifyResult verify_file(const TensorFile& file, const VerifyFileOptions& options = {});

}  // namespace nibble
