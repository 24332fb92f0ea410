#pragma once
// Packed weights (quant/packed.h) as registers: a Format says how one type's planes become codes,
// one vector a step of 4 columns, and factors. Vectors are simd::kWide rows wide, half a group of
// 16 or all of it.
//
//   weight = d * scale * (code - kOffset) - m * min        (whatever the type has of these)
#include "quant/block/iq4_nl.h"
#include "quant/block/nf4.h"
#include "quant/kernels/act.inl"
#include "quant/packed.h"

namespace nibble {
namespace {

using simd::wf;
using simd::wi;
constexpr int64_t kWide = simd::kWide;

// The planes of one group, from some block on, from row `half * kWide` on.
struct GroupPlanes {
  const uint8_t* nibble;
  const uint8_t* pair;
  const uint8_t* bit;
  const uint8_t* low;
  const uint8_t* byte;
  const uint8_t* d;
  const uint8_t* m;
  const int8_t* scale;
  const int8_t* min;
};

[[gnu::always_inline]] inline GroupPlanes group_planes(const PackRecipe& recipe,
                                                       const PackedLayout& l, const void* packed,
                                                       int64_t group) {
  const auto* p = static_cast<const uint8_t*>(packed);
  const int64_t scales = l.blocks * recipe.scales * 16;
  return {p + l.nibble + group * l.blocks * 256,
          p + l.pair + group * l.blocks * 128,
          p + l.bit + group * l.blocks * 64,
          p + l.low + group * l.blocks * 64,
          p + l.byte + group * l.blocks * 512,
          p + l.d + group * l.units * 32,
          p + l.m + group * l.units * 32,
          reinterpret_cast<const int8_t*>(p) + l.scale + group * scales,
          reinterpret_cast<const int8_t*>(p) + l.min + group * scales};
}

using Codes = wi[8];  // [step]: 4 columns of kWide rows

inline void nibble_codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
  for (int64_t j = 0; j < 4; ++j) {
    const wi x = simd::wide_load(p.nibble + b * 256 + j * 64 + row * 4);
    w[j] = simd::wide_bits<0, 15>(x);
    w[j + 4] = simd::wide_bits<4, 15>(x);
  }
}

// Bits kMask << kFrom of x, moved to kMask << kTo.
template <int kFrom, int kMask, int kTo>
inline wi moved_bits(wi x) {
  if constexpr (kFrom >= kTo) {
    return simd::wide_bits<kFrom - kTo, kMask << kTo>(x);
  } else {
    return simd::wide_bits<0, kMask << kTo>(simd::wide_up<kTo - kFrom>(x));
  }
}

// Two bits of each code, put at kShift.
template <int kShift>
inline void pair_codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
  for (int64_t h = 0; h < 2; ++h) {
    const wi x = simd::wide_load(p.pair + b * 128 + h * 64 + row * 4);
    wi* to = w + 4 * h;
    to[0] = simd::wide_or(to[0], moved_bits<0, 3, kShift>(x));
    to[1] = simd::wide_or(to[1], moved_bits<2, 3, kShift>(x));
    to[2] = simd::wide_or(to[2], moved_bits<4, 3, kShift>(x));
    to[3] = simd::wide_or(to[3], moved_bits<6, 3, kShift>(x));
  }
}

// One bit of each code, from a plane of bits.
template <int kShift>
inline void bit_codes(const uint8_t* plane, int64_t b, int64_t row, Codes& w) {
  const wi x = simd::wide_load(plane + b * 64 + row * 4);
  w[0] = simd::wide_or(w[0], moved_bits<0, 1, kShift>(x));
  w[1] = simd::wide_or(w[1], moved_bits<1, 1, kShift>(x));
  w[2] = simd::wide_or(w[2], moved_bits<2, 1, kShift>(x));
  w[3] = simd::wide_or(w[3], moved_bits<3, 1, kShift>(x));
  w[4] = simd::wide_or(w[4], moved_bits<4, 1, kShift>(x));
  w[5] = simd::wide_or(w[5], moved_bits<5, 1, kShift>(x));
  w[6] = simd::wide_or(w[6], moved_bits<6, 1, kShift>(x));
  w[7] = simd::wide_or(w[7], moved_bits<7, 1, kShift>(x));
}

inline void zero_codes(Codes& w) {
  for (wi& x : w) x = simd::wide_zero();
}

inline wf half_factors(const uint8_t* plane, int64_t unit, int64_t row) {
  return simd::wide_halves(plane + (unit * 16 + row) * 2);
}

// ---- the types ----

// What most types have; the structs below override by name.
struct Defaults {
  static constexpr PackForm kForm = PackForm::plain;
  static constexpr int kMaxCode = 0;          // of unsigned codes; 0: codes are int8
  static constexpr int kOffset = 0;           // subtracted from unsigned codes
  static constexpr bool kHasM = false;        // adds m times what the inputs sum up to
  static constexpr bool kHalfScales = false;  // scales of half blocks, as integers
  static constexpr bool kHalfMinima = false;  // minima of half blocks, as integers
  static constexpr int64_t kUnitBlocks = 1;   // blocks that share d and m
  static constexpr bool kScaled = false;      // d and m are multiplied by integers of each block
};

struct FormatQ4_0 : Defaults {
  static constexpr DType kType = DType::Q4_0;
  static constexpr int kMaxCode = 15;
  static constexpr int kOffset = 8;
  static void codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    nibble_codes(p, b, row, w);
  }
};

struct FormatQ4_1 : Defaults {
  static constexpr DType kType = DType::Q4_1;
  static constexpr int kMaxCode = 15;
  static constexpr bool kHasM = true;
  static void codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    nibble_codes(p, b, row, w);
  }
};

struct FormatQ5_0 : Defaults {
  static constexpr DType kType = DType::Q5_0;
  static constexpr int kMaxCode = 31;
  static constexpr int kOffset = 16;
  static void codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    nibble_codes(p, b, row, w);
    bit_codes<4>(p.bit, b, row, w);
  }
};

struct FormatQ5_1 : FormatQ5_0 {
  static constexpr DType kType = DType::Q5_1;
  static constexpr int kOffset = 0;
  static constexpr bool kHasM = true;
};

struct FormatQ8_0 : Defaults {
  static constexpr DType kType = DType::Q8_0;
  static void codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    for (int64_t j = 0; j < 8; ++j) w[j] = simd::wide_load(p.byte + b * 512 + j * 64 + row * 4);
  }
};

// The upper five bits of code + 128 in codes(), the other three in low_codes().
struct FormatOrderedQ8_0 : FormatQ5_0 {
  static constexpr DType kType = DType::Q8_0;
  static constexpr PackForm kForm = PackForm::ordered;
  static constexpr int kOffset = 0;
  static void low_codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    zero_codes(w);
    pair_codes<0>(p, b, row, w);
    bit_codes<2>(p.low, b, row, w);
  }
};

struct FormatIQ4_NL : Defaults {
  static constexpr DType kType = DType::IQ4_NL;
  static void codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    nibble_codes(p, b, row, w);
    for (wi& x : w) x = simd::wide_look_up16(block::kIQ4Values, x);
  }
};

struct FormatMXFP4 : Defaults {
  static constexpr DType kType = DType::MXFP4;
  static void codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    nibble_codes(p, b, row, w);
    for (wi& x : w) x = simd::wide_look_up16(block::kMXFP4Values, x);
  }
};

// Levels rounded to int8. Not exact: each is off by less than half a unit, see block/nf4.h.
struct FormatNF4 : Defaults {
  static constexpr DType kType = DType::NF4;
  static constexpr int64_t kUnitBlocks = 2;
  static void codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    nibble_codes(p, b, row, w);
    for (wi& x : w) x = simd::wide_look_up16(block::kNF4Values, x);
  }
};

// Types in blocks of 256 whose scales of 32 columns become part of d.
struct ScaledDefaults : Defaults {
  static constexpr int64_t kUnitBlocks = 8;
  static constexpr bool kScaled = true;
};

struct FormatIQ4_XS : ScaledDefaults {
  static constexpr DType kType = DType::IQ4_XS;
  static void codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    FormatIQ4_NL::codes(p, b, row, w);
  }
};

struct FormatQ4_K : ScaledDefaults {
  static constexpr DType kType = DType::Q4_K;
  static constexpr int kMaxCode = 15;
  static constexpr bool kHasM = true;
  static void codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    nibble_codes(p, b, row, w);
  }
};

struct FormatQ5_K : ScaledDefaults {
  static constexpr DType kType = DType::Q5_K;
  static constexpr int kMaxCode = 31;
  static constexpr bool kHasM = true;
  static void codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    FormatQ5_0::codes(p, b, row, w);
  }
};

struct FormatQ6_K : ScaledDefaults {
  static constexpr DType kType = DType::Q6_K;
  static constexpr int kMaxCode = 63;
  static constexpr int kOffset = 32;
  static constexpr bool kHalfScales = true;
  static void codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    nibble_codes(p, b, row, w);
    pair_codes<4>(p, b, row, w);
  }
};

struct FormatQ3_K : ScaledDefaults {
  static constexpr DType kType = DType::Q3_K;
  static constexpr int kMaxCode = 7;
  static constexpr int kOffset = 4;
  static constexpr bool kHalfScales = true;
  static void codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    zero_codes(w);
    pair_codes<0>(p, b, row, w);
    bit_codes<2>(p.bit, b, row, w);
  }
};

struct FormatQ2_K : ScaledDefaults {
  static constexpr DType kType = DType::Q2_K;
  static constexpr int kMaxCode = 3;
  static constexpr bool kHasM = true;
  static constexpr bool kHalfScales = true;
  static constexpr bool kHalfMinima = true;
  static void codes(const GroupPlanes& p, int64_t b, int64_t row, Codes& w) {
    zero_codes(w);
    pair_codes<0>(p, b, row, w);
  }
};

template <class F>
constexpr PackRecipe kRecipe = recipe_of(F::kType, F::kForm);

// ---- reading ahead ----

template <int kBytes>
[[gnu::always_inline]] inline void prefetch(const uint8_t* p) {
  for (int i = 0; i < kBytes; i += 64) __builtin_prefetch(p + i);
}

// Asks for the codes of a block that is needed soon. One token uses weights as fast as memory
// gives them, and the processor's own reading ahead stops at the end of every page. What lies
// behind the last block is asked for in vain, which is harmless.
template <PackRecipe kPlanes>
[[gnu::always_inline]] inline void prefetch_codes(const GroupPlanes& p, int64_t b) {
  constexpr int64_t kAhead = 8;  // blocks: measured, 8 to 20 are alike
  b += kAhead;
  if constexpr (kPlanes.nibble) prefetch<256>(p.nibble + b * 256);
  if constexpr (kPlanes.pair) prefetch<128>(p.pair + b * 128);
  if constexpr (kPlanes.bit) prefetch<64>(p.bit + b * 64);
  if constexpr (kPlanes.low) prefetch<64>(p.low + b * 64);
  if constexpr (kPlanes.byte) prefetch<512>(p.byte + b * 512);
}

// ---- factors ----

// Of one block and kWide rows.
struct BlockFactors {
  wf d;
  wf m;
  wi scale[2];  // of the halves, as dot_scaled wants them
  wi min;       // int16 pairs for the two halves' sums: what they are multiplied by
};

template <class F>
inline BlockFactors block_factors(const GroupPlanes& p, int64_t b, int64_t row) {
  BlockFactors f;
  const int64_t unit = b / F::kUnitBlocks;
  if constexpr (F::kType == DType::MXFP4) {
    f.d = simd::wide_bf16s(p.d + (unit * 16 + row) * 2);
  } else {
    f.d = half_factors(p.d, unit, row);
  }
  if constexpr (F::kType == DType::NF4) {
    f.d = simd::wide_mul(f.d, simd::wide_broadcast(1.0f / block::kNF4Unit));
  }
  if constexpr (F::kHasM) f.m = half_factors(p.m, unit, row);
  if constexpr (F::kHalfScales) {
    const int8_t* scale = p.scale + b * 32 + row;
    f.scale[0] = simd::wide_scales(scale);
    f.scale[1] = simd::wide_scales(scale + 16);
    if constexpr (F::kHalfMinima) {
      const int8_t* min = p.min + b * 32 + row;
      f.min = simd::wide_pairs<1>(min, min + 16);
      f.m = simd::wide_negate(f.m);
    } else {
      f.min = simd::wide_pairs<-F::kOffset>(scale, scale + 16);
    }
  } else if constexpr (F::kScaled) {
    f.d = simd::wide_mul(f.d, simd::wide_int8s(p.scale + b * 16 + row));  // exact: 11 + 7 bits
    if constexpr (F::kHasM) {
      f.m = simd::wide_mul(simd::wide_negate(f.m), simd::wide_int8s(p.min + b * 16 + row));
    }
  } else if constexpr (F::kOffset != 0) {
    f.m = simd::wide_mul(f.d, simd::wide_broadcast(-static_cast<float>(F::kOffset)));
  }
  return f;
}

}  // namespace
}  // namespace nibble
