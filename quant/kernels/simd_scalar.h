#pragma once
// The primitives without any instruction set, in the vector extensions of g++ and clang: for the
// baseline table, and as the description of what each primitive does. A vf is 8 floats; a vi is 32
// bytes that hold int8, int16 or int32 lanes as the function says, lane 0 first. The integer
// primitives and the plain float operations give the same bits on every instruction set; fma()
// rounds twice here and once there.
#include <cstdint>
#include <cstring>

#include "quant/block/half.h"

namespace nibble {
namespace {
namespace simd {

inline constexpr int64_t kLanes = 8;
// How many tokens or heads share a load: what the registers hold. It changes no result.
inline constexpr int kTile = 1;
// How far the loops over the registers of a tile are unrolled.
inline constexpr int kUnroll = 1;

using vf = float __attribute__((vector_size(32)));
using vi = int32_t __attribute__((vector_size(32)));
// Other views of a vi.
using Lanes32 = uint32_t __attribute__((vector_size(32)));
using Lanes16 = int16_t __attribute__((vector_size(32)));
using Lanes16u = uint16_t __attribute__((vector_size(32)));
using Lanes8 = int8_t __attribute__((vector_size(32)));
using Lanes8u = uint8_t __attribute__((vector_size(32)));

// ---- floats ----

inline vf load(const float* p) {
  vf r;
  std::memcpy(&r, p, sizeof(r));
  return r;
}
inline void store(float* p, vf v) {
  std::memcpy(p, &v, sizeof(v));
}
inline vf broadcast(float x) {
  return vf{x, x, x, x, x, x, x, x};
}
inline vf zero() {
  return vf{};
}
/// a * b + c
inline vf fma(vf a, vf b, vf c) {
  return a * b + c;
}
/// The second operand if one is not a number.
inline vf max(vf a, vf b) {
  return a > b ? a : b;
}
inline vf min(vf a, vf b) {
  return a < b ? a : b;
}
/// a < b ? yes : no
inline vf if_less(vf a, vf b, vf yes, vf no) {
  return a < b ? yes : no;
}
inline vf to_float(vi v) {
  return __builtin_convertvector(v, vf);
}
inline vi as_int(vf v) {
  return (vi)v;
}
inline vf as_float(vi v) {
  return (vf)v;
}

/// 8 halves; the arithmetic is block::half_to_float's.
inline vf load_f16(const void* p) {
  uint16_t __attribute__((vector_size(16))) h;
  std::memcpy(&h, p, sizeof(h));
  const vi half = __builtin_convertvector(h, vi);
  const vi magnitude = half & 0x7fff;
  const vi special = (0x7bff - magnitude) >> 31;  // infinity and NaN
  const vi normal = (magnitude << 13) + (112 << 23) + (special & (112 << 23));
  const vi subnormal = as_int(to_float(magnitude) * 0x1p-24f);
  const vi is_small = (magnitude - 0x0400) >> 31;
  return as_float((half & 0x8000) << 16 | (is_small & subnormal) | (~is_small & normal));
}
inline void store_f16(void* p, vf v) {
  uint16_t h[8];
  for (int i = 0; i < 8; ++i) h[i] = block::float_to_half(v[i]);
  std::memcpy(p, h, sizeof(h));
}
inline vf load_bf16(const void* p) {
  uint16_t h[8];
  std::memcpy(h, p, sizeof(h));
  float x[8];
  for (int i = 0; i < 8; ++i) x[i] = block::bfloat_to_float(h[i]);
  return load(x);
}
/// Lane i is the sum of v[i], added as ((0+1)+(2+3)) + ((4+5)+(6+7)).
inline vf sum_each(const vf (&v)[8]) {
  float sums[8];
  for (int i = 0; i < 8; ++i) {
    const vf x = v[i];
    sums[i] = ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
  }
  return load(sums);
}

// ---- integers ----

inline vi load_bytes(const void* p) {
  vi r;
  std::memcpy(&r, p, sizeof(r));
  return r;
}
inline void store_bytes(void* p, vi v) {
  std::memcpy(p, &v, sizeof(v));
}
inline vi broadcast8(int8_t x) {
  return (vi)(Lanes8{} + x);
}
inline vi broadcast16(int16_t x) {
  return (vi)(Lanes16{} + x);
}
inline vi broadcast32(int32_t x) {
  return vi{} + x;
}
inline vi broadcast32(const void* p) {
  int32_t x;
  std::memcpy(&x, p, sizeof(x));
  return broadcast32(x);
}
inline vi bit_and(vi a, vi b) {
  return a & b;
}
inline vi bit_or(vi a, vi b) {
  return a | b;
}
inline vi shift_left32(vi a, int n) {
  return (vi)((Lanes32)a << n);
}
inline vi shift_right32(vi a, int n) {
  return (vi)((Lanes32)a >> n);
}
/// The low 16 bits of each product.
inline vi mul16(vi a, vi b) {
  return (vi)((Lanes16u)a * (Lanes16u)b);
}
inline vi add32(vi a, vi b) {
  return (vi)((Lanes32)a + (Lanes32)b);
}
inline vi sub32(vi a, vi b) {
  return (vi)((Lanes32)a - (Lanes32)b);
}
inline vi max32(vi a, vi b) {
  return a > b ? a : b;
}
/// 255 where the byte is negative, else 0. By shifts: g++ 12 takes comparisons of vectors that the
/// CPU lacks apart into scalars.
inline Lanes8u negative8(vi a) {
  const Lanes16u high = (Lanes16u)((Lanes16)a >> 15) & 0xff00;
  const Lanes16u low = (Lanes16u)((Lanes16)((Lanes16u)a << 8) >> 15) >> 8;
  return (Lanes8u)(high | low);
}
/// |-128| is the unsigned byte 128.
inline vi abs8(vi a) {
  const Lanes8u negative = negative8(a);
  return (vi)(((Lanes8u)a ^ negative) - negative);
}
/// v or -v as sign is positive or negative; one of v and 0 where it is 0.
inline vi apply_sign8(vi v, vi sign) {
  const Lanes8u negative = negative8(sign);
  return (vi)(((Lanes8u)v ^ negative) - negative);
}
/// int16 lane i is u[2i] * s[2i] + u[2i+1] * s[2i+1], u unsigned. Must fit: the instruction
/// saturates where this wraps.
inline vi dot2_u8s8(vi u, vi s) {
  const Lanes16u low = ((Lanes16u)u & 0xff) * (Lanes16u)((Lanes16)((Lanes16u)s << 8) >> 8);
  const Lanes16u high = ((Lanes16u)u >> 8) * (Lanes16u)((Lanes16)s >> 8);
  return (vi)(low + high);
}
/// int32 lane i is a[2i] * b[2i] + a[2i+1] * b[2i+1].
inline vi dot2_s16(vi a, vi b) {
  const vi low = (shift_left32(a, 16) >> 16) * (shift_left32(b, 16) >> 16);
  const vi high = (a >> 16) * (b >> 16);
  return add32(low, high);
}
/// table[index] for each byte, 0 <= index < 16.
inline vi look_up16(const int8_t* table, vi index) {
  int8_t b[32];
  store_bytes(b, index);
  for (int8_t& x : b) x = table[x & 15];
  return load_bytes(b);
}
inline int32_t sum32(vi v) {
  const Lanes32 u = (Lanes32)v;  // wraps, as the instruction does
  return static_cast<int32_t>(u[0] + u[1] + u[2] + u[3] + u[4] + u[5] + u[6] + u[7]);
}
inline int32_t highest32(vi v) {
  int32_t highest = v[0];
  for (int i = 1; i < 8; ++i) highest = v[i] > highest ? v[i] : highest;
  return highest;
}
/// Four times 8 int32 in int8's range to 32 bytes, in order.
inline vi narrow_to8(vi a, vi b, vi c, vi d) {
  const vi all[4] = {a, b, c, d};
  int8_t bytes[32];
  for (int i = 0; i < 32; ++i) bytes[i] = static_cast<int8_t>(all[i / 8][i % 8]);
  return load_bytes(bytes);
}

// ---- packed weights: vectors of kWide rows ----

using wf = vf;
using wi = vi;
inline constexpr int64_t kWide = 8;
using Groups = vf;  // what search.inl fits side by side

inline wi wide_load(const void* p) {
  return load_bytes(p);
}
inline wi wide_zero() {
  return wi{};
}
inline wi wide_or(wi a, wi b) {
  return a | b;
}
/// Of each byte, the bits from kFrom on that kMask has.
template <int kFrom, int kMask>
inline wi wide_bits(wi x) {
  return shift_right32(x, kFrom) & broadcast8(kMask);
}
/// Each byte kBy bits up; what leaves it ends in another's low kBy bits or is lost.
template <int kBy>
inline wi wide_up(wi x) {
  return shift_left32(x, kBy);
}
/// table[index] for each byte, 0 <= index < 16.
inline wi wide_look_up16(const int8_t* table, wi index) {
  return look_up16(table, index);
}
/// kWide halves as floats.
inline wf wide_halves(const void* p) {
  return load_f16(p);
}
/// kWide bfloat16.
inline wf wide_bf16s(const void* p) {
  return load_bf16(p);
}
inline wi wide_widen(const int8_t* p) {
  int32_t x[8];
  for (int i = 0; i < 8; ++i) x[i] = p[i];
  return load_bytes(x);
}
/// kWide int8 as floats.
inline wf wide_int8s(const int8_t* p) {
  return to_float(wide_widen(p));
}
inline wi wide_pair(wi low, wi high) {
  return (low & 0xffff) | shift_left32(high, 16);
}
/// kWide int8 as dot_scaled wants its factors.
inline wi wide_scales(const int8_t* p) {
  const wi x = wide_widen(p);
  return wide_pair(x, x);
}
/// int16 lane 2i is kFactor * a[i], 2i + 1 is kFactor * b[i].
template <int kFactor>
inline wi wide_pairs(const int8_t* a, const int8_t* b) {
  return mul16(wide_pair(wide_widen(a), wide_widen(b)), broadcast16(kFactor));
}
inline wf wide_loadf(const float* p) {
  return load(p);
}
inline void wide_storef(float* p, wf v) {
  store(p, v);
}
inline wf wide_broadcast(float x) {
  return broadcast(x);
}
inline wf wide_mul(wf a, wf b) {
  return a * b;
}
inline wf wide_negate(wf a) {
  return -a;
}
inline wf wide_abs(wf a) {
  return max(a, -a);
}
inline wf wide_fma(wf a, wf b, wf c) {
  return fma(a, b, c);
}
inline wf wide_to_float(wi v) {
  return to_float(v);
}
inline wi wide_add32(wi a, wi b) {
  return add32(a, b);
}
inline wi wide_times8(wi v) {
  return shift_left32(v, 3);
}
/// kValue in every int16 lane.
template <int kValue>
inline wi wide_every16() {
  return broadcast16(kValue);
}

/// Lane i is the sum over 32 columns of row i's codes (unsigned, at most kMaxCode) times a [32].
template <int kMaxCode>
inline wi dot_codes(const wi (&w)[8], const int8_t* a) {
  wi sum = wide_zero();
  for (int j = 0; j < 8; ++j) {
    sum = add32(sum, dot2_s16(dot2_u8s8(w[j], broadcast32(a + 4 * j)), broadcast16(1)));
  }
  return sum;
}
/// The same, the first 16 columns times `first`, the others times `second`.
template <int kMaxCode>
inline wi dot_scaled(const wi (&w)[8], const int8_t* a, wi first, wi second) {
  wi sum = wide_zero();
  for (int j = 0; j < 8; ++j) {
    const wi pairs = dot2_u8s8(w[j], broadcast32(a + 4 * j));
    sum = add32(sum, dot2_s16(pairs, j < 4 ? first : second));
  }
  return sum;
}

/// Signed codes in whatever form dot_signed wants.
struct SignedCodes {
  wi size[8];
  wi code[8];
};
inline SignedCodes signed_codes(const wi (&w)[8]) {
  SignedCodes s;
  for (int j = 0; j < 8; ++j) {
    s.code[j] = w[j];
    s.size[j] = abs8(w[j]);
  }
  return s;
}
/// Lane i is the sum over 32 columns of row i's signed codes times a [32]; sums are a's of the
/// halves.
inline wi dot_signed(const SignedCodes& w, const int8_t* a, const int16_t* /*sums*/) {
  wi sum = wide_zero();
  for (int j = 0; j < 8; ++j) {
    const wi signed_a = apply_sign8(broadcast32(a + 4 * j), w.code[j]);
    sum = add32(sum, dot2_s16(dot2_u8s8(w.size[j], signed_a), broadcast16(1)));
  }
  return sum;
}
/// Lane i is pairs[2i] * sums[0] + pairs[2i + 1] * sums[1].
inline wi dot_sums(wi pairs, const int16_t* sums) {
  return dot2_s16(pairs, broadcast32(sums));
}
/// Bit i is the highest of byte i.
inline uint64_t sign_bits64(const uint8_t* p) {
  uint64_t bits = 0;
  for (int i = 0; i < 64; ++i) bits |= static_cast<uint64_t>(p[i] >> 7) << i;
  return bits;
}

}  // namespace simd
}  // namespace
}  // namespace nibble
