#pragma once
// Rounding of scaled values to codes, shared by the encoders. Values that no code can hold (the
// inverse of a subnormal scale overflows to infinity) become 0, so encoders never convert a float
// that is out of the integer's range; such a block's scale rounds to zero in half precision anyway.
//
// Types in blocks of 256 have no encoder without a search elsewhere. The plain rule here: a group's
// scale is what its extremes ask for, the factors give the largest of the scales (and of the
// minima) its largest integer, and codes are the nearest under the scales as they are decoded.
#include <cstdint>

#include "quant/block/half.h"

namespace nibble::block {

static inline float magnitude(float x) noexcept {
  return x < 0.0f ? -x : x;
}

/// 1 / scale, and 0 for a scale of 0.
static inline float inverse_scale(float scale) noexcept {
  return scale == 0.0f ? 0.0f : 1.0f / scale;
}

/// x without its fraction, at most `largest`.
static inline uint8_t truncate_code(float x, int largest) noexcept {
  const int code = x > -1.0f && x < 256.0f ? static_cast<int>(x) : 0;
  return static_cast<uint8_t>(code < largest ? code : largest);
}

/// The nearest integer, halves away from zero.
static inline int8_t round_code(float x) noexcept {
  const float size = magnitude(x);
  if (!(size < 128.0f)) return 0;
  const int whole = static_cast<int>(size);
  const int code = whole + (size - static_cast<float>(whole) >= 0.5f ? 1 : 0);
  return static_cast<int8_t>(x < 0.0f ? -code : code);
}

/// The nearest integer of least .. most; least for what is not a number.
static inline int nearest_code(float x, int least, int most) noexcept {
  if (!(x > static_cast<float>(least))) return least;
  if (!(x < static_cast<float>(most))) return most;
  const float above = x - static_cast<float>(least) + 0.5f;
  return least + static_cast<int>(above);
}

/// Index of the nearest of 16 ascending levels; at the middle of two, the lower.
template <typename Level>
static inline int nearest_level(const Level (&levels)[16], float x) noexcept {
  int q = 0;
  for (int k = 0; k < 15; ++k) {
    const float sum = static_cast<float>(levels[k]) + static_cast<float>(levels[k + 1]);
    q += x > sum * 0.5f ? 1 : 0;
  }
  return q;
}

/// The first of x [n] whose magnitude is the largest.
static inline float extreme_of(const float* x, int n) noexcept {
  float extreme = x[0];
  for (int i = 1; i < n; ++i) {
    if (magnitude(x[i]) > magnitude(extreme)) extreme = x[i];
  }
  return extreme;
}

/// Scales of groups around zero as integers of `least` and up, times a factor of half precision.
template <int kGroups>
struct GroupScales {
  uint16_t d;
  int scale[kGroups];      // least .. most
  float inverse[kGroups];  // of the scale as it is decoded; 0 for a scale of 0
};

/// of [kGroups]: the scales wanted. The largest becomes `least`, whose sign decides the factor's.
template <int kGroups>
static inline GroupScales<kGroups> group_scales(const float* of, int least, int most) noexcept {
  GroupScales<kGroups> r;
  const float d = extreme_of(of, kGroups) / static_cast<float>(least);
  const float inverse = inverse_scale(d);
  r.d = float_to_half(d);
  for (int g = 0; g < kGroups; ++g) {
    r.scale[g] = nearest_code(of[g] * inverse, least, most);
    r.inverse[g] = inverse_scale(half_to_float(r.d) * static_cast<float>(r.scale[g]));
  }
  return r;
}

/// Scales and minima of groups as integers, times factors of half precision.
template <int kGroups>
struct GroupRanges {
  uint16_t d;
  uint16_t dmin;
  int scale[kGroups];
  int minimum[kGroups];
  float inverse[kGroups];  // of the scale as it is decoded; 0 for a scale of 0
  float offset[kGroups];   // the minimum as it is decoded
};

/// Of x [kGroups][length]: codes 0 .. codes from the least weight, or zero, to the largest.
/// Integers up to `most`.
template <int kGroups>
static inline GroupRanges<kGroups> group_ranges(const float* x, int length, int codes,
                                                int most) noexcept {
  GroupRanges<kGroups> r;
  float scale[kGroups];
  float minimum[kGroups];
  float largest_scale = 0.0f;
  float largest_minimum = 0.0f;
  for (int g = 0; g < kGroups; ++g) {
    float low = 0.0f;
    float high = x[g * length];
    for (int i = 0; i < length; ++i) {
      const float v = x[g * length + i];
      if (v < low) low = v;
      if (v > high) high = v;
    }
    // Halved first: the range of two huge numbers is no float.
    scale[g] = (high * 0.5f - low * 0.5f) / static_cast<float>(codes) * 2.0f;
    minimum[g] = -low;
    if (scale[g] > largest_scale) largest_scale = scale[g];
    if (minimum[g] > largest_minimum) largest_minimum = minimum[g];
  }
  r.d = float_to_half(largest_scale / static_cast<float>(most));
  r.dmin = float_to_half(largest_minimum / static_cast<float>(most));
  const float inverse = inverse_scale(largest_scale / static_cast<float>(most));
  const float inverse_min = inverse_scale(largest_minimum / static_cast<float>(most));
  for (int g = 0; g < kGroups; ++g) {
    r.scale[g] = nearest_code(scale[g] * inverse, 0, most);
    r.minimum[g] = nearest_code(minimum[g] * inverse_min, 0, most);
    r.inverse[g] = inverse_scale(half_to_float(r.d) * static_cast<float>(r.scale[g]));
    r.offset[g] = half_to_float(r.dmin) * static_cast<float>(r.minimum[g]);
  }
  return r;
}

}  // namespace nibble::block
