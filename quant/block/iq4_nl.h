#pragma once
// IQ4_NL: 32 weights as 4-bit indices into a fixed table of unevenly spaced values, one scale.
// 4.5 bits a weight.
//
//   byte 0..1   d   half-precision scale
//        2..17  qs  byte i: weight i in bits 0-3, weight i + 16 in bits 4-7
//
// weight = d * kIQ4Values[q]
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/dtype.h"

namespace nibble::block {

static constexpr int8_t kIQ4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

struct IQ4_NL {
  static constexpr DType kType = DType::IQ4_NL;
  static constexpr const char* kName = "IQ4_NL";
  static constexpr int64_t kLength = 32;

  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(IQ4_NL) == 18);

static inline void to_float(const IQ4_NL& b, float* out) noexcept {
  const float d = half_to_float(b.d);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(kIQ4Values[b.qs[i] & 15]);
    out[i + 16] = d * static_cast<float>(kIQ4Values[b.qs[i] >> 4]);
  }
}

/// The weight of the largest magnitude becomes the least value, so its sign decides the scale's.
static inline void from_float(const float* x, IQ4_NL& b) noexcept {
  b.d = float_to_half(extreme_of(x, 32) / static_cast<float>(kIQ4Values[0]));
  const float inverse = inverse_scale(half_to_float(b.d));
  for (int i = 0; i < 16; ++i) {
    const int low = nearest_level(kIQ4Values, x[i] * inverse);
    const int high = nearest_level(kIQ4Values, x[i + 16] * inverse);
    b.qs[i] = static_cast<uint8_t>(low | high << 4);
  }
}

}  // namespace nibble::block
