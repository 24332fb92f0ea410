#pragma once
// MXFP4: 32 weights as 4-bit floats (E2M1), one scale that is a power of two. 4.25 bits a weight.
// The type in which gpt-oss was published. Source: OCP Microscaling Formats (MX) v1.0, 5.1 to 5.4.
//
//   byte 0     e   the scale's exponent, biased by 127 (E8M0)
//        1..16 qs  byte i: weight i in bits 0-3, weight i + 16 in bits 4-7
//
// weight = 2^(e - 128) * kMXFP4Values[q], the values being twice those of E2M1
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/dtype.h"

namespace nibble::block {

static constexpr int8_t kMXFP4Values[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                            0, -1, -2, -3, -4, -6, -8, -12};

struct MXFP4 {
  static constexpr DType kType = DType::MXFP4;
  static constexpr const char* kName = "MXFP4";
  static constexpr int64_t kLength = 32;

  uint8_t e;
  uint8_t qs[16];
};
static_assert(sizeof(MXFP4) == 17);

/// 2^(e - 128) as the upper half of its float's bits, which holds all of them.
static inline uint16_t mxfp4_scale_bits(uint8_t e) noexcept {
  return static_cast<uint16_t>(e < 2 ? 0x20 << e : (e - 1) << 7);
}
/// The way back.
static inline uint8_t mxfp4_exponent(uint16_t bits) noexcept {
  return static_cast<uint8_t>(bits < 0x80 ? bits >> 6 : (bits >> 7) + 1);
}
static inline float mxfp4_scale(uint8_t e) noexcept {
  return float_from_bits(static_cast<uint32_t>(mxfp4_scale_bits(e)) << 16);
}

static inline void to_float(const MXFP4& b, float* out) noexcept {
  const float d = mxfp4_scale(b.e);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(kMXFP4Values[b.qs[i] & 15]);
    out[i + 16] = d * static_cast<float>(kMXFP4Values[b.qs[i] >> 4]);
  }
}

/// The nearest of a scale's values; at the middle of two, the smaller.
static inline int mxfp4_code(float x, float scale) noexcept {
  const float size = magnitude(x);
  int code = 0;
  for (int k = 0; k < 7; ++k) {
    const auto sum = static_cast<float>(kMXFP4Values[k] + kMXFP4Values[k + 1]);
    code += size > scale * (sum * 0.5f) ? 1 : 0;  // exact: few bits times a power of two
  }
  return x < 0.0f && code > 0 ? code + 8 : code;
}

/// The exponent of the specification: the largest weight's, less that of the largest E2M1 number.
static inline uint8_t mxfp4_plain_exponent(const float* x) noexcept {
  const auto exponent = static_cast<int>(float_bits(magnitude(extreme_of(x, 32))) >> 23);
  return static_cast<uint8_t>(exponent > 2 ? exponent - 2 : 0);
}

static inline void encode_with(const float* x, uint8_t e, MXFP4& b) noexcept {
  const float d = mxfp4_scale(e);
  b.e = e;
  for (int i = 0; i < 16; ++i) {
    b.qs[i] = static_cast<uint8_t>(mxfp4_code(x[i], d) | mxfp4_code(x[i + 16], d) << 4);
  }
}

/// What is larger than the largest value becomes it.
static inline void from_float(const float* x, MXFP4& b) noexcept {
  encode_with(x, mxfp4_plain_exponent(x), b);
}

}  // namespace nibble::block
