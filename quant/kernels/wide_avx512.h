#pragma once
// Vectors of 16 rows of packed weights, with AVX-512 F, BW, VL and VNNI. What each primitive does
// is said in simd_scalar.h. Everything else stays with the 256-bit registers of simd_avx2.h.
#include "quant/kernels/simd_avx2.h"

namespace nibble {
namespace {
namespace simd {

using wf = __m512;
using wi = __m512i;
inline constexpr int64_t kWide = 16;

[[gnu::always_inline]] inline wi wide_load(const void* p) {
  return _mm512_loadu_si512(p);
}
[[gnu::always_inline]] inline wi wide_zero() {
  return _mm512_setzero_si512();
}
[[gnu::always_inline]] inline wi wide_or(wi a, wi b) {
  return _mm512_or_si512(a, b);
}
template <int kFrom, int kMask>
[[gnu::always_inline]] inline wi wide_bits(wi x) {
  if constexpr (kFrom != 0) x = _mm512_srli_epi16(x, kFrom);
  return _mm512_and_si512(x, _mm512_set1_epi8(static_cast<char>(kMask)));
}
template <int kBy>
[[gnu::always_inline]] inline wi wide_up(wi x) {
  return _mm512_slli_epi16(x, kBy);
}
[[gnu::always_inline]] inline wi wide_look_up16(const int8_t* table, wi index) {
  const __m128i t = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(t), index);
}
[[gnu::always_inline]] inline wf wide_halves(const void* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
[[gnu::always_inline]] inline wf wide_bf16s(const void* p) {
  const __m512i x = _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}
[[gnu::always_inline]] inline wi wide_widen(const int8_t* p) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
[[gnu::always_inline]] inline wf wide_int8s(const int8_t* p) {
  return _mm512_cvtepi32_ps(wide_widen(p));
}
[[gnu::always_inline]] inline wi wide_scales(const int8_t* p) {
  return wide_widen(p);
}
template <int kFactor>
[[gnu::always_inline]] inline wi wide_pairs(const int8_t* a, const int8_t* b) {
  const wi low = _mm512_and_si512(wide_widen(a), _mm512_set1_epi32(0xffff));
  const wi pairs = _mm512_or_si512(low, _mm512_slli_epi32(wide_widen(b), 16));
  return _mm512_mullo_epi16(pairs, _mm512_set1_epi16(kFactor));
}
[[gnu::always_inline]] inline wf wide_loadf(const float* p) {
  return _mm512_loadu_ps(p);
}
[[gnu::always_inline]] inline void wide_storef(float* p, wf v) {
  _mm512_storeu_ps(p, v);
}
[[gnu::always_inline]] inline wf wide_broadcast(float x) {
  return _mm512_set1_ps(x);
}
[[gnu::always_inline]] inline wf wide_mul(wf a, wf b) {
  return _mm512_mul_ps(a, b);
}
[[gnu::always_inline]] inline wf wide_negate(wf a) {
  return _mm512_castsi512_ps(
      _mm512_xor_si512(_mm512_castps_si512(a), _mm512_set1_epi32(INT32_MIN)));
}
[[gnu::always_inline]] inline wf wide_abs(wf a) {
  return _mm512_castsi512_ps(
      _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(INT32_MAX)));
}
[[gnu::always_inline]] inline wf wide_fma(wf a, wf b, wf c) {
  return _mm512_fmadd_ps(a, b, c);
}
[[gnu::always_inline]] inline wf wide_to_float(wi v) {
  return _mm512_cvtepi32_ps(v);
}
[[gnu::always_inline]] inline wi wide_add32(wi a, wi b) {
  return _mm512_add_epi32(a, b);
}
[[gnu::always_inline]] inline wi wide_times8(wi v) {
  return _mm512_slli_epi32(v, 3);
}
template <int kValue>
[[gnu::always_inline]] inline wi wide_every16() {
  return _mm512_set1_epi16(kValue);
}
[[gnu::always_inline]] inline wi wide_broadcast32(const void* p) {
  int32_t x;
  std::memcpy(&x, p, sizeof(x));
  return _mm512_set1_epi32(x);
}

// sum + the dot products of kCount steps from kFirst on.
template <int kFirst, int kCount>
[[gnu::always_inline]] inline wi add_steps(wi sum, const wi (&w)[8], const int8_t* a) {
#pragma GCC unroll 8
  for (int j = kFirst; j < kFirst + kCount; ++j) {
    sum = _mm512_dpbusd_epi32(sum, w[j], wide_broadcast32(a + 4 * j));
  }
  return sum;
}

template <int kMaxCode>
[[gnu::always_inline]] inline wi dot_codes(const wi (&w)[8], const int8_t* a) {
  return wide_add32(add_steps<0, 4>(wide_zero(), w, a), add_steps<4, 4>(wide_zero(), w, a));
}

template <int kMaxCode>
[[gnu::always_inline]] inline wi dot_scaled(const wi (&w)[8], const int8_t* a, wi first,
                                            wi second) {
  return wide_add32(_mm512_mullo_epi32(add_steps<0, 4>(wide_zero(), w, a), first),
                    _mm512_mullo_epi32(add_steps<4, 4>(wide_zero(), w, a), second));
}

// Signed codes plus 128, and 128 times the sum of the inputs taken away again.
struct SignedCodes {
  wi code[8];
};
[[gnu::always_inline]] inline SignedCodes signed_codes(const wi (&w)[8]) {
  SignedCodes s;
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) s.code[j] = _mm512_xor_si512(w[j], _mm512_set1_epi8(-128));
  return s;
}
[[gnu::always_inline]] inline wi dot_sums(wi pairs, const int16_t* sums) {
  return _mm512_madd_epi16(pairs, wide_broadcast32(sums));
}
[[gnu::always_inline]] inline wi dot_signed(const SignedCodes& w, const int8_t* a,
                                            const int16_t* sums) {
  const wi offset = dot_sums(_mm512_set1_epi16(-128), sums);
  return wide_add32(add_steps<0, 4>(offset, w.code, a), add_steps<4, 4>(wide_zero(), w.code, a));
}

}  // namespace simd
}  // namespace
}  // namespace nibble
