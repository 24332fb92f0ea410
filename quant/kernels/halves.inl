#pragma once
// The primitives of simd_scalar.h from those of one 16-byte register (f4 and i4 of a simd_<isa>.h):
// vectors of 8 floats or 32 bytes are two registers, and packed weights are taken 4 rows at a time,
// one register, so that all codes of a block stay in registers.

namespace nibble {
namespace {
namespace simd {

inline constexpr int64_t kLanes = 8;
inline constexpr int kUnroll = 8;

struct vf {
  f4 low;
  f4 high;
};
struct vi {
  i4 low;
  i4 high;
};

// ---- floats ----

[[gnu::always_inline]] inline vf operator+(vf a, vf b) {
  return {a.low + b.low, a.high + b.high};
}
[[gnu::always_inline]] inline vf operator-(vf a, vf b) {
  return {a.low - b.low, a.high - b.high};
}
[[gnu::always_inline]] inline vf operator*(vf a, vf b) {
  return {a.low * b.low, a.high * b.high};
}
[[gnu::always_inline]] inline vf operator/(vf a, vf b) {
  return {a.low / b.low, a.high / b.high};
}
[[gnu::always_inline]] inline vf load(const float* p) {
  return {load4(p), load4(p + 4)};
}
[[gnu::always_inline]] inline void store(float* p, vf v) {
  store4(p, v.low);
  store4(p + 4, v.high);
}
[[gnu::always_inline]] inline vf broadcast(float x) {
  return {broadcast4(x), broadcast4(x)};
}
[[gnu::always_inline]] inline vf zero() {
  return broadcast(0.0f);
}
[[gnu::always_inline]] inline vf fma(vf a, vf b, vf c) {
  return {fma(a.low, b.low, c.low), fma(a.high, b.high, c.high)};
}
[[gnu::always_inline]] inline vf max(vf a, vf b) {
  return {max(a.low, b.low), max(a.high, b.high)};
}
[[gnu::always_inline]] inline vf min(vf a, vf b) {
  return {min(a.low, b.low), min(a.high, b.high)};
}
[[gnu::always_inline]] inline vf if_less(vf a, vf b, vf yes, vf no) {
  return {if_less(a.low, b.low, yes.low, no.low), if_less(a.high, b.high, yes.high, no.high)};
}
[[gnu::always_inline]] inline vf to_float(vi v) {
  return {to_float(v.low), to_float(v.high)};
}
[[gnu::always_inline]] inline vi as_int(vf v) {
  return {as_int(v.low), as_int(v.high)};
}
[[gnu::always_inline]] inline vf as_float(vi v) {
  return {as_float(v.low), as_float(v.high)};
}
[[gnu::always_inline]] inline vf load_f16(const void* p) {
  return {load_f16x4(p), load_f16x4(static_cast<const uint8_t*>(p) + 8)};
}
[[gnu::always_inline]] inline void store_f16(void* p, vf v) {
  store_f16x4(p, v.low);
  store_f16x4(static_cast<uint8_t*>(p) + 8, v.high);
}
[[gnu::always_inline]] inline vf load_bf16(const void* p) {
  return {load_bf16x4(p), load_bf16x4(static_cast<const uint8_t*>(p) + 8)};
}
[[gnu::always_inline]] inline f4 sum_four(f4 a, f4 b, f4 c, f4 d) {
  return add_neighbours(add_neighbours(a, b), add_neighbours(c, d));
}
[[gnu::always_inline]] inline vf sum_each(const vf (&v)[8]) {
  return {sum_four(v[0].low, v[1].low, v[2].low, v[3].low) +
              sum_four(v[0].high, v[1].high, v[2].high, v[3].high),
          sum_four(v[4].low, v[5].low, v[6].low, v[7].low) +
              sum_four(v[4].high, v[5].high, v[6].high, v[7].high)};
}

// ---- integers ----

[[gnu::always_inline]] inline vi load_bytes(const void* p) {
  return {load16(p), load16(static_cast<const uint8_t*>(p) + 16)};
}
[[gnu::always_inline]] inline void store_bytes(void* p, vi v) {
  store16(p, v.low);
  store16(static_cast<uint8_t*>(p) + 16, v.high);
}
[[gnu::always_inline]] inline vi broadcast32(int32_t x) {
  return {all32(x), all32(x)};
}
[[gnu::always_inline]] inline vi bit_and(vi a, vi b) {
  return {bit_and(a.low, b.low), bit_and(a.high, b.high)};
}
[[gnu::always_inline]] inline vi bit_or(vi a, vi b) {
  return {bit_or(a.low, b.low), bit_or(a.high, b.high)};
}
[[gnu::always_inline]] inline vi shift_left32(vi v, int n) {
  return {shift_left32(v.low, n), shift_left32(v.high, n)};
}
[[gnu::always_inline]] inline vi add32(vi a, vi b) {
  return {add32(a.low, b.low), add32(a.high, b.high)};
}
[[gnu::always_inline]] inline vi sub32(vi a, vi b) {
  return {sub32(a.low, b.low), sub32(a.high, b.high)};
}
[[gnu::always_inline]] inline vi max32(vi a, vi b) {
  return {max32(a.low, b.low), max32(a.high, b.high)};
}
[[gnu::always_inline]] inline vi abs8(vi v) {
  return {abs8(v.low), abs8(v.high)};
}
[[gnu::always_inline]] inline vi dot2_u8s8(vi u, vi s) {
  return {dot2_u8s8(u.low, s.low), dot2_u8s8(u.high, s.high)};
}
[[gnu::always_inline]] inline vi dot2_s16(vi a, vi b) {
  return {dot2_s16(a.low, b.low), dot2_s16(a.high, b.high)};
}
[[gnu::always_inline]] inline int32_t sum32(vi v) {
  return sum32(add32(v.low, v.high));
}
[[gnu::always_inline]] inline int32_t highest32(vi v) {
  return highest32(max32(v.low, v.high));
}
[[gnu::always_inline]] inline vi narrow_to8(vi a, vi b, vi c, vi d) {
  return {narrow16(a.low, a.high, b.low, b.high), narrow16(c.low, c.high, d.low, d.high)};
}
[[gnu::always_inline]] inline uint64_t sign_bits64(const uint8_t* p) {
  const uint64_t low = sign_bits16(p) | sign_bits16(p + 16) << 16;
  const uint64_t high = sign_bits16(p + 32) | sign_bits16(p + 48) << 16;
  return high << 32 | low;
}

// ---- packed weights ----

using wf = f4;
using wi = i4;
inline constexpr int64_t kWide = 4;
using Groups = vf;  // what search.inl fits side by side

[[gnu::always_inline]] inline wi wide_load(const void* p) {
  return load16(p);
}
[[gnu::always_inline]] inline wi wide_zero() {
  return all32(0);
}
[[gnu::always_inline]] inline wi wide_or(wi a, wi b) {
  return bit_or(a, b);
}
template <int kFrom, int kMask>
[[gnu::always_inline]] inline wi wide_bits(wi x) {
  if constexpr (kFrom != 0) x = shift_right16<kFrom>(x);
  return bit_and(x, all8(static_cast<int8_t>(kMask)));
}
template <int kBy>
[[gnu::always_inline]] inline wi wide_up(wi x) {
  return shift_left16<kBy>(x);
}
[[gnu::always_inline]] inline wi wide_look_up16(const int8_t* table, wi index) {
  return look_up16(table, index);
}
[[gnu::always_inline]] inline wf wide_halves(const void* p) {
  return load_f16x4(p);
}
[[gnu::always_inline]] inline wf wide_bf16s(const void* p) {
  return load_bf16x4(p);
}
[[gnu::always_inline]] inline wi wide_widen(const int8_t* p) {
  return widen8x4(p);
}
[[gnu::always_inline]] inline wf wide_int8s(const int8_t* p) {
  return to_float(wide_widen(p));
}
[[gnu::always_inline]] inline wi wide_pair(wi low, wi high) {
  return pair16(low, high);
}
template <int kFactor>
[[gnu::always_inline]] inline wi wide_pairs(const int8_t* a, const int8_t* b) {
  return mul16(pair16(wide_widen(a), wide_widen(b)), all16(kFactor));
}
[[gnu::always_inline]] inline wf wide_loadf(const float* p) {
  return load4(p);
}
[[gnu::always_inline]] inline void wide_storef(float* p, wf v) {
  store4(p, v);
}
[[gnu::always_inline]] inline wf wide_broadcast(float x) {
  return broadcast4(x);
}
[[gnu::always_inline]] inline wf wide_mul(wf a, wf b) {
  return a * b;
}
[[gnu::always_inline]] inline wf wide_negate(wf a) {
  return -a;
}
[[gnu::always_inline]] inline wf wide_abs(wf a) {
  return as_float(bit_and(as_int(a), all32(INT32_MAX)));
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
  return shift_left32(v, 3);
}
template <int kValue>
[[gnu::always_inline]] inline wi wide_every16() {
  return all16(kValue);
}

}  // namespace simd
}  // namespace
}  // namespace nibble
