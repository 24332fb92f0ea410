#pragma once
// Dot products of codes and int8 inputs with AVX-VNNI: four products and their sum at a time.
#include "quant/kernels/wide_avx2.h"

namespace nibble {
namespace {
namespace simd {

// Factors as int32, for sums that are int32 at once.
[[gnu::always_inline]] inline wi wide_scales(const int8_t* p) {
  return wide_widen(p);
}

// sum + the dot products of kCount steps from kFirst on.
template <int kFirst, int kCount>
[[gnu::always_inline]] inline wi add_steps(wi sum, const wi (&w)[8], const int8_t* a) {
#pragma GCC unroll 8
  for (int j = kFirst; j < kFirst + kCount; ++j) {
    sum = _mm256_dpbusd_avx_epi32(sum, w[j], broadcast32(a + 4 * j));
  }
  return sum;
}

template <int kMaxCode>
[[gnu::always_inline]] inline wi dot_codes(const wi (&w)[8], const int8_t* a) {
  return add32(add_steps<0, 4>(wide_zero(), w, a), add_steps<4, 4>(wide_zero(), w, a));
}

template <int kMaxCode>
[[gnu::always_inline]] inline wi dot_scaled(const wi (&w)[8], const int8_t* a, wi first,
                                            wi second) {
  return add32(_mm256_mullo_epi32(add_steps<0, 4>(wide_zero(), w, a), first),
               _mm256_mullo_epi32(add_steps<4, 4>(wide_zero(), w, a), second));
}

// Signed codes plus 128, and 128 times the sum of the inputs taken away again.
struct SignedCodes {
  wi code[8];
};
[[gnu::always_inline]] inline SignedCodes signed_codes(const wi (&w)[8]) {
  SignedCodes s;
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) s.code[j] = _mm256_xor_si256(w[j], _mm256_set1_epi8(-128));
  return s;
}
[[gnu::always_inline]] inline wi dot_sums(wi pairs, const int16_t* sums) {
  return dot2_s16(pairs, broadcast32(sums));
}
[[gnu::always_inline]] inline wi dot_signed(const SignedCodes& w, const int8_t* a,
                                            const int16_t* sums) {
  const wi offset = dot_sums(_mm256_set1_epi16(-128), sums);
  return add32(add_steps<0, 4>(offset, w.code, a), add_steps<4, 4>(wide_zero(), w.code, a));
}

}  // namespace simd
}  // namespace
}  // namespace nibble
