#pragma once
// Q5_1: 32 weights of 5 bits between a minimum and a maximum, 6 bits a weight.
//
//   byte 0..1   d   half-precision step
//        2..3   m   half-precision minimum
//        4..7   qh  little-endian, bit i is bit 4 of weight i
//        8..23  qs  byte i: bits 0-3 of weight i in bits 0-3, of weight i + 16 in bits 4-7
//
// weight = d * q + m
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/dtype.h"

namespace nibble::block {

struct Q5_1 {
  static constexpr DType kType = DType::Q5_1;
  static constexpr const char* kName = "Q5_1";
  static constexpr int64_t kLength = 32;

  uint16_t d;
  uint16_t m;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(Q5_1) == 24);

static inline void to_float(const Q5_1& b, float* out) noexcept {
  const float d = half_to_float(b.d);
  const float m = half_to_float(b.m);
  uint32_t high;
  std::memcpy(&high, b.qh, sizeof high);
  for (int i = 0; i < 16; ++i) {
    const int q0 = (b.qs[i] & 15) | static_cast<int>((high >> i & 1) << 4);
    const int q1 = (b.qs[i] >> 4) | static_cast<int>((high >> (i + 16) & 1) << 4);
    out[i] = d * static_cast<float>(q0) + m;
    out[i + 16] = d * static_cast<float>(q1) + m;
  }
}

static inline void from_float(const float* x, Q5_1& b) noexcept {
  float least = x[0];
  float most = x[0];
  for (int i = 1; i < 32; ++i) {
    if (x[i] < least) least = x[i];
    if (x[i] > most) most = x[i];
  }
  const float d = (most - least) / 31.0f;
  const float inverse = inverse_scale(d);
  b.d = float_to_half(d);
  b.m = float_to_half(least);
  uint32_t high = 0;
  for (int i = 0; i < 16; ++i) {
    const uint32_t q0 = truncate_code((x[i] - least) * inverse + 0.5f, 31);
    const uint32_t q1 = truncate_code((x[i + 16] - least) * inverse + 0.5f, 31);
    b.qs[i] = static_cast<uint8_t>((q0 & 15) | (q1 & 15) << 4);
    high |= q0 >> 4 << i | q1 >> 4 << (i + 16);
  }
  std::memcpy(b.qh, &high, sizeof high);
}

}  // namespace nibble::block
