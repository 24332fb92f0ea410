#pragma once
// Encoding with a search: the scales (and minima) for which a row's blocks lose least, where
// quantize_row (codec.h) takes them from the largest weights alone. What is made smaller is the sum
// of importance * (x - decoded)^2 over each block. Without importances large weights count more:
// |x| + 3 * mean |x| of the weights that share a scale (Q4_0: once the mean, Q5_0: 30 times). Why
// is in docs/decisions/0073-what-a-weight-counts.md.
#include <cstdint>

#include "quant/dtype.h"

namespace nibble {

/// Encodes a row with the best scales found. x [cols], finite; importance [cols], finite and >= 0,
/// or nullptr: none is known; out: row_bytes(type, cols) bytes, at any alignment.
/// Never a larger weighted error than quantize_row, up to float rounding. For a type that has
/// nothing to search (F32, F16, BF16) the same bytes as quantize_row.
/// Preconditions: cols is a multiple of the block length, can_quantize(type).
void search_row(DType type, const float* x, const float* importance, int64_t cols,
                void* out) noexcept;

}  // namespace nibble
