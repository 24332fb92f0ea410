#pragma once
// Q4_0: 32 weights of 4 bits around zero with one scale, 4.5 bits a weight.
//
//   byte 0..1   d   half-precision scale
//        2..17  qs  byte i: weight i in bits 0-3, weight i + 16 in bits 4-7
//
// weight = d * (q - 8)
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/dtype.h"

namespace nibble::block {

struct Q4_0 {
  static constexpr DType kType = DType::Q4_0;
  static constexpr const char* kName = "Q4_0";
  static constexpr int64_t kLength = 32;

  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(Q4_0) == 18);

static inline void to_float(const Q4_0& b, float* out) noexcept {
  const float d = half_to_float(b.d);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((b.qs[i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((b.qs[i] >> 4) - 8);
  }
}

/// The weight of the largest magnitude becomes code 0, so its sign decides the scale's.
static inline void from_float(const float* x, Q4_0& b) noexcept {
  const float d = extreme_of(x, 32) / -8.0f;
  const float inverse = inverse_scale(d);
  b.d = float_to_half(d);
  for (int i = 0; i < 16; ++i) {
    const int low = truncate_code(x[i] * inverse + 8.5f, 15);
    const int high = truncate_code(x[i + 16] * inverse + 8.5f, 15);
    b.qs[i] = static_cast<uint8_t>(low | high << 4);
  }
}

}  // namespace nibble::block
