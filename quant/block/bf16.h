#pragma once
// BF16: the upper half of an IEEE binary32 number, little-endian.
//
//   byte 0..1  x
#include "quant/block/half.h"
#include "quant/dtype.h"

namespace nibble::block {

struct BF16 {
  static constexpr DType kType = DType::BF16;
  static constexpr const char* kName = "BF16";
  static constexpr int64_t kLength = 1;

  uint16_t x;
};
static_assert(sizeof(BF16) == 2);

static inline void to_float(const BF16& b, float* out) noexcept {
  out[0] = bfloat_to_float(b.x);
}

static inline void from_float(const float* x, BF16& b) noexcept {
  b.x = float_to_bfloat(x[0]);
}

}  // namespace nibble::block
