#pragma once
// The 8 pairs of 6-bit scale and 6-bit minimum that Q4_K and Q5_K pack into 12 bytes.
//
//   byte g      (g < 4)  bits 0-5: scale of group g;    bits 6-7: bits 4-5 of the scale of group g
//   + 4 byte 4 + g  (g < 4)  bits 0-5: minimum of group g;  bits 6-7: bits 4-5 of the minimum of g
//   + 4 byte 8 + g  (g < 4)  bits 0-3 of the scale, bits 4-7: bits 0-3 of the minimum of group g +
//   4
#include <cstdint>

namespace nibble::block {

struct KScale {
  int scale;    // 0..63
  int minimum;  // 0..63
};

/// Pair of group g out of packed [12].
static inline KScale k_scale(const uint8_t* packed, int g) noexcept {
  if (g < 4) return {packed[g] & 63, packed[4 + g] & 63};
  return {(packed[4 + g] & 15) | packed[g - 4] >> 6 << 4, packed[4 + g] >> 4 | packed[g] >> 6 << 4};
}

/// Into packed [12], which was zero there.
static inline void put_k_scale(uint8_t* packed, int g, KScale s) noexcept {
  if (g < 4) {
    packed[g] = static_cast<uint8_t>(packed[g] | s.scale);
    packed[4 + g] = static_cast<uint8_t>(packed[4 + g] | s.minimum);
  } else {
    packed[4 + g] = static_cast<uint8_t>((s.scale & 15) | (s.minimum & 15) << 4);
    packed[g - 4] = static_cast<uint8_t>(packed[g - 4] | s.scale >> 4 << 6);
    packed[g] = static_cast<uint8_t>(packed[g] | s.minimum >> 4 << 6);
  }
}

}  // namespace nibble::block
