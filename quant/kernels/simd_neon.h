#pragma once
// The primitives of 64-bit Arm on one 16-byte register; halves.inl makes the vectors of 8 from two
// of them. simd_scalar.h says what each does. Bytes, halves and words are views of one int32 type.
#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace nibble {
namespace {
namespace simd {

using f4 = float32x4_t;
using i4 = int32x4_t;  // 16 bytes: of int8, int16 or int32 as the function says

// How many tokens or heads share a load: what 32 registers hold. It changes no result.
inline constexpr int kTile = 4;

[[gnu::always_inline]] inline int8x16_t bytes(i4 v) {
  return vreinterpretq_s8_s32(v);
}
[[gnu::always_inline]] inline int16x8_t shorts(i4 v) {
  return vreinterpretq_s16_s32(v);
}
[[gnu::always_inline]] inline i4 words(int8x16_t v) {
  return vreinterpretq_s32_s8(v);
}
[[gnu::always_inline]] inline i4 words(int16x8_t v) {
  return vreinterpretq_s32_s16(v);
}
[[gnu::always_inline]] inline i4 words(uint32x4_t v) {
  return vreinterpretq_s32_u32(v);
}

// ---- floats ----

[[gnu::always_inline]] inline f4 load4(const float* p) {
  return vld1q_f32(p);
}
[[gnu::always_inline]] inline void store4(float* p, f4 v) {
  vst1q_f32(p, v);
}
[[gnu::always_inline]] inline f4 broadcast4(float x) {
  return vdupq_n_f32(x);
}
[[gnu::always_inline]] inline f4 fma(f4 a, f4 b, f4 c) {
  return vfmaq_f32(c, a, b);
}
// The second operand if one is not a number, where FMAX would give that one.
[[gnu::always_inline]] inline f4 max(f4 a, f4 b) {
  return vbslq_f32(vcgtq_f32(a, b), a, b);
}
[[gnu::always_inline]] inline f4 min(f4 a, f4 b) {
  return vbslq_f32(vcltq_f32(a, b), a, b);
}
[[gnu::always_inline]] inline f4 if_less(f4 a, f4 b, f4 yes, f4 no) {
  return vbslq_f32(vcltq_f32(a, b), yes, no);
}
[[gnu::always_inline]] inline f4 to_float(i4 v) {
  return vcvtq_f32_s32(v);
}
[[gnu::always_inline]] inline i4 as_int(f4 v) {
  return vreinterpretq_s32_f32(v);
}
[[gnu::always_inline]] inline f4 as_float(i4 v) {
  return vreinterpretq_f32_s32(v);
}
// a0 + a1, a2 + a3, b0 + b1, b2 + b3
[[gnu::always_inline]] inline f4 add_neighbours(f4 a, f4 b) {
  return vpaddq_f32(a, b);
}
[[gnu::always_inline]] inline uint16x4_t load_shorts(const void* p) {
  return vreinterpret_u16_u8(vld1_u8(static_cast<const uint8_t*>(p)));
}
[[gnu::always_inline]] inline f4 load_f16x4(const void* p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(load_shorts(p)));
}
[[gnu::always_inline]] inline void store_f16x4(void* p, f4 v) {
  vst1_u8(static_cast<uint8_t*>(p), vreinterpret_u8_f16(vcvt_f16_f32(v)));
}
[[gnu::always_inline]] inline f4 load_bf16x4(const void* p) {
  return as_float(words(vshll_n_u16(load_shorts(p), 16)));
}

// ---- integers ----

[[gnu::always_inline]] inline i4 load16(const void* p) {
  return words(vld1q_s8(static_cast<const int8_t*>(p)));
}
[[gnu::always_inline]] inline void store16(void* p, i4 v) {
  vst1q_s8(static_cast<int8_t*>(p), bytes(v));
}
[[gnu::always_inline]] inline i4 all8(int8_t x) {
  return words(vdupq_n_s8(x));
}
[[gnu::always_inline]] inline i4 all16(int16_t x) {
  return words(vdupq_n_s16(x));
}
[[gnu::always_inline]] inline i4 all32(int32_t x) {
  return vdupq_n_s32(x);
}
[[gnu::always_inline]] inline i4 bit_and(i4 a, i4 b) {
  return vandq_s32(a, b);
}
[[gnu::always_inline]] inline i4 bit_or(i4 a, i4 b) {
  return vorrq_s32(a, b);
}
[[gnu::always_inline]] inline i4 shift_left32(i4 v, int n) {
  return vshlq_s32(v, vdupq_n_s32(n));
}
template <int kBy>
[[gnu::always_inline]] inline i4 shift_left16(i4 v) {
  return words(vshlq_n_s16(shorts(v), kBy));
}
template <int kBy>
[[gnu::always_inline]] inline i4 shift_right16(i4 v) {
  return words(vreinterpretq_s16_u16(vshrq_n_u16(vreinterpretq_u16_s32(v), kBy)));
}
[[gnu::always_inline]] inline i4 mul16(i4 a, i4 b) {
  return words(vmulq_s16(shorts(a), shorts(b)));
}
[[gnu::always_inline]] inline i4 add32(i4 a, i4 b) {
  return vaddq_s32(a, b);
}
[[gnu::always_inline]] inline i4 sub32(i4 a, i4 b) {
  return vsubq_s32(a, b);
}
[[gnu::always_inline]] inline i4 max32(i4 a, i4 b) {
  return vmaxq_s32(a, b);
}
[[gnu::always_inline]] inline i4 abs8(i4 v) {
  return words(vabsq_s8(bytes(v)));
}
[[gnu::always_inline]] inline i4 dot2_u8s8(i4 u, i4 s) {
  const uint8x16_t a = vreinterpretq_u8_s32(u);
  const int8x16_t b = bytes(s);
  const int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(a)));
  const int16x8_t high = vreinterpretq_s16_u16(vmovl_high_u8(a));
  return words(
      vpaddq_s16(vmulq_s16(low, vmovl_s8(vget_low_s8(b))), vmulq_s16(high, vmovl_high_s8(b))));
}
[[gnu::always_inline]] inline i4 dot2_s16(i4 a, i4 b) {
  return vpaddq_s32(vmull_s16(vget_low_s16(shorts(a)), vget_low_s16(shorts(b))),
                    vmull_high_s16(shorts(a), shorts(b)));
}
[[gnu::always_inline]] inline i4 look_up16(const int8_t* table, i4 index) {
  return words(vqtbl1q_s8(vld1q_s8(table), vreinterpretq_u8_s32(index)));
}
[[gnu::always_inline]] inline i4 widen8x4(const int8_t* p) {
  int32_t x;
  std::memcpy(&x, p, sizeof(x));
  return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(x)))));
}
// int16 lane 2i is low's int32 lane i, 2i + 1 is high's.
[[gnu::always_inline]] inline i4 pair16(i4 low, i4 high) {
  return vsliq_n_s32(low, high, 16);
}
// 16 int32 in int8's range to 16 bytes, in order.
[[gnu::always_inline]] inline i4 narrow16(i4 a, i4 b, i4 c, i4 d) {
  const int16x8_t low = vuzp1q_s16(shorts(a), shorts(b));
  const int16x8_t high = vuzp1q_s16(shorts(c), shorts(d));
  return words(vuzp1q_s8(bytes(words(low)), bytes(words(high))));
}
[[gnu::always_inline]] inline int32_t sum32(i4 v) {
  return vaddvq_s32(v);
}
[[gnu::always_inline]] inline int32_t highest32(i4 v) {
  return vmaxvq_s32(v);
}
// Bit i is the highest of byte i.
[[gnu::always_inline]] inline uint32_t sign_bits16(const uint8_t* p) {
  constexpr uint8_t kBits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const int8x16_t negative = vshrq_n_s8(vreinterpretq_s8_u8(vld1q_u8(p)), 7);
  const uint8x16_t bits = vandq_u8(vreinterpretq_u8_s8(negative), vld1q_u8(kBits));
  const uint32_t low = vaddv_u8(vget_low_u8(bits));
  return low | static_cast<uint32_t>(vaddv_u8(vget_high_u8(bits))) << 8;
}

}  // namespace simd
}  // namespace
}  // namespace nibble

#include "quant/kernels/halves.inl"
