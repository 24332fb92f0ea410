#pragma once
// Dot products of codes and int8 inputs with what every 64-bit Arm CPU has: products of bytes are
// added as int16 as long as they cannot overflow, then in pairs as int32.
#include "quant/kernels/simd_neon.h"

namespace nibble {
namespace {
namespace simd {

// Factors as int32, for sums that are int32.
[[gnu::always_inline]] inline wi wide_scales(const int8_t* p) {
  return wide_widen(p);
}

[[gnu::always_inline]] inline int8x16_t broadcast_step(const int8_t* a) {
  int32_t x;
  std::memcpy(&x, a, sizeof(x));
  return bytes(vdupq_n_s32(x));
}

// The dot products of kCount steps from kFirst on, of codes with sizes up to kMaxCode.
template <int kFirst, int kCount, int kMaxCode>
[[gnu::always_inline]] inline wi dot_steps(const wi (&w)[8], const int8_t* a) {
  constexpr int kFit = 32767 / (127 * kMaxCode);  // products that fit into an int16 sum
  constexpr int kChain = kFit < kCount ? kFit : kCount;
  static_assert(kChain >= 2 && kCount % kChain == 0);
  wi low = wide_zero();   // row 0's columns, row 1's
  wi high = wide_zero();  // row 2's, row 3's
#pragma GCC unroll 8
  for (int j = kFirst; j < kFirst + kCount; j += kChain) {
    const int8x16_t first = broadcast_step(a + 4 * j);
    int16x8_t l = vmull_s8(vget_low_s8(bytes(w[j])), vget_low_s8(first));
    int16x8_t h = vmull_high_s8(bytes(w[j]), first);
#pragma GCC unroll 8
    for (int i = j + 1; i < j + kChain; ++i) {
      const int8x16_t step = broadcast_step(a + 4 * i);
      l = vmlal_s8(l, vget_low_s8(bytes(w[i])), vget_low_s8(step));
      h = vmlal_high_s8(h, bytes(w[i]), step);
    }
    low = vpadalq_s16(low, l);
    high = vpadalq_s16(high, h);
  }
  return vpaddq_s32(low, high);
}

template <int kMaxCode>
[[gnu::always_inline]] inline wi dot_codes(const wi (&w)[8], const int8_t* a) {
  return dot_steps<0, 8, kMaxCode>(w, a);
}

template <int kMaxCode>
[[gnu::always_inline]] inline wi dot_scaled(const wi (&w)[8], const int8_t* a, wi first,
                                            wi second) {
  const wi product = vmulq_s32(dot_steps<0, 4, kMaxCode>(w, a), first);
  return vmlaq_s32(product, dot_steps<4, 4, kMaxCode>(w, a), second);
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
  return dot_steps<0, 8, 128>(w.code, a);
}
[[gnu::always_inline]] inline wi dot_sums(wi pairs, const int16_t* sums) {
  int32_t x;
  std::memcpy(&x, sums, sizeof(x));
  return dot2_s16(pairs, vdupq_n_s32(x));
}

}  // namespace simd
}  // namespace
}  // namespace nibble
