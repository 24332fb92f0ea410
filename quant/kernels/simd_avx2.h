#pragma once
// The primitives of AVX2 + FMA + F16C: the whole porting surface of an instruction set.
// Floats go through xsimd; the int8 products, byte shuffles and half-precision conversions that
// xsimd 8 lacks are intrinsics. simd_scalar.h is the same list in plain C++ and says what each
// does. Everything has internal linkage: see isa.cmake for why.
#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <xsimd/xsimd.hpp>

namespace nibble {
namespace {
namespace simd {

using Arch = xsimd::fma3<xsimd::avx2>;
using vf = xsimd::batch<float, Arch>;  // 8 floats
using vi = __m256i;                    // 32 bytes: of int8, int16 or int32 as the function says

inline constexpr int64_t kLanes = 8;
// How many tokens or heads share a load: what the registers hold. It changes no result.
inline constexpr int kTile = 4;
// How far the loops over the registers of a tile are unrolled.
inline constexpr int kUnroll = 8;

// ---- floats ----

[[gnu::always_inline]] inline vf load(const float* p) {
  return vf(_mm256_loadu_ps(p));
}
[[gnu::always_inline]] inline void store(float* p, vf v) {
  _mm256_storeu_ps(p, v);
}
[[gnu::always_inline]] inline vf broadcast(float x) {
  return vf(_mm256_set1_ps(x));
}
[[gnu::always_inline]] inline vf zero() {
  return vf(_mm256_setzero_ps());
}
[[gnu::always_inline]] inline vf fma(vf a, vf b, vf c) {
  return vf(_mm256_fmadd_ps(a, b, c));
}
[[gnu::always_inline]] inline vf max(vf a, vf b) {
  return vf(_mm256_max_ps(a, b));
}
[[gnu::always_inline]] inline vf min(vf a, vf b) {
  return vf(_mm256_min_ps(a, b));
}
[[gnu::always_inline]] inline vf if_less(vf a, vf b, vf yes, vf no) {
  return vf(_mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ)));
}
[[gnu::always_inline]] inline vf to_float(vi v) {
  return vf(_mm256_cvtepi32_ps(v));
}
[[gnu::always_inline]] inline vi as_int(vf v) {
  return _mm256_castps_si256(v);
}
[[gnu::always_inline]] inline vf as_float(vi v) {
  return vf(_mm256_castsi256_ps(v));
}

[[gnu::always_inline]] inline vf load_f16(const void* p) {
  return vf(_mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p))));
}
[[gnu::always_inline]] inline void store_f16(void* p, vf v) {
  _mm_storeu_si128(static_cast<__m128i*>(p),
                   _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
[[gnu::always_inline]] inline vf load_bf16(const void* p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  return vf(_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
}
[[gnu::always_inline]] inline vf load_u8(const void* p) {
  return vf(
      _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)))));
}

[[gnu::always_inline]] inline vf sum_each(const vf (&v)[8]) {
  const __m256 a = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
  const __m256 b = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));
  return vf(_mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)));
}

// ---- integers ----

[[gnu::always_inline]] inline vi load_bytes(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
[[gnu::always_inline]] inline void store_bytes(void* p, vi v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), v);
}
[[gnu::always_inline]] inline vi zero_int() {
  return _mm256_setzero_si256();
}
[[gnu::always_inline]] inline vi broadcast8(int8_t x) {
  return _mm256_set1_epi8(x);
}
[[gnu::always_inline]] inline vi broadcast16(int16_t x) {
  return _mm256_set1_epi16(x);
}
[[gnu::always_inline]] inline vi broadcast32(int32_t x) {
  return _mm256_set1_epi32(x);
}
[[gnu::always_inline]] inline vi broadcast32(const void* p) {
  int32_t x;
  std::memcpy(&x, p, sizeof(x));
  return _mm256_set1_epi32(x);
}
[[gnu::always_inline]] inline vi bit_and(vi a, vi b) {
  return _mm256_and_si256(a, b);
}
[[gnu::always_inline]] inline vi bit_or(vi a, vi b) {
  return _mm256_or_si256(a, b);
}
[[gnu::always_inline]] inline vi shift_left32(vi v, int n) {
  return _mm256_slli_epi32(v, n);
}
[[gnu::always_inline]] inline vi shift_right32(vi v, int n) {
  return _mm256_srli_epi32(v, n);
}
[[gnu::always_inline]] inline vi shift_left8(vi v, int n) {
  return bit_and(_mm256_slli_epi16(v, n), broadcast8(static_cast<int8_t>(0xff << n)));
}
[[gnu::always_inline]] inline vi shift_right8(vi v, int n) {
  return bit_and(_mm256_srli_epi16(v, n), broadcast8(static_cast<int8_t>(0xff >> n)));
}
[[gnu::always_inline]] inline vi add16(vi a, vi b) {
  return _mm256_add_epi16(a, b);
}
[[gnu::always_inline]] inline vi mul16(vi a, vi b) {
  return _mm256_mullo_epi16(a, b);
}
[[gnu::always_inline]] inline vi add32(vi a, vi b) {
  return _mm256_add_epi32(a, b);
}
[[gnu::always_inline]] inline vi sub32(vi a, vi b) {
  return _mm256_sub_epi32(a, b);
}
[[gnu::always_inline]] inline vi max32(vi a, vi b) {
  return _mm256_max_epi32(a, b);
}
[[gnu::always_inline]] inline vi abs8(vi v) {
  return _mm256_abs_epi8(v);
}
[[gnu::always_inline]] inline vi apply_sign8(vi v, vi sign) {
  return _mm256_sign_epi8(v, sign);
}
[[gnu::always_inline]] inline vi dot2_u8s8(vi u, vi s) {
  return _mm256_maddubs_epi16(u, s);
}
[[gnu::always_inline]] inline vi dot2_s16(vi a, vi b) {
  return _mm256_madd_epi16(a, b);
}

[[gnu::always_inline]] inline vi nibbles(const void* p) {
  // A variable shift of a 128-bit broadcast: no shuffle, of which there is one unit only.
  const __m256i twice =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  const __m256i shift = _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4);
  return bit_and(_mm256_srlv_epi32(twice, shift), broadcast8(15));
}
[[gnu::always_inline]] inline vi bits_to_bytes(uint32_t bits, int8_t value) {
  const __m256i which = _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101,
                                           0x0202020202020202, 0x0303030303030303);
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ULL));
  const __m256i all = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int32_t>(bits)), which);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(all, bit), bit);
  return bit_and(set, broadcast8(value));
}
[[gnu::always_inline]] inline vi look_up16(const int8_t* table, vi index) {
  const __m128i t = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), index);
}
[[gnu::always_inline]] inline int32_t sum32(vi v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}
[[gnu::always_inline]] inline vi sum_each32(const vi (&v)[8]) {
  const __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
  const __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
                          _mm256_permute2x128_si256(a, b, 0x31));
}
[[gnu::always_inline]] inline vi spread_pair(const int16_t* p) {
  const vi spread = _mm256_setr_epi64x(0x0100010001000100, 0x0100010001000100, 0x0302030203020302,
                                       0x0302030203020302);
  return _mm256_shuffle_epi8(broadcast32(p), spread);
}
[[gnu::always_inline]] inline int32_t highest32(vi v) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtsi128_si32(m);
}
[[gnu::always_inline]] inline vi narrow_to8(vi a, vi b, vi c, vi d) {
  const __m256i mixed = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
  return _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}
[[gnu::always_inline]] inline void transpose32(vi (&v)[8]) {
  const __m256i a0 = _mm256_unpacklo_epi32(v[0], v[1]);
  const __m256i a1 = _mm256_unpackhi_epi32(v[0], v[1]);
  const __m256i a2 = _mm256_unpacklo_epi32(v[2], v[3]);
  const __m256i a3 = _mm256_unpackhi_epi32(v[2], v[3]);
  const __m256i a4 = _mm256_unpacklo_epi32(v[4], v[5]);
  const __m256i a5 = _mm256_unpackhi_epi32(v[4], v[5]);
  const __m256i a6 = _mm256_unpacklo_epi32(v[6], v[7]);
  const __m256i a7 = _mm256_unpackhi_epi32(v[6], v[7]);
  const __m256i b0 = _mm256_unpacklo_epi64(a0, a2);
  const __m256i b1 = _mm256_unpackhi_epi64(a0, a2);
  const __m256i b2 = _mm256_unpacklo_epi64(a1, a3);
  const __m256i b3 = _mm256_unpackhi_epi64(a1, a3);
  const __m256i b4 = _mm256_unpacklo_epi64(a4, a6);
  const __m256i b5 = _mm256_unpackhi_epi64(a4, a6);
  const __m256i b6 = _mm256_unpacklo_epi64(a5, a7);
  const __m256i b7 = _mm256_unpackhi_epi64(a5, a7);
  v[0] = _mm256_permute2x128_si256(b0, b4, 0x20);
  v[1] = _mm256_permute2x128_si256(b1, b5, 0x20);
  v[2] = _mm256_permute2x128_si256(b2, b6, 0x20);
  v[3] = _mm256_permute2x128_si256(b3, b7, 0x20);
  v[4] = _mm256_permute2x128_si256(b0, b4, 0x31);
  v[5] = _mm256_permute2x128_si256(b1, b5, 0x31);
  v[6] = _mm256_permute2x128_si256(b2, b6, 0x31);
  v[7] = _mm256_permute2x128_si256(b3, b7, 0x31);
}

}  // namespace simd
}  // namespace
}  // namespace nibble
