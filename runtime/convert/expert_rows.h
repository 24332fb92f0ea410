#pragma once
// The experts of a layer that a checkpoint has in one tensor (gpt-oss): inputs as rows, gates and
// ups in turn.
#include "runtime/convert/weight_rows.h"

namespace nibble {

/// A tensor of floats [experts, cols, rows] as matrices of rows, one after the other: [experts,
/// rows, cols]. The file must outlive it. Errors: unsupported (another type or shape).
WeightRows expert_rows(const SafetensorsFile& file, const SafeTensor& tensor);

/// Every second row of each expert, from `first` (0 or 1) on: [experts, rows / 2, cols]; of
/// vectors [experts, cols] every second element. Error: bad_file (an odd number of them).
WeightRows every_second(WeightRows rows, int64_t first);

}  // namespace nibble
