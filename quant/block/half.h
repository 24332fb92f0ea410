#pragma once
// Half precision (IEEE binary16) and bfloat16 <-> float, in software, exact: subnormals, infinities
// and NaN included; encoding rounds to nearest, ties to even.
//
// Every header in this folder is also included by files compiled for one instruction set. So all
// functions here are static and no template of the standard library is used: a shared inline
// function compiled with AVX2 could be the copy that the linker keeps for everyone.
#include <cstdint>
#include <cstring>

namespace nibble::block {

static inline uint32_t float_bits(float x) noexcept {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float float_from_bits(uint32_t bits) noexcept {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

static inline float half_to_float(uint16_t half) noexcept {
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  // Normal numbers only need another exponent bias; infinity and NaN need the largest exponent.
  const uint32_t rebias = magnitude >= 0x7c00u ? 224u << 23 : 112u << 23;
  const uint32_t normal = (magnitude << 13) + rebias;
  // A subnormal is a multiple of 2^-24, and as a float it is normal.
  const uint32_t subnormal = float_bits(static_cast<float>(static_cast<int>(magnitude)) * 0x1p-24f);
  return float_from_bits(sign | (magnitude < 0x0400u ? subnormal : normal));
}

static inline uint16_t float_to_half(float x) noexcept {
  const uint32_t bits = float_bits(x);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | ((magnitude >> 13) & 0x03ffu);  // a quiet NaN, upper payload kept
  } else if (magnitude >= 0x47800000u) {             // 65536 and above
    half = 0x7c00u;
  } else if (magnitude < 0x38800000u) {
    // Below the smallest normal half, 2^-14. The sum's last place is 2^-24, the unit of the
    // subnormal halves, so the addition itself rounds as we need.
    half = float_bits(float_from_bits(magnitude) + 0.5f) - 0x3f000000u;
  } else {
    // Drop 13 bits; a carry out of the mantissa raises the exponent, up to infinity, as it must.
    half = (magnitude - (112u << 23) + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

static inline float bfloat_to_float(uint16_t bfloat) noexcept {
  return float_from_bits(static_cast<uint32_t>(bfloat) << 16);
}

static inline uint16_t float_to_bfloat(float x) noexcept {
  const uint32_t bits = float_bits(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x0040u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace nibble::block
