#pragma once
// Encoding with a search: the scales (and minima) for which a row's blocks lose least, where
// quantize_row (codec.h) takes them from the largest weights alone. What is made smaller is the sum
// of importance * (|x| + mean |x| of the group) * (x - decoded)^2 over each block; a group is the
// weights that share a scale. Why large weights count more is in
// docs/decisions/0021-encoder-search.md.
#include <cstdint>

#include "quant/dtype.h"

namespace nibble {

/// Encodes a row with the best scales found. x [cols], finite; importance [cols], finite and >= 0,
/// or nullptr: every weight counts the same; out: row_bytes(type, cols) bytes, at any alignment.
/// Never a larger weighted error than quantize_row, up to float rounding. For a type that has
/// nothing to search (F32, F16, BF16) the same bytes as quantize_row.
/// Preconditions: cols is a multiple of the block length, can_quantize(type).
void search_row(DType type, const float* x, const float* importance, int64_t cols,
                void* out) noexcept;

}  // namespace nibble
