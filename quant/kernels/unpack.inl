#pragma once
// Quantized weights of any type -> Panel: 8 rows x up to 8 blocks of 32 columns, as one byte per
// code with the scales beside them. A Panel is what the dot product reads, so a new type is one
// struct here:
//
//   weight = d * scale * (code - kOffset) - min        (whatever the type has of these)
//
// d, m   float per block: every factor of the type's scale that needs no finer grain than 32
// scale  int16 per half block, for the types that scale groups of 16
// min    int16 per half block: what multiplies the sums of the activations, offsets included
//
// Codes are interleaved so that one vector holds 4 columns of each of the 8 rows and its int32
// lanes are rows: [column / 4][row][column % 4]. No sum across lanes is ever needed.
#include "quant/block/half.h"
#include "quant/block/iq4_nl.h"
#include "quant/block/iq4_xs.h"
#include "quant/block/q2_k.h"
#include "quant/block/q3_k.h"
#include "quant/block/q4_0.h"
#include "quant/block/q4_1.h"
#include "quant/block/q4_k.h"
#include "quant/block/q5_0.h"
#include "quant/block/q5_1.h"
#include "quant/block/q5_k.h"
#include "quant/block/q6_k.h"
#include "quant/block/q8_0.h"
#include "quant/kernels/pointwise.inl"

namespace nibble {
namespace {

constexpr int64_t kRows = 8;         // rows of a panel
constexpr int64_t kBlock = 32;       // columns of a block
constexpr int64_t kPanelBlocks = 8;  // blocks of a panel: one super-block of the K types

struct Panel {
  alignas(64) uint8_t code[kPanelBlocks][kBlock / 4][kRows][4];
  alignas(64) float d[kPanelBlocks][kRows];
  alignas(64) float m[kPanelBlocks][kRows];
  alignas(64) int16_t scale[kPanelBlocks][2][kRows][2];  // each half's scale, twice
  alignas(64) int16_t min[kPanelBlocks][kRows][2];       // of the two halves
};

// The same before interleaving. Types whose d and m are halves leave them as such.
struct Rows {
  alignas(64) uint8_t code[kRows][kPanelBlocks][kBlock];
  alignas(64) float d[kRows][kPanelBlocks];
  alignas(64) float m[kRows][kPanelBlocks];
  alignas(64) uint16_t half_d[kRows][kPanelBlocks];
  alignas(64) uint16_t half_m[kRows][kPanelBlocks];
  alignas(64) int16_t scale[kRows][kPanelBlocks][2];
  alignas(64) int16_t min[kRows][kPanelBlocks][2];
};

inline uint32_t read32(const uint8_t* p) {
  uint32_t x;
  std::memcpy(&x, p, sizeof(x));
  return x;
}

// ---- the types ----

// What most types have; the structs below override by name.
struct Defaults {
  static constexpr int kMaxCode = 0;        // of unsigned codes; 0: codes are int8
  static constexpr int kOffset = 0;         // subtracted from unsigned codes
  static constexpr bool kHalves = false;    // d and m come as half_d and half_m
  static constexpr bool kHasM = false;      // adds m (times min, where the type has min)
  static constexpr bool kHasScale = false;  // int16 scales of half blocks
  static constexpr bool kHasMin = false;    // int16 minima of half blocks
};

// Types stored in blocks of 32: F::codes gives the 32 bytes of a block.
template <class F, class BlockType>
struct Small : Defaults {
  using Block = BlockType;
  static constexpr bool kHalves = true;
  static void unpack_factors(const Block* p, int64_t blocks, int64_t r, Rows& out) {
    for (int64_t b = 0; b < blocks; ++b) {
      out.half_d[r][b] = p[b].d;
      if constexpr (F::kHasM) out.half_m[r][b] = p[b].m;
    }
  }
  static void unpack(const Block* p, int64_t blocks, int64_t r, Rows& out) {
    unpack_factors(p, blocks, r, out);
    for (int64_t b = 0; b < blocks; ++b) simd::store_bytes(out.code[r][b], F::codes(p[b]));
  }
};

inline vi nibbles_and_fifth_bits(const uint8_t* nibbles, const uint8_t* bits) {
  return simd::bit_or(simd::nibbles(nibbles), simd::bits_to_bytes(read32(bits), 16));
}

struct FormatQ4_0 : Small<FormatQ4_0, block::Q4_0> {
  static constexpr int kMaxCode = 15;
  static constexpr int kOffset = 8;
  static vi codes(const Block& b) { return simd::nibbles(b.qs); }
};

struct FormatQ4_1 : Small<FormatQ4_1, block::Q4_1> {
  static constexpr int kMaxCode = 15;
  static constexpr bool kHasM = true;
  static vi codes(const Block& b) { return simd::nibbles(b.qs); }
};

struct FormatQ5_0 : Small<FormatQ5_0, block::Q5_0> {
  static constexpr int kMaxCode = 31;
  static constexpr int kOffset = 16;
  static vi codes(const Block& b) { return nibbles_and_fifth_bits(b.qs, b.qh); }
};

struct FormatQ5_1 : Small<FormatQ5_1, block::Q5_1> {
  static constexpr int kMaxCode = 31;
  static constexpr bool kHasM = true;
  static vi codes(const Block& b) { return nibbles_and_fifth_bits(b.qs, b.qh); }
};

struct FormatQ8_0 : Small<FormatQ8_0, block::Q8_0> {
  static vi codes(const Block& b) { return simd::load_bytes(b.qs); }
};

struct FormatIQ4_NL : Small<FormatIQ4_NL, block::IQ4_NL> {
  static vi codes(const Block& b) {
    return simd::look_up16(block::kIQ4Values, simd::nibbles(b.qs));
  }
};

// Types stored in blocks of 256 are always unpacked 8 blocks of 32 at once.

struct FormatIQ4_XS : Defaults {
  using Block = block::IQ4_XS;
  static void unpack(const Block* p, int64_t, int64_t r, Rows& out) {
    const float d = block::half_to_float(p->d);
    for (int b = 0; b < kPanelBlocks; ++b) {
      out.d[r][b] = d * static_cast<float>(block::group_scale(*p, b) - 32);
      const vi index = simd::nibbles(p->qs + 16 * b);
      simd::store_bytes(out.code[r][b], simd::look_up16(block::kIQ4Values, index));
    }
  }
};

// block/k_scale.h's 8 scales and 8 minima, four bytes at a time.
template <class Block>
inline void unpack_k_scales(const Block& p, int64_t r, Rows& out) {
  const uint32_t a = read32(p.scales);
  const uint32_t b = read32(p.scales + 4);
  const uint32_t c = read32(p.scales + 8);
  const uint32_t scales[2] = {a & 0x3f3f3f3f, (c & 0x0f0f0f0f) | (a >> 6 & 0x03030303) << 4};
  const uint32_t minima[2] = {b & 0x3f3f3f3f, (c >> 4 & 0x0f0f0f0f) | (b >> 6 & 0x03030303) << 4};
  const vf d = simd::broadcast(block::half_to_float(p.d));
  const vf dmin = simd::broadcast(-block::half_to_float(p.dmin));
  simd::store(out.d[r], d * simd::load_u8(scales));  // exact: 11 + 6 bits
  simd::store(out.m[r], dmin * simd::load_u8(minima));
}

struct FormatQ4_K : Defaults {
  using Block = block::Q4_K;
  static constexpr int kMaxCode = 15;
  static constexpr bool kHasM = true;
  static void unpack(const Block* p, int64_t, int64_t r, Rows& out) {
    unpack_k_scales(*p, r, out);
    for (int64_t j = 0; j < 4; ++j) {
      const vi q = simd::load_bytes(p->qs + 32 * j);
      simd::store_bytes(out.code[r][2 * j], simd::bit_and(q, simd::broadcast8(15)));
      simd::store_bytes(out.code[r][2 * j + 1], simd::shift_right8(q, 4));
    }
  }
};

struct FormatQ5_K : Defaults {
  using Block = block::Q5_K;
  static constexpr int kMaxCode = 31;
  static constexpr bool kHasM = true;
  static void unpack(const Block* p, int64_t, int64_t r, Rows& out) {
    unpack_k_scales(*p, r, out);
    const vi bit4 = simd::broadcast8(16);
    vi high = simd::load_bytes(p->qh);  // bit b of byte l belongs to block b, column l
    for (int64_t j = 0; j < 4; ++j) {
      const vi q = simd::load_bytes(p->qs + 32 * j);
      const vi even = simd::bit_and(simd::shift_left32(high, 4), bit4);
      const vi odd = simd::bit_and(simd::shift_left32(high, 3), bit4);
      const vi low = simd::bit_and(q, simd::broadcast8(15));
      simd::store_bytes(out.code[r][2 * j], simd::bit_or(low, even));
      simd::store_bytes(out.code[r][2 * j + 1], simd::bit_or(simd::shift_right8(q, 4), odd));
      high = simd::shift_right8(high, 2);
    }
  }
};

struct FormatQ6_K : Defaults {
  using Block = block::Q6_K;
  static constexpr int kMaxCode = 63;
  static constexpr int kOffset = 32;
  static constexpr bool kHasScale = true;
  static void unpack(const Block* p, int64_t, int64_t r, Rows& out) {
    const vi low4 = simd::broadcast8(15);
    const vi bits45 = simd::broadcast8(0x30);
    for (int64_t h = 0; h < 2; ++h) {
      const vi a = simd::load_bytes(p->ql + 64 * h);
      const vi b = simd::load_bytes(p->ql + 64 * h + 32);
      const vi high = simd::load_bytes(p->qh + 32 * h);
      const vi low[4] = {simd::bit_and(a, low4), simd::bit_and(b, low4), simd::shift_right8(a, 4),
                         simd::shift_right8(b, 4)};
      const vi top[4] = {simd::shift_left32(high, 4), simd::shift_left32(high, 2), high,
                         simd::shift_right32(high, 2)};
      for (int64_t j = 0; j < 4; ++j) {
        simd::store_bytes(out.code[r][4 * h + j],
                          simd::bit_or(low[j], simd::bit_and(top[j], bits45)));
      }
    }
    const float d = block::half_to_float(p->d);
    for (int64_t b = 0; b < kPanelBlocks; ++b) {
      out.d[r][b] = d;
      out.scale[r][b][0] = p->scales[2 * b];
      out.scale[r][b][1] = p->scales[2 * b + 1];
    }
  }
};

struct FormatQ3_K : Defaults {
  using Block = block::Q3_K;
  static constexpr int kMaxCode = 7;
  static constexpr int kOffset = 4;
  static constexpr bool kHasScale = true;
  static void unpack(const Block* p, int64_t, int64_t r, Rows& out) {
    const vi high = simd::load_bytes(p->hmask);  // bit b of byte l belongs to block b, column l
    const float d = block::half_to_float(p->d);
    for (int b = 0; b < kPanelBlocks; ++b) {
      const vi q = simd::load_bytes(p->qs + 32 * (b / 4));
      const vi low = simd::bit_and(simd::shift_right32(q, 2 * (b % 4)), simd::broadcast8(3));
      const vi top = simd::bit_and(simd::shift_right32(high, b), simd::broadcast8(1));
      simd::store_bytes(out.code[r][b], simd::bit_or(low, simd::shift_left32(top, 2)));
      out.d[r][b] = d;
    }
    unpack_scales(p->scales, r, out);
  }
  // 16 scales of 6 bits, offset 32: low 4 bits in 8 bytes, high 2 bits in 4.
  static void unpack_scales(const uint8_t* p, int64_t r, Rows& out) {
    const uint32_t a = read32(p);
    const uint32_t b = read32(p + 4);
    const uint32_t high = read32(p + 8);
    const uint32_t words[4] = {(a & 0x0f0f0f0f) | (high & 0x03030303) << 4,
                               (b & 0x0f0f0f0f) | (high >> 2 & 0x03030303) << 4,
                               (a >> 4 & 0x0f0f0f0f) | (high >> 4 & 0x03030303) << 4,
                               (b >> 4 & 0x0f0f0f0f) | (high >> 6 & 0x03030303) << 4};
    uint8_t bytes[16];
    std::memcpy(bytes, words, sizeof(bytes));
    for (int64_t i = 0; i < 16; ++i) {
      out.scale[r][i / 2][i % 2] = static_cast<int16_t>(bytes[i] - 32);
    }
  }
};

struct FormatQ2_K : Defaults {
  using Block = block::Q2_K;
  static constexpr int kMaxCode = 3;
  static constexpr bool kHasM = true;
  static constexpr bool kHasScale = true;
  static constexpr bool kHasMin = true;
  static void unpack(const Block* p, int64_t, int64_t r, Rows& out) {
    const float d = block::half_to_float(p->d);
    const float m = -block::half_to_float(p->dmin);
    for (int b = 0; b < kPanelBlocks; ++b) {
      const vi q = simd::load_bytes(p->qs + 32 * (b / 4));
      simd::store_bytes(out.code[r][b],
                        simd::bit_and(simd::shift_right32(q, 2 * (b % 4)), simd::broadcast8(3)));
      out.d[r][b] = d;
      out.m[r][b] = m;
      for (int h = 0; h < 2; ++h) {
        out.scale[r][b][h] = static_cast<int16_t>(p->scales[2 * b + h] & 15);
        out.min[r][b][h] = static_cast<int16_t>(p->scales[2 * b + h] >> 4);
      }
    }
  }
};

// ---- interleaving ----

// [row][block] of 4-byte things -> [block][row].
inline void load_columns(const void* rows, vi (&v)[8]) {
  for (int64_t r = 0; r < kRows; ++r) {
    v[r] = simd::load_bytes(static_cast<const uint8_t*>(rows) + r * 32);
  }
  simd::transpose32(v);
}

inline void interleave_floats(const float (&rows)[kRows][kPanelBlocks],
                              const uint16_t (&halves)[kRows][kPanelBlocks], bool are_halves,
                              float (&out)[kPanelBlocks][kRows]) {
  vi v[8];
  for (int64_t r = 0; r < kRows; ++r) {
    v[r] = simd::as_int(are_halves ? simd::load_f16(halves[r]) : simd::load(rows[r]));
  }
  simd::transpose32(v);
  for (int64_t b = 0; b < kPanelBlocks; ++b) simd::store_bytes(out[b], v[b]);
}

// All of a panel but its codes.
template <class F>
inline void interleave_factors(const Rows& rows, Panel& panel) {
  interleave_floats(rows.d, rows.half_d, F::kHalves, panel.d);
  if constexpr (F::kHasM) interleave_floats(rows.m, rows.half_m, F::kHalves, panel.m);
  vi v[8];
  if constexpr (F::kHasScale) {
    const vi low = simd::broadcast32(0xffff);
    load_columns(rows.scale, v);
    for (int64_t b = 0; b < kPanelBlocks; ++b) {
      const vi first = simd::bit_and(v[b], low);
      const vi second = simd::shift_right32(v[b], 16);
      simd::store_bytes(panel.scale[b][0], simd::bit_or(first, simd::shift_left32(first, 16)));
      simd::store_bytes(panel.scale[b][1], simd::bit_or(second, simd::shift_left32(second, 16)));
      if constexpr (F::kOffset != 0) {  // at most 32 * 128
        simd::store_bytes(panel.min[b], simd::mul16(v[b], simd::broadcast16(-F::kOffset)));
      }
    }
  }
  if constexpr (F::kHasMin) {
    load_columns(rows.min, v);
    for (int64_t b = 0; b < kPanelBlocks; ++b) simd::store_bytes(panel.min[b], v[b]);
  }
}

// 8 rows, `blocks` blocks from each; row[r] points at the first block of row r. What a panel holds
// beyond `blocks` is unspecified.
template <class F>
inline void fill_panel(const typename F::Block* const (&row)[kRows], int64_t blocks, Rows& rows,
                       Panel& panel) {
  for (int64_t r = 0; r < kRows; ++r) F::unpack(row[r], blocks, r, rows);
  for (int64_t b = 0; b < blocks; ++b) {
    vi v[8];
    for (int64_t r = 0; r < kRows; ++r) v[r] = simd::load_bytes(rows.code[r][b]);
    simd::transpose32(v);
    for (int64_t j = 0; j < 8; ++j) simd::store_bytes(panel.code[b][j], v[j]);
  }
  interleave_factors<F>(rows, panel);
}

}  // namespace
}  // namespace nibble
