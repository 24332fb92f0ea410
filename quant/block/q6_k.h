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

}  // namespace nibble::block
