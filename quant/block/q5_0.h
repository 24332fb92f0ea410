#pragma once
// Q5_0: 32 weights of 5 bits around zero with one scale, 5.5 bits a weight.
//
//   byte 0..1   d   half-precision scale
//        2..5   qh  little-endian, bit i is bit 4 of weight i
//        6..21  qs  byte i: bits 0-3 of weight i in bits 0-3, of weight i + 16 in bits 4-7
//
// weight = d * (q - 16)
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/dtype.h"

namespace nibble::block {

struct Q5_0 {
  static constexpr DType kType = DType::Q5_0;
  static constexpr const char* kName = "Q5_0";
  static constexpr int64_t kLength = 32;

  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(Q5_0) == 22);

static inline void to_float(const Q5_0& b, float* out) noexcept {
  const float d = half_to_float(b.d);
  uint32_t high;
  std::memcpy(&high, b.qh, sizeof high);
  for (int i = 0; i < 16; ++i) {
    const int q0 = (b.qs[i] & 15) | static_cast<int>((high >> i & 1) << 4);
    const int q1 = (b.qs[i] >> 4) | static_cast<int>((high >> (i + 16) & 1) << 4);
    out[i] = d * static_cast<float>(q0 - 16);
    out[i + 16] = d * static_cast<float>(q1 - 16);
  }
}

/// The weight of the largest magnitude becomes code 0, so its sign decides the scale's.
static inline void from_float(const float* x, Q5_0& b) noexcept {
  const float d = extreme_of(x, 32) / -16.0f;
  const float inverse = inverse_scale(d);
  b.d = float_to_half(d);
  uint32_t high = 0;
  for (int i = 0; i < 16; ++i) {
    const uint32_t q0 = truncate_code(x[i] * inverse + 16.5f, 31);
    const uint32_t q1 = truncate_code(x[i + 16] * inverse + 16.5f, 31);
    b.qs[i] = static_cast<uint8_t>((q0 & 15) | (q1 & 15) << 4);
    high |= q0 >> 4 << i | q1 >> 4 << (i + 16);
  }
  std::memcpy(b.qh, &high, sizeof high);
}

}  // namespace nibble::block
