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
[[gnu::always_inline]] inline vi add16(vi a, vi b) {
  return _mm256_add_epi16(a, b);
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

[[gnu::always_inline]] inline uint64_t sign_bits64(const uint8_t* p) {
  const auto low = static_cast<uint32_t>(_mm256_movemask_epi8(load_bytes(p)));
  const auto high = static_cast<uint32_t>(_mm256_movemask_epi8(load_bytes(p + 32)));
  return uint64_t{high} << 32 | low;
}

}  // namespace simd
}  // namespace
}  // namespace nibble
