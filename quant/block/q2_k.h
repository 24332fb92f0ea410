#pragma once
// Q2_K: 256 weights of 2 bits in 16 groups of 16; each group has a 4-bit scale and a 4-bit minimum.
// 2.625 bits a weight.
//
//   byte 0..15   scales  group g: scale in bits 0-3, minimum in bits 4-7
//       16..79   qs      weight 128h + 32k + l: bits 2k, 2k+1 of byte 32h + l   (l < 32, k < 4)
//       80..81   d       half-precision factor of the scales
//       82..83   dmin    half-precision factor of the minima
//
// weight = d * scale * q - dmin * minimum
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/dtype.h"

namespace nibble::block {

struct Q2_K {
  static constexpr DType kType = DType::Q2_K;
  static constexpr const char* kName = "Q2_K";
  static constexpr int64_t kLength = 256;

  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d;
  uint16_t dmin;
};
static_assert(sizeof(Q2_K) == 84);

static inline void to_float(const Q2_K& b, float* out) noexcept {
  const float d = half_to_float(b.d);
  const float dmin = half_to_float(b.dmin);
  for (int g = 0; g < 16; ++g) {
    const float scale = d * static_cast<float>(b.scales[g] & 15);
    const float minimum = dmin * static_cast<float>(b.scales[g] >> 4);
    const uint8_t* qs = b.qs + 32 * (g / 8) + 16 * (g % 2);
    const int shift = 2 * (g % 8 / 2);
    for (int i = 0; i < 16; ++i) {
      out[16 * g + i] = scale * static_cast<float>(qs[i] >> shift & 3) - minimum;
    }
  }
}

static inline void from_float(const float* x, Q2_K& b) noexcept {
  const GroupRanges<16> r = group_ranges<16>(x, 16, 3, 15);
  b = {};
  b.d = r.d;
  b.dmin = r.dmin;
  for (int g = 0; g < 16; ++g) {
    b.scales[g] = static_cast<uint8_t>(r.scale[g] | r.minimum[g] << 4);
    for (int i = 0; i < 16; ++i) {
      const int q = nearest_code((x[16 * g + i] + r.offset[g]) * r.inverse[g], 0, 3);
      uint8_t& byte = b.qs[32 * (g / 8) + 16 * (g % 2) + i];
      byte = static_cast<uint8_t>(byte | q << 2 * (g % 8 / 2));
    }
  }
}

}  // namespace nibble::block
