// C doors to the codec, for quant_check.py. Rows are contiguous.
#include "quant/codec.h"

extern "C" {

void shim_dequantize(uint32_t type, const uint8_t* rows, int64_t count, int64_t cols, float* out) {
  const nibble::DType dtype{type};
  for (int64_t r = 0; r < count; ++r) {
    nibble::dequantize_row(dtype, rows + r * nibble::row_bytes(dtype, cols), cols, out + r * cols);
  }
}

void shim_quantize(uint32_t type, const float* rows, int64_t count, int64_t cols, uint8_t* out) {
  const nibble::DType dtype{type};
  for (int64_t r = 0; r < count; ++r) {
    nibble::quantize_row(dtype, rows + r * cols, cols, out + r * nibble::row_bytes(dtype, cols));
  }
}

int shim_can_quantize(uint32_t type) {
  return nibble::can_quantize(nibble::DType{type}) ? 1 : 0;
}

}  // extern "C"
