#pragma once
// Codes into blocks and out of them: a Packing<Block> says what one type's codes and scales are.
// Codes travel as 8 words of 4 bytes, word j holding columns 4j .. 4j+3 of a block of 32; g is
// which 32 columns of a longer block. set() and set_scales() write into a block of zeros.
//
// Where a shifted word is or-ed to another it is named first: g++ 12 with -fsanitize=undefined
// compiles `x |= (f(w[j])) << j` wrongly. Everything has internal linkage: files compiled for one
// instruction set include this.
#include <cstring>

#include "quant/all_types.h"

namespace nibble {
namespace {

using Words = uint32_t[8];

inline uint32_t read32(const void* p) {
  uint32_t x;
  std::memcpy(&x, p, sizeof(x));
  return x;
}
inline void write32(void* p, uint32_t x) {
  std::memcpy(p, &x, sizeof(x));
}
inline void or32(void* p, uint32_t x) {
  write32(p, read32(p) | x);
}

constexpr uint32_t bytes_of(uint32_t b) {
  return b * 0x01010101u;
}

// 32 codes of 4 bits in 16 bytes: byte i holds code i and code i + 16.
inline void get_nibbles(const uint8_t* qs, Words& w) {
  for (int j = 0; j < 4; ++j) {
    const uint32_t x = read32(qs + 4 * j);
    w[j] = x & bytes_of(15);
    w[j + 4] = x >> 4 & bytes_of(15);
  }
}
inline void set_nibbles(uint8_t* qs, const Words& w) {
  for (int j = 0; j < 4; ++j) {
    write32(qs + 4 * j, (w[j] & bytes_of(15)) | (w[j + 4] & bytes_of(15)) << 4);
  }
}

// 32 bits, bit i of code i, put at bit 4 of its byte.
inline void get_fifth_bits(const uint8_t* qh, Words& w) {
  const uint32_t bits = read32(qh);
  for (int j = 0; j < 8; ++j) {
    w[j] |= ((bits >> 4 * j & 15) * 0x00204081u & bytes_of(1)) << 4;
  }
}
inline void set_fifth_bits(uint8_t* qh, const Words& w) {
  uint32_t bits = 0;
  for (int j = 0; j < 8; ++j) {
    const uint32_t four = (w[j] >> 4 & bytes_of(1)) * 0x01020408u >> 24;
    bits |= four << 4 * j;
  }
  write32(qh, bits);
}

// `mask` bits from bit `shift` on of 32 bytes, one a code.
inline void get_bytes(const uint8_t* p, int shift, uint32_t mask, int to, Words& w) {
  for (int j = 0; j < 8; ++j) w[j] |= (read32(p + 4 * j) >> shift & bytes_of(mask)) << to;
}
inline void set_bytes(uint8_t* p, int shift, uint32_t mask, int from, const Words& w) {
  for (int j = 0; j < 8; ++j) or32(p + 4 * j, (w[j] >> from & bytes_of(mask)) << shift);
}

// ---- the types ----

template <class Block>
struct Packing;

template <>
struct Packing<block::Q4_0> {
  static void get(const block::Q4_0& b, int, Words& w) { get_nibbles(b.qs, w); }
  static void set(block::Q4_0& b, int, const Words& w) { set_nibbles(b.qs, w); }
};

template <>
struct Packing<block::Q4_1> {
  static void get(const block::Q4_1& b, int, Words& w) { get_nibbles(b.qs, w); }
  static void set(block::Q4_1& b, int, const Words& w) { set_nibbles(b.qs, w); }
};

template <>
struct Packing<block::Q5_0> {
  static void get(const block::Q5_0& b, int, Words& w) {
    get_nibbles(b.qs, w);
    get_fifth_bits(b.qh, w);
  }
  static void set(block::Q5_0& b, int, const Words& w) {
    set_nibbles(b.qs, w);
    set_fifth_bits(b.qh, w);
  }
};

template <>
struct Packing<block::Q5_1> {
  static void get(const block::Q5_1& b, int, Words& w) {
    get_nibbles(b.qs, w);
    get_fifth_bits(b.qh, w);
  }
  static void set(block::Q5_1& b, int, const Words& w) {
    set_nibbles(b.qs, w);
    set_fifth_bits(b.qh, w);
  }
};

template <>
struct Packing<block::Q8_0> {
  static void get(const block::Q8_0& b, int, Words& w) { std::memcpy(w, b.qs, sizeof(w)); }
  static void set(block::Q8_0& b, int, const Words& w) { std::memcpy(b.qs, w, sizeof(w)); }
};

template <>
struct Packing<block::IQ4_NL> {
  static void get(const block::IQ4_NL& b, int, Words& w) { get_nibbles(b.qs, w); }
  static void set(block::IQ4_NL& b, int, const Words& w) { set_nibbles(b.qs, w); }
};

template <>
struct Packing<block::MXFP4> {
  static void get(const block::MXFP4& b, int, Words& w) { get_nibbles(b.qs, w); }
  static void set(block::MXFP4& b, int, const Words& w) { set_nibbles(b.qs, w); }
};

template <>
struct Packing<block::NF4> {
  static void get(const block::NF4& b, int g, Words& w) { get_nibbles(b.qs + 16 * g, w); }
  static void set(block::NF4& b, int g, const Words& w) { set_nibbles(b.qs + 16 * g, w); }
};

template <>
struct Packing<block::IQ4_XS> {
  static void get(const block::IQ4_XS& b, int g, Words& w) { get_nibbles(b.qs + 16 * g, w); }
  static void set(block::IQ4_XS& b, int g, const Words& w) { set_nibbles(b.qs + 16 * g, w); }
  static void get_scales(const block::IQ4_XS& b, int8_t* scale, int8_t*) {
    for (int g = 0; g < 8; ++g) scale[g] = static_cast<int8_t>(block::group_scale(b, g) - 32);
  }
  static void set_scales(block::IQ4_XS& b, const int8_t* scale, const int8_t*) {
    unsigned high = 0;
    for (int g = 0; g < 8; ++g) {
      const unsigned s = static_cast<unsigned>(scale[g] + 32);
      b.scales_l[g / 2] = static_cast<uint8_t>(b.scales_l[g / 2] | (s & 15) << 4 * (g % 2));
      high |= (s >> 4) << 2 * g;
    }
    b.scales_h = static_cast<uint16_t>(high);
  }
};

// block/k_scale.h's scales and minima.
template <class Block>
void get_k_scales(const Block& b, int8_t* scale, int8_t* min) {
  for (int g = 0; g < 8; ++g) {
    const block::KScale s = block::k_scale(b.scales, g);
    scale[g] = static_cast<int8_t>(s.scale);
    min[g] = static_cast<int8_t>(s.minimum);
  }
}
template <class Block>
void set_k_scales(Block& b, const int8_t* scale, const int8_t* min) {
  for (int g = 0; g < 4; ++g) {
    b.scales[g] = static_cast<uint8_t>(scale[g] | scale[g + 4] >> 4 << 6);
    b.scales[4 + g] = static_cast<uint8_t>(min[g] | min[g + 4] >> 4 << 6);
    b.scales[8 + g] = static_cast<uint8_t>((scale[g + 4] & 15) | (min[g + 4] & 15) << 4);
  }
}

template <>
struct Packing<block::Q4_K> {
  static void get(const block::Q4_K& b, int g, Words& w) {
    get_bytes(b.qs + 32 * (g / 2), 4 * (g % 2), 15, 0, w);
  }
  static void set(block::Q4_K& b, int g, const Words& w) {
    set_bytes(b.qs + 32 * (g / 2), 4 * (g % 2), 15, 0, w);
  }
  static constexpr auto get_scales = get_k_scales<block::Q4_K>;
  static constexpr auto set_scales = set_k_scales<block::Q4_K>;
};

template <>
struct Packing<block::Q5_K> {
  static void get(const block::Q5_K& b, int g, Words& w) {
    get_bytes(b.qs + 32 * (g / 2), 4 * (g % 2), 15, 0, w);
    get_bytes(b.qh, g, 1, 4, w);
  }
  static void set(block::Q5_K& b, int g, const Words& w) {
    set_bytes(b.qs + 32 * (g / 2), 4 * (g % 2), 15, 0, w);
    set_bytes(b.qh, g, 1, 4, w);
  }
  static constexpr auto get_scales = get_k_scales<block::Q5_K>;
  static constexpr auto set_scales = set_k_scales<block::Q5_K>;
};

template <>
struct Packing<block::Q6_K> {
  static void get(const block::Q6_K& b, int g, Words& w) {
    get_bytes(b.ql + 64 * (g / 4) + 32 * (g % 2), 4 * (g % 4 / 2), 15, 0, w);
    get_bytes(b.qh + 32 * (g / 4), 2 * (g % 4), 3, 4, w);
  }
  static void set(block::Q6_K& b, int g, const Words& w) {
    set_bytes(b.ql + 64 * (g / 4) + 32 * (g % 2), 4 * (g % 4 / 2), 15, 0, w);
    set_bytes(b.qh + 32 * (g / 4), 2 * (g % 4), 3, 4, w);
  }
  static void get_scales(const block::Q6_K& b, int8_t* scale, int8_t*) {
    std::memcpy(scale, b.scales, 16);
  }
  static void set_scales(block::Q6_K& b, const int8_t* scale, const int8_t*) {
    std::memcpy(b.scales, scale, 16);
  }
};

template <>
struct Packing<block::Q3_K> {
  static void get(const block::Q3_K& b, int g, Words& w) {
    get_bytes(b.qs + 32 * (g / 4), 2 * (g % 4), 3, 0, w);
    get_bytes(b.hmask, g, 1, 2, w);
  }
  static void set(block::Q3_K& b, int g, const Words& w) {
    set_bytes(b.qs + 32 * (g / 4), 2 * (g % 4), 3, 0, w);
    set_bytes(b.hmask, g, 1, 2, w);
  }
  static void get_scales(const block::Q3_K& b, int8_t* scale, int8_t*) {
    for (int g = 0; g < 16; ++g) scale[g] = static_cast<int8_t>(block::group_scale(b, g) - 32);
  }
  static void set_scales(block::Q3_K& b, const int8_t* scale, const int8_t*) {
    for (int g = 0; g < 16; ++g) {
      const unsigned s = static_cast<unsigned>(scale[g] + 32);
      b.scales[g % 8] = static_cast<uint8_t>(b.scales[g % 8] | (s & 15) << 4 * (g / 8));
      b.scales[8 + g % 4] = static_cast<uint8_t>(b.scales[8 + g % 4] | (s >> 4) << 2 * (g / 4));
    }
  }
};

template <>
struct Packing<block::Q2_K> {
  static void get(const block::Q2_K& b, int g, Words& w) {
    get_bytes(b.qs + 32 * (g / 4), 2 * (g % 4), 3, 0, w);
  }
  static void set(block::Q2_K& b, int g, const Words& w) {
    set_bytes(b.qs + 32 * (g / 4), 2 * (g % 4), 3, 0, w);
  }
  static void get_scales(const block::Q2_K& b, int8_t* scale, int8_t* min) {
    for (int g = 0; g < 16; ++g) {
      scale[g] = static_cast<int8_t>(b.scales[g] & 15);
      min[g] = static_cast<int8_t>(b.scales[g] >> 4);
    }
  }
  static void set_scales(block::Q2_K& b, const int8_t* scale, const int8_t* min) {
    for (int g = 0; g < 16; ++g) b.scales[g] = static_cast<uint8_t>(scale[g] | min[g] << 4);
  }
};

}  // namespace
}  // namespace nibble
