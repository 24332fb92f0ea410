#pragma once
// Q5_K: 256 weights of 5 bits in 8 groups of 32; each group has a 6-bit scale and a 6-bit minimum.
// 5.5 bits a weight.
//
//   byte 0..1     d       half-precision factor of the scales
//        2..3     dmin    half-precision factor of the minima
//        4..15    scales  see k_scale.h
//       16..47    qh      weight 32k + l: bit k of byte l is bit 4 of the code   (l < 32, k < 8)
//       48..175   qs      weight 64h + l: bits 0-3 of byte 32h + l,
//                         weight 64h + 32 + l: bits 4-7 of the same byte         (l < 32, h < 4)
//
// weight = d * scale * q - dmin * minimum
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/block/k_scale.h"
#include "quant/dtype.h"

namespace nibble::block {

struct Q5_K {
  static constexpr DType kType = DType::Q5_K;
  static constexpr const char* kName = "Q5_K";
  static constexpr int64_t kLength = 256;

  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(Q5_K) == 176);

static inline void to_float(const Q5_K& b, float* out) noexcept {
  const float d = half_to_float(b.d);
  const float dmin = half_to_float(b.dmin);
  for (int g = 0; g < 8; ++g) {
    const KScale s = k_scale(b.scales, g);
    const float scale = d * static_cast<float>(s.scale);
    const float minimum = dmin * static_cast<float>(s.minimum);
    const uint8_t* qs = b.qs + 32 * (g / 2);
    const int shift = 4 * (g % 2);
    for (int i = 0; i < 32; ++i) {
      const int q = (qs[i] >> shift & 15) | (b.qh[i] >> g & 1) << 4;
      out[32 * g + i] = scale * static_cast<float>(q) - minimum;
    }
  }
}

static inline void from_float(const float* x, Q5_K& b) noexcept {
  const GroupRanges<8> r = group_ranges<8>(x, 32, 31, 63);
  b = {};
  b.d = r.d;
  b.dmin = r.dmin;
  for (int g = 0; g < 8; ++g) {
    put_k_scale(b.scales, g, {r.scale[g], r.minimum[g]});
    for (int i = 0; i < 32; ++i) {
      const int q = nearest_code((x[32 * g + i] + r.offset[g]) * r.inverse[g], 0, 31);
      uint8_t& byte = b.qs[32 * (g / 2) + i];
      byte = static_cast<uint8_t>(byte | (q & 15) << 4 * (g % 2));
      b.qh[i] = static_cast<uint8_t>(b.qh[i] | q >> 4 << g);
    }
  }
}

}  // namespace nibble::block
