#pragma once
// The scales for which blocks of weights lose least: search_row of quant/search.h, for types whose
// blocks have scales of their own. search_super.inl does those in blocks of 256.
//
// Eight groups of weights are fitted side by side, one a lane: no sum ever crosses lanes, and only
// operations that IEEE 754 defines are used, none of them fused, so that every instruction set
// writes the same bytes.
//
// A group's error as a function of its scale has many minima, because every code may change. So
// scales are tried that put the largest weight at various codes; for the codes of each the best
// scale is known in closed form (least squares), and the best of all is refined by taking turns:
// codes for a scale, a scale for codes. What is compared at the end is the error of the scale as it
// is stored, in half precision, also with the scale that quantize_row takes.
#include "quant/block/encode.h"
#include "quant/packing.h"

namespace nibble {
namespace {

using simd::vf;
using simd::vi;
static_assert(simd::kLanes == 8);

constexpr int64_t kGroups = simd::kLanes;  // fitted side by side
// Beyond what any type can hold: 65504 * 128 * 32. Larger weights are taken for this.
constexpr float kLargestWeight = 0x1p28f;
// What a weight counts at least, as a share of the row's largest, so that sums are never zero.
constexpr float kLeastImportance = 1e-9f;
constexpr float kLargestFactor = 65504.0f;

inline vf all(float x) {
  return simd::broadcast(x);
}
inline vf negated(vf x) {
  return simd::zero() - x;
}
inline vf size_of(vf x) {
  return simd::max(x, negated(x));
}
inline vf clamped(vf x, float least, float most) {
  return simd::min(simd::max(x, all(least)), all(most));
}
// To the nearest integer, ties to even: adding 1.5 * 2^23 leaves no room for a fraction.
constexpr float kNoFraction = 0x1.8p23f;
inline vf rounded(vf x) {
  return (x + all(kNoFraction)) - all(kNoFraction);
}
// a / b, 0 where b is not above 0.
inline vf quotient(vf a, vf b) {
  return simd::if_less(simd::zero(), b, a / b, simd::zero());
}
// 1 / d, 0 where d is 0.
inline vf inverse_of(vf d) {
  return simd::if_less(simd::zero(), size_of(d), all(1.0f) / d, simd::zero());
}
// d as it is stored, and its bits.
inline vf to_half(vf d, uint16_t* bits) {
  simd::store_f16(bits, clamped(d, -kLargestFactor, kLargestFactor));
  return simd::load_f16(bits);
}

// kN weights of 8 groups, and what each counts: [weight][group].
template <int kN>
struct GroupTile {
  alignas(64) float x[kN][kGroups];
  alignas(64) float w[kN][kGroups];
};

// A row and what its weights count.
struct Row {
  const float* x;           // [cols]
  const float* importance;  // [cols] or nullptr
  float unit;               // of the importance
};

// Eight rows of eight floats, kStride apart, as columns: three rounds of shuffles.
template <int kStride>
[[gnu::always_inline]] inline void transpose(const float* from, float (*to)[kGroups]) {
  using Eight = float __attribute__((vector_size(32)));
  Eight a[8];
  Eight b[8];
  for (int i = 0; i < 8; ++i) std::memcpy(&a[i], from + i * kStride, sizeof(Eight));
  for (int i = 0; i < 8; i += 2) {
    b[i] = __builtin_shufflevector(a[i], a[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    b[i + 1] = __builtin_shufflevector(a[i], a[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int k = 0; k < 2; ++k) {
      a[i + 2 * k] = __builtin_shufflevector(b[i + k], b[i + k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      a[i + 2 * k + 1] =
          __builtin_shufflevector(b[i + k], b[i + k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  for (int i = 0; i < 4; ++i) {
    b[i] = __builtin_shufflevector(a[i], a[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    b[i + 4] = __builtin_shufflevector(a[i], a[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int i = 0; i < 8; ++i) std::memcpy(to[i], &b[i], sizeof(Eight));
}

// n groups of x side by side; the others are zero.
template <int kN>
inline void interleave(const float* x, int64_t n, float (*to)[kGroups]) {
  if (n == kGroups) {
    for (int i = 0; i < kN; i += 8) transpose<kN>(x + i, to + i);
    return;
  }
  for (int64_t g = 0; g < kGroups; ++g) {
    for (int i = 0; i < kN; ++i) to[i][g] = g < n ? x[g * kN + i] : 0.0f;
  }
}

// Groups from column `col` on, of which n are there.
template <int kN>
inline void load_groups(const Row& row, int64_t col, int64_t n, GroupTile<kN>& t) {
  interleave<kN>(row.x + col, n, t.x);
  vf sum = simd::zero();
  for (int i = 0; i < kN; ++i) {
    const vf x = clamped(simd::load(t.x[i]), -kLargestWeight, kLargestWeight);
    simd::store(t.x[i], x);
    sum = sum + size_of(x);
  }
  const vf mean = sum * all(1.0f / kN);
  for (int i = 0; i < kN; ++i) simd::store(t.w[i], size_of(simd::load(t.x[i])) + mean);
  if (row.importance == nullptr) return;
  alignas(64) float importance[kN][kGroups];
  interleave<kN>(row.importance + col, n, importance);
  for (int i = 0; i < kN; ++i) {
    const vf own = simd::max(simd::load(importance[i]) * all(row.unit), all(kLeastImportance));
    simd::store(t.w[i], simd::load(t.w[i]) * own);
  }
}

// The weight of the largest magnitude, the first of several.
template <int kN>
inline vf extremes(const GroupTile<kN>& t) {
  vf extreme = simd::load(t.x[0]);
  vf size = size_of(extreme);
  for (int i = 1; i < kN; ++i) {
    const vf x = simd::load(t.x[i]);
    const vf larger = size_of(x);
    extreme = simd::if_less(size, larger, x, extreme);
    size = simd::max(size, larger);
  }
  return extreme;
}

// ---- what codes stand for ----

// kTries: where the search puts the largest weight. The first kQuick suffice where all weights
// count about the same; where some hardly count, the best scale may lose the largest weight
// altogether.

// Integers around zero.
template <int kLeast, int kMost>
struct Integers {
  static constexpr float kPlain = kLeast;  // where quantize_row puts it
  static vf nearest(vf x) { return clamped(rounded(x), kLeast, kMost); }
  // The code in the lower bits of each lane.
  template <int kBias>
  static vi code(vf value) {
    return simd::as_int(value + all(kNoFraction + kBias));
  }
};

struct ValuesQ4_0 : Integers<-8, 7> {
  static constexpr float kTries[] = {-8.3f, -7.1f, -7.7f, -8.6f,  -7.4f, -8.0f, -9.3f, 6.9f,
                                     6.6f,  7.2f,  7.8f,  -10.3f, 6.2f,  7.5f,  8.5f,  9.4f};
  static constexpr int kQuick = 4;
  static constexpr int kBias = 8;
};
struct ValuesQ5_0 : Integers<-16, 15> {
  static constexpr float kTries[] = {-15.0f, -15.4f, -15.8f, -16.2f, -16.6f, -17.0f, -17.5f,
                                     14.0f,  14.4f,  14.8f,  15.2f,  15.6f,  16.0f,  16.5f};
  static constexpr int kBias = 16;
};
struct ValuesQ8_0 : Integers<-127, 127> {
  static constexpr float kPlain = 127;
  static constexpr float kTries[] = {125.8f, 125.2f, 124.0f, 123.3f,
                                     127.0f, 120.0f, 126.4f, 124.6f};
  static constexpr int kQuick = 4;
  static constexpr int kBias = 0;
};

// Levels of a code book, ascending.
template <class Level, const Level (&kLevels)[16]>
struct Book {
  static constexpr int kBias = 0;
  static constexpr float level(int k) { return static_cast<float>(kLevels[k]); }
  static constexpr float border(int k) { return (level(k) + level(k + 1)) * 0.5f; }
  static vf nearest(vf x) {
    vf v = all(level(0));
    for (int k = 0; k < 15; ++k) v = simd::if_less(all(border(k)), x, all(level(k + 1)), v);
    return v;
  }
  template <int>
  static vi code(vf value) {
    vf q = all(kNoFraction);
    for (int k = 0; k < 15; ++k) {
      q = simd::if_less(all(border(k)), value, all(kNoFraction + static_cast<float>(k + 1)), q);
    }
    return simd::as_int(q);
  }
};
struct ValuesIQ4 : Book<int8_t, block::kIQ4Values> {
  static constexpr float kPlain = -127;
  static constexpr float kTries[] = {-105.0f, -112.0f, -119.0f, -126.0f, -133.0f, -141.0f, -150.0f,
                                     95.0f,   101.0f,  107.0f,  113.0f,  119.0f,  126.0f,  135.0f};
};
struct ValuesNF4 : Book<float, block::kNF4Levels> {
  static constexpr float kPlain = 1;
  static constexpr float kTries[] = {0.82f,  0.88f,  0.94f,  1.0f,  1.06f,  1.13f,
                                     -0.82f, -0.88f, -0.94f, -1.0f, -1.06f, -1.13f};
};

// ---- one scale a group ----

// The best scale known and what error it saves.
struct Found {
  vf scale = simd::zero();
  vf saved = simd::zero();

  // xv, vv: sums of weight * value and value^2 for some codes.
  void consider(vf xv, vf vv) {
    const vf best = quotient(xv, vv);
    const vf saving = xv * best;
    scale = simd::if_less(saved, saving, best, scale);
    saved = simd::max(saved, saving);
  }
};

// Tries the codes that kAtOnce inverse scales give, each with the scale that is best for them.
template <class Values, int kAtOnce, int kN>
inline void try_scales(const GroupTile<kN>& t, const vf (&inverse)[kAtOnce], Found& found) {
  vf xv[kAtOnce];
  vf vv[kAtOnce];
  for (int k = 0; k < kAtOnce; ++k) xv[k] = vv[k] = simd::zero();
  for (int i = 0; i < kN; ++i) {
    const vf x = simd::load(t.x[i]);
    const vf w = simd::load(t.w[i]);
#pragma GCC unroll 2
    for (int k = 0; k < kAtOnce; ++k) {
      const vf v = Values::nearest(x * inverse[k]);
      const vf wv = w * v;
      xv[k] = xv[k] + wv * x;
      vv[k] = vv[k] + wv * v;
    }
  }
  for (int k = 0; k < kAtOnce; ++k) found.consider(xv[k], vv[k]);
}

template <class Values, int kN>
inline vf search_scale(const Row& row, const GroupTile<kN>& t) {
  int count = sizeof(Values::kTries) / sizeof(Values::kTries[0]);
  static_assert(sizeof(Values::kTries) / sizeof(Values::kTries[0]) % 2 == 0);
  if constexpr (requires { Values::kQuick; }) {
    if (row.importance == nullptr) count = Values::kQuick;
  }
  const vf one = inverse_of(extremes(t));
  Found found;
  for (int i = 0; i < count; i += 2) {
    const vf inverse[] = {one * all(Values::kTries[i]), one * all(Values::kTries[i + 1])};
    try_scales<Values>(t, inverse, found);
  }
  const vf again[] = {inverse_of(found.scale)};
  try_scales<Values>(t, again, found);
  return found.scale;
}

// What a scale loses, with the nearest codes.
template <class Values, int kN>
inline vf loss(const GroupTile<kN>& t, vf scale) {
  const vf inverse = inverse_of(scale);
  vf sum = simd::zero();
  for (int i = 0; i < kN; ++i) {
    const vf x = simd::load(t.x[i]);
    const vf off = x - scale * Values::nearest(x * inverse);
    sum = sum + simd::load(t.w[i]) * off * off;
  }
  return sum;
}

// `scale` becomes `other` where that loses less.
template <class Values, int kN>
inline void take_better(const GroupTile<kN>& t, vf other, vf& scale, vf& least) {
  const vf lost = loss<Values>(t, other);
  scale = simd::if_less(lost, least, other, scale);
  least = simd::min(lost, least);
}

// Codes as words of four, [word][group].
template <int kN>
struct CodeWords {
  alignas(64) uint32_t word[kN / 4][kGroups];
};

// codes(i) is a vi whose lowest bytes are the codes of weight i.
template <int kN, class F>
inline void put_words(CodeWords<kN>& to, F&& codes) {
  const vi byte = simd::broadcast32(255);
  for (int j = 0; j < kN / 4; ++j) {
    vi word = simd::bit_and(codes(4 * j), byte);
    word = simd::bit_or(word, simd::shift_left32(simd::bit_and(codes(4 * j + 1), byte), 8));
    word = simd::bit_or(word, simd::shift_left32(simd::bit_and(codes(4 * j + 2), byte), 16));
    word = simd::bit_or(word, simd::shift_left32(codes(4 * j + 3), 24));
    simd::store_bytes(to.word[j], word);
  }
}

template <class Values, int kN>
inline void put_codes(const GroupTile<kN>& t, vf scale, CodeWords<kN>& to) {
  const vf inverse = inverse_of(scale);
  put_words(to, [&](int i) {
    return Values::template code<Values::kBias>(Values::nearest(simd::load(t.x[i]) * inverse));
  });
}

// Group g's codes into a block.
template <class Block, int kN>
inline void set_codes(const CodeWords<kN>& from, int64_t g, Block& b) {
  for (int part = 0; part < kN / 32; ++part) {
    Words w;
    for (int j = 0; j < 8; ++j) w[j] = from.word[8 * part + j][g];
    Packing<Block>::set(b, part, w);
  }
}

// Blocks of a scale each.
template <class Block, class Values>
void search_scales(const Row& row, int64_t cols, uint8_t* out) {
  constexpr int kN = Block::kLength;
  const int64_t blocks = cols / kN;
  for (int64_t b = 0; b < blocks; b += kGroups) {
    const int64_t n = blocks - b < kGroups ? blocks - b : kGroups;
    GroupTile<kN> t;
    load_groups(row, b * kN, n, t);
    uint16_t d[kGroups];
    vf scale = to_half(extremes(t) / all(Values::kPlain), d);
    vf least = loss<Values>(t, scale);
    take_better<Values>(t, to_half(search_scale<Values>(row, t), d), scale, least);
    simd::store_f16(d, scale);
    CodeWords<kN> words;
    put_codes<Values>(t, scale, words);
    for (int64_t g = 0; g < n; ++g) {
      Block block = {};
      block.d = d[g];
      set_codes(words, g, block);
      std::memcpy(out + (b + g) * static_cast<int64_t>(sizeof(Block)), &block, sizeof(Block));
    }
  }
}

// ---- a step and a least value a group ----

// weight = step * code + low
struct Line {
  vf step;
  vf low;
};

// Sums over a group that do not depend on codes.
struct Moments {
  vf w;
  vf wx;
};
template <int kN>
inline Moments moments(const GroupTile<kN>& t, vf origin) {
  Moments m = {simd::zero(), simd::zero()};
  for (int i = 0; i < kN; ++i) {
    const vf w = simd::load(t.w[i]);
    m.w = m.w + w;
    m.wx = m.wx + w * (simd::load(t.x[i]) - origin);
  }
  return m;
}

// The line that is best for the codes that `from` gives, and what error it saves. Lines are those
// of weights less `origin`, where sums lose nothing to cancellation. kTop: none begins above that.
template <int kMost, int kN>
inline void try_line(const GroupTile<kN>& t, vf origin, vf top, const Moments& m, Line from,
                     Line& line, vf& saved) {
  const vf inverse = inverse_of(from.step);
  const vf start = origin + from.low;
  vf wq = simd::zero();
  vf wqq = simd::zero();
  vf wqx = simd::zero();
  for (int i = 0; i < kN; ++i) {
    const vf x = simd::load(t.x[i]);
    const vf q = clamped(rounded((x - start) * inverse), 0.0f, kMost);
    const vf weighted = simd::load(t.w[i]) * q;
    wq = wq + weighted;
    wqq = wqq + weighted * q;
    wqx = wqx + weighted * (x - origin);
  }
  const vf determinant = m.w * wqq - wq * wq;
  vf step = quotient(m.w * wqx - wq * m.wx, determinant);
  vf low = quotient(wqq * m.wx - wq * wqx, determinant);
  // With the low end given: the best step alone.
  const vf limited = quotient(wqx - top * wq, wqq);
  step = simd::if_less(top, low, limited, step);
  low = simd::min(low, top);
  // sum w x^2 - sum w (x - step q - low)^2
  const vf saving =
      step * (all(2.0f) * (wqx - low * wq) - step * wqq) + low * (all(2.0f) * m.wx - low * m.w);
  const vf better = simd::if_less(simd::zero(), step, saving, saved);
  line.step = simd::if_less(saved, better, step, line.step);
  line.low = simd::if_less(saved, better, low, line.low);
  saved = simd::max(saved, better);
}

template <int kN>
inline Line range_of(const GroupTile<kN>& t) {
  vf low = simd::load(t.x[0]);
  vf high = low;
  for (int i = 1; i < kN; ++i) {
    low = simd::min(simd::load(t.x[i]), low);
    high = simd::max(simd::load(t.x[i]), high);
  }
  return {high - low, low};
}

// How much of the range below its upper and above its lower end the codes span, in steps.
struct Inset {
  float low;
  float high;
};
constexpr Inset kInsets[] = {{0.0f, 0.0f}, {0.0f, -1.0f}, {0.0f, -2.0f}, {-0.3f, -0.3f},
                             {0.2f, 0.2f}, {0.4f, 0.4f},  {0.6f, 0.6f},  {0.8f, 0.8f},
                             {0.0f, 0.6f}, {0.6f, 0.0f},  {0.0f, 1.0f},  {1.0f, 0.0f},
                             {1.1f, 1.1f}, {1.5f, 1.5f}};

// range: from the weights' least, or from 0 if lines may not begin above it.
template <int kMost, int kN>
inline Line search_line(const GroupTile<kN>& t, Line range, bool to_zero) {
  constexpr int kTurns = 2;
  const Moments m = moments(t, range.low);
  const vf top = to_zero ? negated(range.low) : all(2.0f * kLargestWeight);
  Line line = {simd::zero(), simd::zero()};
  vf saved = simd::zero();
  for (const Inset& inset : kInsets) {
    const vf step = range.step * all(1.0f / (kMost + inset.low + inset.high));
    try_line<kMost>(t, range.low, top, m, {step, step * all(inset.low)}, line, saved);
  }
  for (int i = 0; i < kTurns; ++i) try_line<kMost>(t, range.low, top, m, line, line, saved);
  return {line.step, line.low + range.low};
}

template <int kMost, int kN>
inline vf line_loss(const GroupTile<kN>& t, Line line) {
  const vf inverse = inverse_of(line.step);
  vf sum = simd::zero();
  for (int i = 0; i < kN; ++i) {
    const vf x = simd::load(t.x[i]) - line.low;
    const vf off = x - line.step * clamped(rounded(x * inverse), 0.0f, kMost);
    sum = sum + simd::load(t.w[i]) * off * off;
  }
  return sum;
}

template <int kMost, int kN>
inline void put_line_codes(const GroupTile<kN>& t, Line line, CodeWords<kN>& to) {
  const vf inverse = inverse_of(line.step);
  put_words(to, [&](int i) {
    const vf x = (simd::load(t.x[i]) - line.low) * inverse;
    return simd::as_int(clamped(rounded(x), 0.0f, kMost) + all(kNoFraction));
  });
}

// Blocks of a step and a least value each.
template <class Block, int kMost>
void search_lines(const Row& row, int64_t cols, uint8_t* out) {
  constexpr int kN = Block::kLength;
  const int64_t blocks = cols / kN;
  for (int64_t b = 0; b < blocks; b += kGroups) {
    const int64_t n = blocks - b < kGroups ? blocks - b : kGroups;
    GroupTile<kN> t;
    load_groups(row, b * kN, n, t);
    uint16_t d[kGroups];
    uint16_t m[kGroups];
    const Line range = range_of(t);
    const Line best = search_line<kMost>(t, range, false);
    const Line searched = {to_half(best.step, d), to_half(best.low, m)};
    Line line = {to_half(range.step / all(kMost), d), to_half(range.low, m)};
    const vf lost = line_loss<kMost>(t, searched);
    const vf least = line_loss<kMost>(t, line);
    line.step = simd::if_less(lost, least, searched.step, line.step);
    line.low = simd::if_less(lost, least, searched.low, line.low);
    simd::store_f16(d, line.step);
    simd::store_f16(m, line.low);
    CodeWords<kN> words;
    put_line_codes<kMost>(t, line, words);
    for (int64_t g = 0; g < n; ++g) {
      Block block = {};
      block.d = d[g];
      block.m = m[g];
      set_codes(words, g, block);
      std::memcpy(out + (b + g) * static_cast<int64_t>(sizeof(Block)), &block, sizeof(Block));
    }
  }
}

}  // namespace
}  // namespace nibble
