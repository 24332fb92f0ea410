#pragma once
// F16: one IEEE binary16 number, little-endian: sign, 5 bits of exponent, 10 of fraction.
//
//   byte 0..1  x
#include "quant/block/half.h"
#include "quant/dtype.h"

namespace nibble::block {

struct F16 {
  static constexpr DType kType = DType::F16;
  static constexpr const char* kName = "F16";
  static constexpr int64_t kLength = 1;

  uint16_t x;
};
static_assert(sizeof(F16) == 2);

static inline void to_float(const F16& b, float* out) noexcept {
  out[0] = half_to_float(b.x);
}

static inline void from_float(const float* x, F16& b) noexcept {
  b.x = float_to_half(x[0]);
}

}  // namespace nibble::block
