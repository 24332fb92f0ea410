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
/// 8 unsigned bytes as floats.
inline vf load_u8(const void* p) {
  uint8_t b[8];
  std::memcpy(b, p, sizeof(b));
  float x[8];
  for (int i = 0; i < 8; ++i) x[i] = static_cast<float>(b[i]);
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
inline vi zero_int() {
  return vi{};
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
inline vi shift_left8(vi a, int n) {
  return shift_left32(a, n) & broadcast8(static_cast<int8_t>(0xff << n));
}
inline vi shift_right8(vi a, int n) {
  return shift_right32(a, n) & broadcast8(static_cast<int8_t>(0xff >> n));
}
inline vi add16(vi a, vi b) {
  return (vi)((Lanes16u)a + (Lanes16u)b);
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
/// 16 bytes to 32: the low nibbles, then the high ones.
inline vi nibbles(const void* p) {
  uint8_t b[32];
  std::memcpy(b, p, 16);
  for (int i = 0; i < 16; ++i) b[16 + i] = static_cast<uint8_t>(b[i] >> 4);
  return load_bytes(b) & broadcast8(15);
}
/// Byte i is value where bit i is set, else 0.
inline vi bits_to_bytes(uint32_t bits, int8_t value) {
  int8_t b[32];
  for (int i = 0; i < 32; ++i) b[i] = (bits >> i & 1) != 0 ? value : int8_t{0};
  return load_bytes(b);
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
/// Lane i is the sum of v[i].
inline vi sum_each32(const vi (&v)[8]) {
  int32_t sums[8];
  for (int i = 0; i < 8; ++i) sums[i] = sum32(v[i]);
  return load_bytes(sums);
}
/// int16 lanes 0-7 are p[0], 8-15 are p[1].
inline vi spread_pair(const int16_t* p) {
  int16_t x[16];
  for (int i = 0; i < 16; ++i) x[i] = p[i / 8];
  return load_bytes(x);
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
/// v[i] lane j becomes v[j] lane i.
inline void transpose32(vi (&v)[8]) {
  int32_t x[8][8];
  for (int i = 0; i < 8; ++i) {
    for (int j = 0; j < 8; ++j) x[j][i] = v[i][j];
  }
  for (int i = 0; i < 8; ++i) v[i] = load_bytes(x[i]);
}

}  // namespace simd
}  // namespace
}  // namespace nibble
