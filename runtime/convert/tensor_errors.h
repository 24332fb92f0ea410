#pragma once
// How far the tensors of one file are from those of another, number by number.
#include <cstdint>
#include <string>
#include <vector>

#include "formats/tensor_file.h"
#include "runtime/threads/cancel.h"

namespace nibble {

struct TensorError {
  std::string name;
  uint32_t type_id = 0;  // in the second file
  /// Root of the sum of squared differences over the sum of squares of the first; 0 for the same
  /// numbers.
  double error = 0;
};

/// Of every tensor that both files have in one shape and in types that nibble decodes row by row,
/// in the second file's order. n_threads 0: what suits the machine. Errors: io (a file
/// changes meanwhile), cancelled.
std::vector<TensorError> tensor_errors(const TensorFile& file, const TensorFile& other,
                                       int n_threads, const CancelToken* cancel);

}  // namespace nibble
