#pragma once
// Q8_0: 32 weights of 8 bits with one scale, 8.5 bits a weight.
//
//   byte 0..1   d   half-precision scale
//        2..33  qs  signed, weight i in byte i
//
// weight = d * q
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/dtype.h"

namespace nibble::block {

struct Q8_0 {
  static constexpr DType kType = DType::Q8_0;
  static constexpr const char* kName = "Q8_0";
  static constexpr int64_t kLength = 32;

  uint16_t d;
  int8_t qs[32];
};
static_assert(sizeof(Q8_0) == 34);

static inline void to_float(const Q8_0& b, float* out) noexcept {
  const float d = half_to_float(b.d);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(b.qs[i]);
}

static inline void from_float(const float* x, Q8_0& b) noexcept {
  float largest = 0.0f;
  for (int i = 0; i < 32; ++i) {
    if (magnitude(x[i]) > largest) largest = magnitude(x[i]);
  }
  const float d = largest / 127.0f;
  const float inverse = inverse_scale(d);
  b.d = float_to_half(d);
  for (int i = 0; i < 32; ++i) b.qs[i] = round_code(x[i] * inverse);
}

}  // namespace nibble::block
