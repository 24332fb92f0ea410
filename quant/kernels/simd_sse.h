#pragma once
// The primitives of SSSE3 and SSE4.1 on one 16-byte register; halves.inl makes the vectors of 8
// from two of them. simd_scalar.h says what each does. There is no fused product and no half
// precision: results are those of the plain C++ kernels, to the bit.
#include <smmintrin.h>

#include <cstdint>
#include <cstring>

#include "quant/block/half.h"

namespace nibble {
namespace {
namespace simd {

using f4 = __m128;   // 4 floats
using i4 = __m128i;  // 16 bytes: of int8, int16 or int32 as the function says

// 16 registers of 4 floats: few tokens or heads can share a load.
inline constexpr int kTile = 1;

// ---- floats ----

[[gnu::always_inline]] inline f4 load4(const float* p) {
  return _mm_loadu_ps(p);
}
[[gnu::always_inline]] inline void store4(float* p, f4 v) {
  _mm_storeu_ps(p, v);
}
[[gnu::always_inline]] inline f4 broadcast4(float x) {
  return _mm_set1_ps(x);
}
[[gnu::always_inline]] inline f4 fma(f4 a, f4 b, f4 c) {
  return _mm_add_ps(_mm_mul_ps(a, b), c);
}
[[gnu::always_inline]] inline f4 max(f4 a, f4 b) {
  return _mm_max_ps(a, b);
}
[[gnu::always_inline]] inline f4 min(f4 a, f4 b) {
  return _mm_min_ps(a, b);
}
[[gnu::always_inline]] inline f4 if_less(f4 a, f4 b, f4 yes, f4 no) {
  return _mm_blendv_ps(no, yes, _mm_cmplt_ps(a, b));
}
[[gnu::always_inline]] inline f4 to_float(i4 v) {
  return _mm_cvtepi32_ps(v);
}
[[gnu::always_inline]] inline i4 as_int(f4 v) {
  return _mm_castps_si128(v);
}
[[gnu::always_inline]] inline f4 as_float(i4 v) {
  return _mm_castsi128_ps(v);
}
// a0 + a1, a2 + a3, b0 + b1, b2 + b3
[[gnu::always_inline]] inline f4 add_neighbours(f4 a, f4 b) {
  return _mm_hadd_ps(a, b);
}

// As block::half_to_float: subnormal halves go through integers, so no subnormal float is met.
[[gnu::always_inline]] inline f4 load_f16x4(const void* p) {
  const i4 half = _mm_cvtepu16_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
  const i4 magnitude = _mm_and_si128(half, _mm_set1_epi32(0x7fff));
  const i4 rebias = _mm_set1_epi32(112 << 23);
  const i4 special = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7bff));  // infinity and NaN
  const i4 normal = _mm_add_epi32(_mm_add_epi32(_mm_slli_epi32(magnitude, 13), rebias),
                                  _mm_and_si128(special, rebias));
  const i4 subnormal = as_int(_mm_mul_ps(to_float(magnitude), _mm_set1_ps(0x1p-24f)));
  const i4 is_small = _mm_cmpgt_epi32(_mm_set1_epi32(0x0400), magnitude);
  const i4 sign = _mm_slli_epi32(_mm_and_si128(half, _mm_set1_epi32(0x8000)), 16);
  return as_float(_mm_or_si128(sign, _mm_blendv_epi8(normal, subnormal, is_small)));
}
[[gnu::always_inline]] inline void store_f16x4(void* p, f4 v) {
  float x[4];
  store4(x, v);
  uint16_t h[4];
  for (int i = 0; i < 4; ++i) h[i] = block::float_to_half(x[i]);
  std::memcpy(p, h, sizeof(h));
}
[[gnu::always_inline]] inline f4 load_bf16x4(const void* p) {
  const i4 wide = _mm_cvtepu16_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
  return as_float(_mm_slli_epi32(wide, 16));
}

// ---- integers ----

[[gnu::always_inline]] inline i4 load16(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
[[gnu::always_inline]] inline void store16(void* p, i4 v) {
  _mm_storeu_si128(static_cast<__m128i*>(p), v);
}
[[gnu::always_inline]] inline i4 all8(int8_t x) {
  return _mm_set1_epi8(x);
}
[[gnu::always_inline]] inline i4 all16(int16_t x) {
  return _mm_set1_epi16(x);
}
[[gnu::always_inline]] inline i4 all32(int32_t x) {
  return _mm_set1_epi32(x);
}
[[gnu::always_inline]] inline i4 bit_and(i4 a, i4 b) {
  return _mm_and_si128(a, b);
}
[[gnu::always_inline]] inline i4 bit_or(i4 a, i4 b) {
  return _mm_or_si128(a, b);
}
[[gnu::always_inline]] inline i4 shift_left32(i4 v, int n) {
  return _mm_slli_epi32(v, n);
}
template <int kBy>
[[gnu::always_inline]] inline i4 shift_left16(i4 v) {
  return _mm_slli_epi16(v, kBy);
}
template <int kBy>
[[gnu::always_inline]] inline i4 shift_right16(i4 v) {
  return _mm_srli_epi16(v, kBy);
}
[[gnu::always_inline]] inline i4 add16(i4 a, i4 b) {
  return _mm_add_epi16(a, b);
}
[[gnu::always_inline]] inline i4 mul16(i4 a, i4 b) {
  return _mm_mullo_epi16(a, b);
}
[[gnu::always_inline]] inline i4 add32(i4 a, i4 b) {
  return _mm_add_epi32(a, b);
}
[[gnu::always_inline]] inline i4 sub32(i4 a, i4 b) {
  return _mm_sub_epi32(a, b);
}
[[gnu::always_inline]] inline i4 max32(i4 a, i4 b) {
  return _mm_max_epi32(a, b);
}
[[gnu::always_inline]] inline i4 abs8(i4 v) {
  return _mm_abs_epi8(v);
}
[[gnu::always_inline]] inline i4 apply_sign8(i4 v, i4 sign) {
  return _mm_sign_epi8(v, sign);
}
[[gnu::always_inline]] inline i4 dot2_u8s8(i4 u, i4 s) {
  return _mm_maddubs_epi16(u, s);
}
[[gnu::always_inline]] inline i4 dot2_s16(i4 a, i4 b) {
  return _mm_madd_epi16(a, b);
}
[[gnu::always_inline]] inline i4 look_up16(const int8_t* table, i4 index) {
  return _mm_shuffle_epi8(load16(table), index);
}
[[gnu::always_inline]] inline i4 widen8x4(const int8_t* p) {
  int32_t x;
  std::memcpy(&x, p, sizeof(x));
  return _mm_cvtepi8_epi32(_mm_cvtsi32_si128(x));
}
// int16 lane 2i is low's int32 lane i, 2i + 1 is high's.
[[gnu::always_inline]] inline i4 pair16(i4 low, i4 high) {
  return _mm_blend_epi16(low, _mm_slli_epi32(high, 16), 0xaa);
}
// 16 int32 in int8's range to 16 bytes, in order.
[[gnu::always_inline]] inline i4 narrow16(i4 a, i4 b, i4 c, i4 d) {
  return _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
}
[[gnu::always_inline]] inline int32_t sum32(i4 v) {
  v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
  v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0xb1));
  return _mm_cvtsi128_si32(v);
}
[[gnu::always_inline]] inline int32_t highest32(i4 v) {
  v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0x4e));
  v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0xb1));
  return _mm_cvtsi128_si32(v);
}
// Bit i is the highest of byte i.
[[gnu::always_inline]] inline uint32_t sign_bits16(const uint8_t* p) {
  return static_cast<uint32_t>(_mm_movemask_epi8(load16(p)));
}

}  // namespace simd
}  // namespace
}  // namespace nibble

#include "quant/kernels/halves.inl"
