#pragma once
// Q6_K: 256 weights of 6 bits in 16 groups of 16; each group has a signed 8-bit scale.
// 6.5625 bits a weight.
//
//   byte 0..127    ql      weight 128h + l: bits 0-3 of byte 64h + l,
//                          weight 128h + 64 + l: bits 4-7 of the same byte   (l < 64, h < 2)
//      128..191    qh      weight 128h + 32k + l: bits 2k, 2k+1 of byte 32h + l are bits 4-5 of the
//                          code                                              (l < 32, k < 4)
//      192..207    scales  signed, group g in byte g
//      208..209    d       half-precision factor of the scales
//
// weight = d * scale * (q - 32)
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/dtype.h"

namespace nibble::block {

struct Q6_K {
  static constexpr DType kType = DType::Q6_K;
  static constexpr const char* kName = "Q6_K";
  static constexpr int64_t kLength = 256;

  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(Q6_K) == 210);

static inline void to_float(const Q6_K& b, float* out) noexcept {
  const float d = half_to_float(b.d);
  for (int g = 0; g < 16; ++g) {
    const float scale = d * static_cast<float>(b.scales[g]);
    const uint8_t* ql = b.ql + 64 * (g / 8) + 16 * (g % 4);
    const uint8_t* qh = b.qh + 32 * (g / 8) + 16 * (g % 2);
    const int low_shift = 4 * (g % 8 / 4);
    const int high_shift = 2 * (g % 8 / 2);
    for (int i = 0; i < 16; ++i) {
      const int q = (ql[i] >> low_shift & 15) | (qh[i] >> high_shift & 3) << 4;
      out[16 * g + i] = scale * static_cast<float>(q - 32);
    }
  }
}

static inline void from_float(const float* x, Q6_K& b) noexcept {
  float wanted[16];
  for (int g = 0; g < 16; ++g) wanted[g] = extreme_of(x + 16 * g, 16) / -32.0f;
  const GroupScales<16> s = group_scales<16>(wanted, -128, 127);
  b = {};
  b.d = s.d;
  for (int g = 0; g < 16; ++g) {
    b.scales[g] = static_cast<int8_t>(s.scale[g]);
    for (int i = 0; i < 16; ++i) {
      const int q = nearest_code(x[16 * g + i] * s.inverse[g], -32, 31) + 32;
      uint8_t& low = b.ql[64 * (g / 8) + 16 * (g % 4) + i];
      uint8_t& high = b.qh[32 * (g / 8) + 16 * (g % 2) + i];
      low = static_cast<uint8_t>(low | (q & 15) << 4 * (g % 8 / 4));
      high = static_cast<uint8_t>(high | q >> 4 << 2 * (g % 8 / 2));
    }
  }
}

}  // namespace nibble::block
