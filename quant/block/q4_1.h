#pragma once
// Q4_1: 32 weights of 4 bits between a minimum and a maximum, 5 bits a weight.
//
//   byte 0..1   d   half-precision step
//        2..3   m   half-precision minimum
//        4..19  qs  byte i: weight i in bits 0-3, weight i + 16 in bits 4-7
//
// weight = d * q + m
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/dtype.h"

namespace nibble::block {

struct Q4_1 {
  static constexpr DType kType = DType::Q4_1;
  static constexpr const char* kName = "Q4_1";
  static constexpr int64_t kLength = 32;

  uint16_t d;
  uint16_t m;
  uint8_t qs[16];
};
static_assert(sizeof(Q4_1) == 20);

static inline void to_float(const Q4_1& b, float* out) noexcept {
  const float d = half_to_float(b.d);
  const float m = half_to_float(b.m);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(b.qs[i] & 15) + m;
    out[i + 16] = d * static_cast<float>(b.qs[i] >> 4) + m;
  }
}

static inline void from_float(const float* x, Q4_1& b) noexcept {
  float least = x[0];
  float most = x[0];
  for (int i = 1; i < 32; ++i) {
    if (x[i] < least) least = x[i];
    if (x[i] > most) most = x[i];
  }
  const float d = (most - least) / 15.0f;
  const float inverse = inverse_scale(d);
  b.d = float_to_half(d);
  b.m = float_to_half(least);
  for (int i = 0; i < 16; ++i) {
    const int low = truncate_code((x[i] - least) * inverse + 0.5f, 15);
    const int high = truncate_code((x[i + 16] - least) * inverse + 0.5f, 15);
    b.qs[i] = static_cast<uint8_t>(low | high << 4);
  }
}

}  // namespace nibble::block
