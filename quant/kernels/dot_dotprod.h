#pragma once
// Dot products of codes and int8 inputs with Arm's SDOT: four products and their sum at a time, the
// step of the inputs chosen by the instruction.
#include "quant/kernels/simd_neon.h"

namespace nibble {
namespace {
namespace simd {

// Factors as int32, for sums that are int32.
[[gnu::always_inline]] inline wi wide_scales(const int8_t* p) {
  return wide_widen(p);
}

// sum + the dot products of four steps with a [16].
template <int kFirst>
[[gnu::always_inline]] inline wi add_steps(wi sum, const wi (&w)[8], const int8_t* a) {
  const int8x16_t x = vld1q_s8(a);
  sum = vdotq_laneq_s32(sum, bytes(w[kFirst]), x, 0);
  sum = vdotq_laneq_s32(sum, bytes(w[kFirst + 1]), x, 1);
  sum = vdotq_laneq_s32(sum, bytes(w[kFirst + 2]), x, 2);
  return vdotq_laneq_s32(sum, bytes(w[kFirst + 3]), x, 3);
}

template <int kMaxCode>
[[gnu::always_inline]] inline wi dot_codes(const wi (&w)[8], const int8_t* a) {
  return add32(add_steps<0>(wide_zero(), w, a), add_steps<4>(wide_zero(), w, a + 16));
}

template <int kMaxCode>
[[gnu::always_inline]] inline wi dot_scaled(const wi (&w)[8], const int8_t* a, wi first,
                                            wi second) {
  const wi product = vmulq_s32(add_steps<0>(wide_zero(), w, a), first);
  return vmlaq_s32(product, add_steps<4>(wide_zero(), w, a + 16), second);
}

struct SignedCodes {
  wi code[8];
};
[[gnu::always_inline]] inline SignedCodes signed_codes(const wi (&w)[8]) {
  SignedCodes s;
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) s.code[j] = w[j];
  return s;
}
[[gnu::always_inline]] inline wi dot_signed(const SignedCodes& w, const int8_t* a, const int16_t*) {
  return dot_codes<128>(w.code, a);
}
[[gnu::always_inline]] inline wi dot_sums(wi pairs, const int16_t* sums) {
  int32_t x;
  std::memcpy(&x, sums, sizeof(x));
  return dot2_s16(pairs, vdupq_n_s32(x));
}

}  // namespace simd
}  // namespace
}  // namespace nibble
