#pragma once
// Rows of numbers <-> rows of blocks, for every type of AllTypes. One row at a time, no allocation,
// no threads; the tables are generated from the list. Decoding is exact: the float operations that
// ggml defines, in its order, whatever the instruction set.
#include <cstdint>

#include "quant/dtype.h"

namespace nibble {

/// Decodes a row of `cols` elements. row: row_bytes(type, cols) bytes, at any alignment;
/// out [cols]. Precondition: cols is a multiple of the type's block length.
/// A type that nibble does not know (find_dtype gives nullptr) leaves out untouched.
void dequantize_row(DType type, const void* row, int64_t cols, float* out) noexcept;

/// Can quantize_row write this type?
bool can_quantize(DType type) noexcept;

/// Encodes a row by rounding to nearest, without any search: the bytes that ggml's reference
/// encoders and the Python package gguf write. x [cols], finite; out: row_bytes(type, cols) bytes,
/// at any alignment. A magnitude beyond half precision's largest scale becomes an infinite scale.
/// Preconditions: cols is a multiple of the block length, can_quantize(type).
void quantize_row(DType type, const float* x, int64_t cols, void* out) noexcept;

}  // namespace nibble
