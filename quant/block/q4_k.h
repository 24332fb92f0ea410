#pragma once
// Q4_K: 256 weights of 4 bits in 8 groups of 32; each group has a 6-bit scale and a 6-bit minimum.
// 4.5 bits a weight.
//
//   byte 0..1     d       half-precision factor of the scales
//        2..3     dmin    half-precision factor of the minima
//        4..15    scales  see k_scale.h
//       16..143   qs      weight 64h + l: bits 0-3 of byte 32h + l,
//                         weight 64h + 32 + l: bits 4-7 of the same byte   (l < 32, h < 4)
//
// weight = d * scale * q - dmin * minimum
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/block/k_scale.h"
#include "quant/dtype.h"

namespace nibble::block {

struct Q4_K {
  static constexpr DType kType = DType::Q4_K;
  static constexpr const char* kName = "Q4_K";
  static constexpr int64_t kLength = 256;

  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};
static_assert(sizeof(Q4_K) == 144);

static inline void to_float(const Q4_K& b, float* out) noexcept {
  const float d = half_to_float(b.d);
  const float dmin = half_to_float(b.dmin);
  for (int g = 0; g < 8; ++g) {
    const KScale s = k_scale(b.scales, g);
    const float scale = d * static_cast<float>(s.scale);
    const float minimum = dmin * static_cast<float>(s.minimum);
    const uint8_t* qs = b.qs + 32 * (g / 2);
    const int shift = 4 * (g % 2);
    for (int i = 0; i < 32; ++i) {
      out[32 * g + i] = scale * static_cast<float>(qs[i] >> shift & 15) - minimum;
    }
  }
}

static inline void from_float(const float* x, Q4_K& b) noexcept {
  const GroupRanges<8> r = group_ranges<8>(x, 32, 15, 63);
  b = {};
  b.d = r.d;
  b.dmin = r.dmin;
  for (int g = 0; g < 8; ++g) {
    put_k_scale(b.scales, g, {r.scale[g], r.minimum[g]});
    for (int i = 0; i < 32; ++i) {
      const int q = nearest_code((x[32 * g + i] + r.offset[g]) * r.inverse[g], 0, 15);
      uint8_t& byte = b.qs[32 * (g / 2) + i];
      byte = static_cast<uint8_t>(byte | q << 4 * (g % 2));
    }
  }
}

}  // namespace nibble::block
