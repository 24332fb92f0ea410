#pragma once
// 16 floats in a register, for search.inl: twice the groups of weights side by side, each with the
// same operations in the same order. What each primitive does is said in simd_scalar.h.
#include "quant/kernels/wide_avx512.h"

namespace nibble {
namespace {
namespace simd {

struct Sixteen {
  __m512 v;
};
using Groups = Sixteen;

[[gnu::always_inline]] inline Sixteen operator+(Sixteen a, Sixteen b) {
  return {_mm512_add_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline Sixteen operator-(Sixteen a, Sixteen b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline Sixteen operator*(Sixteen a, Sixteen b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline Sixteen operator/(Sixteen a, Sixteen b) {
  return {_mm512_div_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline void store(float* p, Sixteen x) {
  _mm512_storeu_ps(p, x.v);
}
// The masks of all lanes spare g++ 12 a warning of its own header.
[[gnu::always_inline]] inline Sixteen max(Sixteen a, Sixteen b) {
  return {_mm512_mask_max_ps(a.v, 0xffff, a.v, b.v)};
}
[[gnu::always_inline]] inline Sixteen min(Sixteen a, Sixteen b) {
  return {_mm512_mask_min_ps(a.v, 0xffff, a.v, b.v)};
}
[[gnu::always_inline]] inline Sixteen if_less(Sixteen a, Sixteen b, Sixteen yes, Sixteen no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), no.v, yes.v)};
}
[[gnu::always_inline]] inline wi as_int(Sixteen x) {
  return _mm512_castps_si512(x.v);
}
[[gnu::always_inline]] inline Sixteen as_float(wi x) {
  return {_mm512_castsi512_ps(x)};
}
[[gnu::always_inline]] inline void store_f16(void* p, Sixteen x) {
  _mm256_storeu_si256(static_cast<__m256i*>(p),
                      _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
[[gnu::always_inline]] inline wi bit_and(wi a, wi b) {
  return _mm512_and_si512(a, b);
}
[[gnu::always_inline]] inline wi bit_or(wi a, wi b) {
  return _mm512_or_si512(a, b);
}
[[gnu::always_inline]] inline wi shift_left32(wi v, int n) {
  return _mm512_slli_epi32(v, static_cast<unsigned>(n));
}
[[gnu::always_inline]] inline void store_bytes(void* p, wi v) {
  _mm512_storeu_si512(p, v);
}

template <class V>
struct Lanes;
template <>
struct Lanes<Sixteen> {
  static constexpr int64_t kCount = 16;
  static Sixteen load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static Sixteen load_f16(const void* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))};
  }
  static Sixteen all(float x) { return {_mm512_set1_ps(x)}; }
};

}  // namespace simd
}  // namespace
}  // namespace nibble
