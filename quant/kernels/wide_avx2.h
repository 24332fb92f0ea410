#pragma once
// Vectors of 8 rows of packed weights, for the instruction sets with 256-bit registers. What each
// primitive does is said in simd_scalar.h; the dot products are in dot_<isa>.h.
#include "quant/kernels/simd_avx2.h"

namespace nibble {
namespace {
namespace simd {

using wf = vf;
using wi = vi;
inline constexpr int64_t kWide = 8;
using Groups = vf;  // what search.inl fits side by side

[[gnu::always_inline]] inline wi wide_load(const void* p) {
  return load_bytes(p);
}
[[gnu::always_inline]] inline wi wide_zero() {
  return _mm256_setzero_si256();
}
[[gnu::always_inline]] inline wi wide_or(wi a, wi b) {
  return _mm256_or_si256(a, b);
}
template <int kFrom, int kMask>
[[gnu::always_inline]] inline wi wide_bits(wi x) {
  if constexpr (kFrom != 0) x = _mm256_srli_epi16(x, kFrom);
  return _mm256_and_si256(x, _mm256_set1_epi8(static_cast<char>(kMask)));
}
template <int kBy>
[[gnu::always_inline]] inline wi wide_up(wi x) {
  return _mm256_slli_epi16(x, kBy);
}
[[gnu::always_inline]] inline wi wide_look_up16(const int8_t* table, wi index) {
  return look_up16(table, index);
}
[[gnu::always_inline]] inline wf wide_halves(const void* p) {
  return load_f16(p);
}
[[gnu::always_inline]] inline wf wide_bf16s(const void* p) {
  return load_bf16(p);
}
[[gnu::always_inline]] inline wi wide_widen(const int8_t* p) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
[[gnu::always_inline]] inline wf wide_int8s(const int8_t* p) {
  return vf(_mm256_cvtepi32_ps(wide_widen(p)));
}
[[gnu::always_inline]] inline wi wide_pair(wi low, wi high) {
  return _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa);
}
template <int kFactor>
[[gnu::always_inline]] inline wi wide_pairs(const int8_t* a, const int8_t* b) {
  return _mm256_mullo_epi16(wide_pair(wide_widen(a), wide_widen(b)), _mm256_set1_epi16(kFactor));
}
[[gnu::always_inline]] inline wf wide_loadf(const float* p) {
  return load(p);
}
[[gnu::always_inline]] inline void wide_storef(float* p, wf v) {
  store(p, v);
}
[[gnu::always_inline]] inline wf wide_broadcast(float x) {
  return broadcast(x);
}
[[gnu::always_inline]] inline wf wide_mul(wf a, wf b) {
  return a * b;
}
[[gnu::always_inline]] inline wf wide_negate(wf a) {
  return vf(_mm256_xor_ps(a, _mm256_set1_ps(-0.0f)));
}
[[gnu::always_inline]] inline wf wide_abs(wf a) {
  return vf(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a));
}
[[gnu::always_inline]] inline wf wide_fma(wf a, wf b, wf c) {
  return fma(a, b, c);
}
[[gnu::always_inline]] inline wf wide_to_float(wi v) {
  return to_float(v);
}
[[gnu::always_inline]] inline wi wide_add32(wi a, wi b) {
  return add32(a, b);
}
[[gnu::always_inline]] inline wi wide_times8(wi v) {
  return _mm256_slli_epi32(v, 3);
}
template <int kValue>
[[gnu::always_inline]] inline wi wide_every16() {
  return _mm256_set1_epi16(kValue);
}

}  // namespace simd
}  // namespace
}  // namespace nibble
