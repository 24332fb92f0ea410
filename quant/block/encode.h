#pragma once
// Rounding of scaled values to codes, shared by the encoders. Values that no code can hold (the
// inverse of a subnormal scale overflows to infinity) become 0, so encoders never convert a float
// that is out of the integer's range; such a block's scale rounds to zero in half precision anyway.
#include <cstdint>

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

}  // namespace nibble::block
