#pragma once
// Dot products of codes and int8 inputs with Arm's SMMLA, which multiplies 2 x 8 bytes by 8 x 2:
// two tokens at once. A lone token is left to SDOT.
#include "quant/kernels/dot_dotprod.h"

namespace nibble {
namespace {
namespace simd {

inline constexpr int64_t kTogether = 2;

// Steps in pairs, so that 8 columns of a row lie side by side: rows 0 and 1, rows 2 and 3, for each
// pair.
struct TogetherCodes {
  wi rows[4][2];
};
template <int kPlane>
[[gnu::always_inline]] inline TogetherCodes together_codes(const wi (&w)[8]) {
  TogetherCodes t;
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    t.rows[j][0] = vzip1q_s32(w[2 * j], w[2 * j + 1]);
    t.rows[j][1] = vzip2q_s32(w[2 * j], w[2 * j + 1]);
  }
  return t;
}

[[gnu::always_inline]] inline TogetherCodes together_half_codes(const wi (&w)[8]) {
  return together_codes<0>(w);
}

// Of 16 columns from 16 * kHalf on, added to what there is: [two tokens, two rows] each.
template <int kHalf>
[[gnu::always_inline]] inline void add_half(const TogetherCodes& w, const int8_t* q, wi& rows01,
                                            wi& rows23) {
  const int64x2_t x = vreinterpretq_s64_s8(vld1q_s8(q + 16 * kHalf));
  const int64x2_t y = vreinterpretq_s64_s8(vld1q_s8(q + 32 + 16 * kHalf));
  const int8x16_t first = vreinterpretq_s8_s64(vzip1q_s64(x, y));
  const int8x16_t second = vreinterpretq_s8_s64(vzip2q_s64(x, y));
  rows01 = vmmlaq_s32(rows01, first, bytes(w.rows[2 * kHalf][0]));
  rows23 = vmmlaq_s32(rows23, first, bytes(w.rows[2 * kHalf][1]));
  rows01 = vmmlaq_s32(rows01, second, bytes(w.rows[2 * kHalf + 1][0]));
  rows23 = vmmlaq_s32(rows23, second, bytes(w.rows[2 * kHalf + 1][1]));
}

// sum[t]: kWide rows of token t.
[[gnu::always_inline]] inline void sums_of_tokens(wi rows01, wi rows23, wi (&sum)[kTogether]) {
  const int64x2_t x = vreinterpretq_s64_s32(rows01);
  const int64x2_t y = vreinterpretq_s64_s32(rows23);
  sum[0] = vreinterpretq_s32_s64(vzip1q_s64(x, y));
  sum[1] = vreinterpretq_s32_s64(vzip2q_s64(x, y));
}

template <int kPlane>
[[gnu::always_inline]] inline void dot_together(const TogetherCodes& w, const int8_t* q,
                                                wi (&sum)[kTogether]) {
  wi rows01 = wide_zero();
  wi rows23 = wide_zero();
  add_half<0>(w, q, rows01, rows23);
  add_half<1>(w, q, rows01, rows23);
  sums_of_tokens(rows01, rows23, sum);
}

[[gnu::always_inline]] inline void dot_halves_together(const TogetherCodes& w, const int8_t* q,
                                                       wi (&first)[kTogether],
                                                       wi (&second)[kTogether]) {
  wi rows01 = wide_zero();
  wi rows23 = wide_zero();
  add_half<0>(w, q, rows01, rows23);
  sums_of_tokens(rows01, rows23, first);
  rows01 = wide_zero();
  rows23 = wide_zero();
  add_half<1>(w, q, rows01, rows23);
  sums_of_tokens(rows01, rows23, second);
}

[[gnu::always_inline]] inline wi wide_mul32(wi a, wi b) {
  return vmulq_s32(a, b);
}

// Nothing to set up.
template <bool kHalfScales>
struct TogetherMode {
  explicit TogetherMode(int64_t /*tokens*/) {}
};

}  // namespace simd
}  // namespace
}  // namespace nibble
