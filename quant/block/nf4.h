#pragma once
// NF4: 64 weights as 4-bit indices into the NormalFloat levels, one scale. 4.25 bits a weight.
// A type of nibble's own; docs/format.md is normative.
//
//   byte 0..1   d   half-precision scale: the block's largest magnitude, or what a search found
//        2..33  qs  byte 16g + i: weight 32g + i in bits 0-3, weight 32g + 16 + i in bits 4-7
//
// weight = d * kNF4Levels[q]
//
// The levels are those of QLoRA (Dettmers et al., 2023, appendix E) as the program of its authors
// rounds them to float; they are quantiles of the normal distribution between -1 and 1.
#include "quant/block/encode.h"
#include "quant/block/half.h"
#include "quant/dtype.h"

namespace nibble::block {

static constexpr float kNF4Levels[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

// The levels as kernels of int8 products have them: kNF4Levels[q] * kNF4Unit, rounded. The unit is
// the one whose rounding adds least to the error of normal weights: 0.27 % of NF4's own
// (docs/decisions/0020-nf4.md).
static constexpr int8_t kNF4Values[16] = {-124, -86, -65, -49, -35, -23, -11, 0,
                                          10,   20,  31,  42,  55,  70,  90,  124};
static constexpr float kNF4Unit = 124.125f;

struct NF4 {
  static constexpr DType kType = DType::NF4;
  static constexpr const char* kName = "NF4";
  static constexpr int64_t kLength = 64;

  uint16_t d;
  uint8_t qs[32];
};
static_assert(sizeof(NF4) == 34);

static inline void to_float(const NF4& b, float* out) noexcept {
  const float d = half_to_float(b.d);
  for (int g = 0; g < 2; ++g) {
    for (int i = 0; i < 16; ++i) {
      const uint8_t q = b.qs[16 * g + i];
      out[32 * g + i] = d * kNF4Levels[q & 15];
      out[32 * g + 16 + i] = d * kNF4Levels[q >> 4];
    }
  }
}

/// The largest magnitude becomes the scale; the codes are the nearest levels for that magnitude
/// before it is rounded to half precision, as the authors' program chooses them.
static inline void from_float(const float* x, NF4& b) noexcept {
  float largest = 0.0f;
  for (int i = 0; i < 64; ++i) {
    if (magnitude(x[i]) > largest) largest = magnitude(x[i]);
  }
  const float inverse = inverse_scale(largest);
  b.d = float_to_half(largest);
  for (int g = 0; g < 2; ++g) {
    for (int i = 0; i < 16; ++i) {
      const int low = nearest_level(kNF4Levels, x[32 * g + i] * inverse);
      const int high = nearest_level(kNF4Levels, x[32 * g + 16 + i] * inverse);
      b.qs[16 * g + i] = static_cast<uint8_t>(low | high << 4);
    }
  }
}

}  // namespace nibble::block
