#pragma once
// Q3_K: 256 weights of 3 bits in 16 groups of 16; each group has a 6-bit scale. 3.4375 bits a
// weight.
//
//   byte 0..31    hmask   weight 32k + l: bit k of byte l; it is bit 2 of the code  (l < 32, k < 8)
//       32..95    qs      weight 128h + 32k + l: bits 2k, 2k+1 of byte 32h + l      (l < 32, k < 4)
//       96..107   scales  group g: bits 0-3 are half g / 8 of byte g % 8,
//                                  bits 4-5 are bits 2(g / 4), 2(g / 4) + 1 of byte 8 + g % 4
//      108..109   d       half-precision factor of the scales
//
// weight = d * (scale - 32) * (q - 4)
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/dtype.h"

namespace nibble::block {

struct Q3_K {
  static constexpr DType kType = DType::Q3_K;
  static constexpr const char* kName = "Q3_K";
  static constexpr int64_t kLength = 256;

  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};
static_assert(sizeof(Q3_K) == 110);

/// Scale of group g, 0..63.
static inline int group_scale(const Q3_K& b, int g) noexcept {
  const int low = b.scales[g % 8] >> 4 * (g / 8) & 15;
  const int high = b.scales[8 + g % 4] >> 2 * (g / 4) & 3;
  return low | high << 4;
}

static inline void to_float(const Q3_K& b, float* out) noexcept {
  const float d = half_to_float(b.d);
  for (int g = 0; g < 16; ++g) {
    const float scale = d * static_cast<float>(group_scale(b, g) - 32);
    const uint8_t* qs = b.qs + 32 * (g / 8) + 16 * (g % 2);
    const uint8_t* hmask = b.hmask + 16 * (g % 2);
    const int shift = 2 * (g % 8 / 2);
    for (int i = 0; i < 16; ++i) {
      const int q = (qs[i] >> shift & 3) | (hmask[i] >> (g / 2) & 1) << 2;
      out[16 * g + i] = scale * static_cast<float>(q - 4);
    }
  }
}

static inline void put_scale(Q3_K& b, int g, int scale) noexcept {
  uint8_t& low = b.scales[g % 8];
  uint8_t& high = b.scales[8 + g % 4];
  low = static_cast<uint8_t>(low | (scale & 15) << 4 * (g / 8));
  high = static_cast<uint8_t>(high | scale >> 4 << 2 * (g / 4));
}

static inline void from_float(const float* x, Q3_K& b) noexcept {
  float wanted[16];
  for (int g = 0; g < 16; ++g) wanted[g] = extreme_of(x + 16 * g, 16) / -4.0f;
  const GroupScales<16> s = group_scales<16>(wanted, -32, 31);
  b = {};
  b.d = s.d;
  for (int g = 0; g < 16; ++g) {
    put_scale(b, g, s.scale[g] + 32);
    for (int i = 0; i < 16; ++i) {
      const int q = nearest_code(x[16 * g + i] * s.inverse[g], -4, 3) + 4;
      uint8_t& low = b.qs[32 * (g / 8) + 16 * (g % 2) + i];
      uint8_t& high = b.hmask[16 * (g % 2) + i];
      low = static_cast<uint8_t>(low | (q & 3) << 2 * (g % 8 / 2));
      high = static_cast<uint8_t>(high | q >> 2 << g / 2);
    }
  }
}

}  // namespace nibble::block
