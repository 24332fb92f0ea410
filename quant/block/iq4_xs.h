#pragma once
// IQ4_XS: 256 weights as 4-bit indices into IQ4_NL's table, in 8 groups of 32 with 6-bit scales.
// 4.25 bits a weight.
//
//   byte 0..1    d         half-precision factor of the scales
//        2..3    scales_h  little-endian, bits 2g, 2g+1 are bits 4-5 of the scale of group g
//        4..7    scales_l  half g % 2 of byte g / 2: bits 0-3 of the scale of group g
//        8..135  qs        byte 16g + i: weight 32g + i in bits 0-3, weight 32g + 16 + i in bits
//        4-7
//
// weight = d * (scale - 32) * kIQ4Values[q]
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/block/iq4_nl.h"
#include "quant/dtype.h"

namespace nibble::block {

struct IQ4_XS {
  static constexpr DType kType = DType::IQ4_XS;
  static constexpr const char* kName = "IQ4_XS";
  static constexpr int64_t kLength = 256;

  uint16_t d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};
static_assert(sizeof(IQ4_XS) == 136);

/// Scale of group g, 0..63.
static inline int group_scale(const IQ4_XS& b, int g) noexcept {
  return (b.scales_l[g / 2] >> 4 * (g % 2) & 15) | (b.scales_h >> 2 * g & 3) << 4;
}

static inline void to_float(const IQ4_XS& b, float* out) noexcept {
  const float d = half_to_float(b.d);
  for (int g = 0; g < 8; ++g) {
    const float scale = d * static_cast<float>(group_scale(b, g) - 32);
    const uint8_t* qs = b.qs + 16 * g;
    for (int i = 0; i < 16; ++i) {
      out[32 * g + i] = scale * static_cast<float>(kIQ4Values[qs[i] & 15]);
      out[32 * g + 16 + i] = scale * static_cast<float>(kIQ4Values[qs[i] >> 4]);
    }
  }
}

static inline void put_scale(IQ4_XS& b, int g, int scale) noexcept {
  b.scales_l[g / 2] = static_cast<uint8_t>(b.scales_l[g / 2] | (scale & 15) << 4 * (g % 2));
  b.scales_h = static_cast<uint16_t>(b.scales_h | scale >> 4 << 2 * g);
}

static inline void from_float(const float* x, IQ4_XS& b) noexcept {
  float wanted[8];
  for (int g = 0; g < 8; ++g) {
    wanted[g] = extreme_of(x + 32 * g, 32) / static_cast<float>(kIQ4Values[0]);
  }
  const GroupScales<8> s = group_scales<8>(wanted, -32, 31);
  b = {};
  b.d = s.d;
  for (int g = 0; g < 8; ++g) {
    put_scale(b, g, s.scale[g] + 32);
    for (int i = 0; i < 16; ++i) {
      const int low = nearest_level(kIQ4Values, x[32 * g + i] * s.inverse[g]);
      const int high = nearest_level(kIQ4Values, x[32 * g + 16 + i] * s.inverse[g]);
      b.qs[16 * g + i] = static_cast<uint8_t>(low | high << 4);
    }
  }
}

}  // namespace nibble::block
