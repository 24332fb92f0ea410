#pragma once
// The scales for which blocks of weights lose least: search_row of quant/search.h, for types whose
// blocks have scales of their own. search_super.inl does those in blocks of 256.
//
// Groups of weights are fitted side by side, one a lane of a vector V: no sum ever crosses lanes,
// and only operations that IEEE 754 defines are used, none of them fused, so that every instruction
// set writes the same bytes.
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
namespace simd {

// What depends on V and is no overload. simd::Groups, the widest V of the instruction set, may be
// another vector (groups_avx512.h); every V gives the same bytes.
template <class V>
struct Lanes;
template <>
struct Lanes<vf> {
  static constexpr int64_t kCount = kLanes;
  static vf load(const float* p) { return simd::load(p); }
  static vf load_f16(const void* p) { return simd::load_f16(p); }
  static vf all(float x) { return broadcast(x); }
};
static_assert(kLanes == 8);

}  // namespace simd

template <class V>
constexpr int64_t kGroups = simd::Lanes<V>::kCount;  // fitted side by side
// Beyond what any type can hold: 65504 * 128 * 32. Larger weights are taken for this.
constexpr float kLargestWeight = 0x1p28f;
// What a weight counts at least, as a share of the row's largest, so that sums are never zero.
constexpr float kLeastImportance = 1e-9f;
constexpr float kLargestFactor = 65504.0f;

template <class V>
inline V all(float x) {
  return simd::Lanes<V>::all(x);
}
template <class V>
inline V zero() {
  return all<V>(0.0f);
}
template <class V>
inline V load(const float* p) {
  return simd::Lanes<V>::load(p);
}
template <class V>
inline V negated(V x) {
  return zero<V>() - x;
}
template <class V>
inline V size_of(V x) {
  const V all_but_sign = all<V>(block::float_from_bits(0x7fffffff));
  return simd::as_float(simd::bit_and(simd::as_int(x), simd::as_int(all_but_sign)));
}
template <class V>
inline V clamped(V x, float least, float most) {
  return simd::min(simd::max(x, all<V>(least)), all<V>(most));
}
// To the nearest integer, ties to even: adding 1.5 * 2^23 leaves no room for a fraction.
constexpr float kNoFraction = 0x1.8p23f;
template <class V>
inline V rounded(V x) {
  return (x + all<V>(kNoFraction)) - all<V>(kNoFraction);
}
// a / b, 0 where b is not above 0.
template <class V>
inline V quotient(V a, V b) {
  return simd::if_less(zero<V>(), b, a / b, zero<V>());
}
// 1 / d, 0 where d is 0.
template <class V>
inline V inverse_of(V d) {
  return simd::if_less(zero<V>(), size_of(d), all<V>(1.0f) / d, zero<V>());
}
// d as it is stored, and its bits.
template <class V>
inline V to_half(V d, uint16_t* bits) {
  simd::store_f16(bits, clamped(d, -kLargestFactor, kLargestFactor));
  return simd::Lanes<V>::load_f16(bits);
}

// kN weights of the groups, and what each counts: [weight][group].
template <class V, int kN>
struct GroupTile {
  alignas(64) float x[kN][kGroups<V>];
  alignas(64) float w[kN][kGroups<V>];
};

// A row and what its weights count.
struct Row {
  const float* x;           // [cols]
  const float* importance;  // [cols] or nullptr
  float unit;               // of the importance
  float means;              // of a group's magnitudes that each weight counts, with no importance
};

// Eight rows of eight floats, kStride apart, as columns, kTo apart: three rounds of shuffles.
template <int kStride, int64_t kTo>
[[gnu::always_inline]] inline void transpose(const float* from, float* to) {
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
  for (int i = 0; i < 8; ++i) std::memcpy(to + i * kTo, &b[i], sizeof(Eight));
}

// n groups of x side by side; the others are zero.
template <class V, int kN>
inline void interleave(const float* x, int64_t n, float (*to)[kGroups<V>]) {
  if (n == kGroups<V>) {
    for (int64_t g = 0; g < n; g += 8) {
      for (int i = 0; i < kN; i += 8) transpose<kN, kGroups<V>>(x + g * kN + i, to[i] + g);
    }
    return;
  }
  for (int64_t g = 0; g < kGroups<V>; ++g) {
    for (int i = 0; i < kN; ++i) to[i][g] = g < n ? x[g * kN + i] : 0.0f;
  }
}

// Groups from column `col` on, of which n are there. A weight counts its importance. Where there is
// none, its own magnitude and some of its group's mean:
// docs/decisions/0073-what-a-weight-counts.md.
template <class V, int kN>
inline void load_groups(const Row& row, int64_t col, int64_t n, GroupTile<V, kN>& t) {
  interleave<V, kN>(row.x + col, n, t.x);
  V sum = zero<V>();
  for (int i = 0; i < kN; ++i) {
    const V x = clamped(load<V>(t.x[i]), -kLargestWeight, kLargestWeight);
    simd::store(t.x[i], x);
    sum = sum + size_of(x);
  }
  if (row.importance == nullptr) {
    const V base = sum * all<V>(row.means / kN);
    for (int i = 0; i < kN; ++i) simd::store(t.w[i], size_of(load<V>(t.x[i])) + base);
    return;
  }
  interleave<V, kN>(row.importance + col, n, t.w);
  for (int i = 0; i < kN; ++i) {
    const V own = load<V>(t.w[i]) * all<V>(row.unit);
    simd::store(t.w[i], simd::max(own, all<V>(kLeastImportance)));
  }
}

// The weight of the largest magnitude, the first of several.
template <class V, int kN>
inline V extremes(const GroupTile<V, kN>& t) {
  V extreme = load<V>(t.x[0]);
  V size = size_of(extreme);
  for (int i = 1; i < kN; ++i) {
    const V x = load<V>(t.x[i]);
    const V larger = size_of(x);
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
  template <class V>
  static V nearest(V x) {
    return clamped(rounded(x), kLeast, kMost);
  }
  // The code in the lower bits of each lane of integers.
  template <int kBias, class V>
  static auto code(V value) {
    return simd::as_int(value + all<V>(kNoFraction + kBias));
  }
};

struct ValuesQ4_0 : Integers<-8, 7> {
  static constexpr float kTries[] = {-8.3f, -7.1f, -7.7f, -8.6f,  -7.4f, -8.0f, -9.3f, 6.9f,
                                     6.6f,  7.2f,  7.8f,  -10.3f, 6.2f,  7.5f,  8.5f,  9.4f};
  static constexpr int kQuick = 2;
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
  static constexpr int kQuick = 2;
  static constexpr int kBias = 0;
};

// Levels of a code book, ascending.
template <class Level, const Level (&kLevels)[16]>
struct Book {
  static constexpr int kBias = 0;
  static constexpr float level(int k) { return static_cast<float>(kLevels[k]); }
  static constexpr float border(int k) { return (level(k) + level(k + 1)) * 0.5f; }
  template <class V>
  static V nearest(V x) {
    V v = all<V>(level(0));
    for (int k = 0; k < 15; ++k) v = simd::if_less(all<V>(border(k)), x, all<V>(level(k + 1)), v);
    return v;
  }
  template <int, class V>
  static auto code(V value) {
    V q = all<V>(kNoFraction);
    for (int k = 0; k < 15; ++k) {
      q = simd::if_less(all<V>(border(k)), value, all<V>(kNoFraction + static_cast<float>(k + 1)),
                        q);
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
  static constexpr float kTries[] = {0.76f,  0.82f,  0.88f,  0.94f,  1.0f,   1.06f,  1.13f,
                                     -0.76f, -0.82f, -0.88f, -0.94f, -1.0f,  -1.06f, -1.13f,
                                     0.7f,   1.21f,  1.3f,   -0.7f,  -1.21f, -1.3f};
  static constexpr int kQuick = 14;
};

// ---- one scale a group ----

// The best scale known and what error it saves.
template <class V>
struct Found {
  V scale = zero<V>();
  V saved = zero<V>();

  // xv, vv: sums of weight * value and value^2 for some codes.
  void consider(V xv, V vv) {
    const V best = quotient(xv, vv);
    const V saving = xv * best;
    scale = simd::if_less(saved, saving, best, scale);
    saved = simd::max(saved, saving);
  }
};

// Tries the codes that kAtOnce inverse scales give, each with the scale that is best for them.
template <class Values, class V, int kAtOnce, int kN>
inline void try_scales(const GroupTile<V, kN>& t, const V (&inverse)[kAtOnce], Found<V>& found) {
  V xv[kAtOnce];
  V vv[kAtOnce];
  for (int k = 0; k < kAtOnce; ++k) xv[k] = vv[k] = zero<V>();
  for (int i = 0; i < kN; ++i) {
    const V x = load<V>(t.x[i]);
    const V w = load<V>(t.w[i]);
#pragma GCC unroll 2
    for (int k = 0; k < kAtOnce; ++k) {
      const V v = Values::nearest(x * inverse[k]);
      const V wv = w * v;
      xv[k] = xv[k] + wv * x;
      vv[k] = vv[k] + wv * v;
    }
  }
  for (int k = 0; k < kAtOnce; ++k) found.consider(xv[k], vv[k]);
}

template <class Values, class V, int kN>
inline V search_scale(const Row& row, const GroupTile<V, kN>& t, V extreme) {
  int count = sizeof(Values::kTries) / sizeof(Values::kTries[0]);
  static_assert(sizeof(Values::kTries) / sizeof(Values::kTries[0]) % 2 == 0);
  if constexpr (requires { Values::kQuick; }) {
    if (row.importance == nullptr) count = Values::kQuick;
  }
  const V one = inverse_of(extreme);
  Found<V> found;
  for (int i = 0; i < count; i += 2) {
    const V inverse[] = {one * all<V>(Values::kTries[i]), one * all<V>(Values::kTries[i + 1])};
    try_scales<Values>(t, inverse, found);
  }
  const V again[] = {inverse_of(found.scale)};
  try_scales<Values>(t, again, found);
  return found.scale;
}

// What a scale loses, with the nearest codes.
template <class Values, class V, int kN>
inline V loss(const GroupTile<V, kN>& t, V scale) {
  const V inverse = inverse_of(scale);
  V sum = zero<V>();
  for (int i = 0; i < kN; ++i) {
    const V x = load<V>(t.x[i]);
    const V off = x - scale * Values::nearest(x * inverse);
    sum = sum + load<V>(t.w[i]) * off * off;
  }
  return sum;
}

// `scale` becomes `other` where that loses less.
template <class Values, class V, int kN>
inline void take_better(const GroupTile<V, kN>& t, V other, V& scale, V& least) {
  const V lost = loss<Values>(t, other);
  scale = simd::if_less(lost, least, other, scale);
  least = simd::min(lost, least);
}

// Codes as words of four, [word][group].
template <class V, int kN>
struct CodeWords {
  alignas(64) uint32_t word[kN / 4][kGroups<V>];
};

// codes(i) is a vector of integers whose lowest bytes are the codes of weight i.
template <class V, int kN, class F>
inline void put_words(CodeWords<V, kN>& to, F&& codes) {
  const auto byte = simd::as_int(all<V>(block::float_from_bits(255)));
  for (int j = 0; j < kN / 4; ++j) {
    auto word = simd::bit_and(codes(4 * j), byte);
    word = simd::bit_or(word, simd::shift_left32(simd::bit_and(codes(4 * j + 1), byte), 8));
    word = simd::bit_or(word, simd::shift_left32(simd::bit_and(codes(4 * j + 2), byte), 16));
    word = simd::bit_or(word, simd::shift_left32(codes(4 * j + 3), 24));
    simd::store_bytes(to.word[j], word);
  }
}

template <class Values, class V, int kN>
inline void put_codes(const GroupTile<V, kN>& t, V scale, CodeWords<V, kN>& to) {
  const V inverse = inverse_of(scale);
  put_words(to, [&](int i) {
    return Values::template code<Values::kBias>(Values::nearest(load<V>(t.x[i]) * inverse));
  });
}

// Group g's codes into a block.
template <class Block, class V, int kN>
inline void set_codes(const CodeWords<V, kN>& from, int64_t g, Block& b) {
  for (int part = 0; part < kN / 32; ++part) {
    Words w;
    for (int j = 0; j < 8; ++j) w[j] = from.word[8 * part + j][g];
    Packing<Block>::set(b, part, w);
  }
}

// Blocks of a scale each.
template <class V, class Block, class Values>
void search_scales(const Row& row, int64_t cols, uint8_t* out) {
  constexpr int kN = Block::kLength;
  const int64_t blocks = cols / kN;
  for (int64_t b = 0; b < blocks; b += kGroups<V>) {
    const int64_t n = blocks - b < kGroups<V> ? blocks - b : kGroups<V>;
    GroupTile<V, kN> t;
    load_groups(row, b * kN, n, t);
    uint16_t d[kGroups<V>];
    const V extreme = extremes(t);
    V scale = to_half(extreme / all<V>(Values::kPlain), d);
    V least = loss<Values>(t, scale);
    take_better<Values>(t, to_half(search_scale<Values>(row, t, extreme), d), scale, least);
    simd::store_f16(d, scale);
    CodeWords<V, kN> words;
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
template <class V>
struct Line {
  V step;
  V low;
};

// Sums over a group that do not depend on codes.
template <class V>
struct Moments {
  V w;
  V wx;
};
template <class V, int kN>
inline Moments<V> moments(const GroupTile<V, kN>& t, V origin) {
  Moments<V> m = {zero<V>(), zero<V>()};
  for (int i = 0; i < kN; ++i) {
    const V w = load<V>(t.w[i]);
    m.w = m.w + w;
    m.wx = m.wx + w * (load<V>(t.x[i]) - origin);
  }
  return m;
}

// The line that is best for the codes that `from` gives, and what error it saves. Lines are those
// of weights less `origin`, where sums lose nothing to cancellation. kTop: none begins above that.
template <int kMost, class V, int kN>
inline void try_line(const GroupTile<V, kN>& t, V origin, V top, const Moments<V>& m, Line<V> from,
                     Line<V>& line, V& saved) {
  const V inverse = inverse_of(from.step);
  const V start = origin + from.low;
  V wq = zero<V>();
  V wqq = zero<V>();
  V wqx = zero<V>();
  for (int i = 0; i < kN; ++i) {
    const V x = load<V>(t.x[i]);
    const V q = clamped(rounded((x - start) * inverse), 0.0f, kMost);
    const V weighted = load<V>(t.w[i]) * q;
    wq = wq + weighted;
    wqq = wqq + weighted * q;
    wqx = wqx + weighted * (x - origin);
  }
  const V determinant = m.w * wqq - wq * wq;
  V step = quotient(m.w * wqx - wq * m.wx, determinant);
  V low = quotient(wqq * m.wx - wq * wqx, determinant);
  // With the low end given: the best step alone.
  const V limited = quotient(wqx - top * wq, wqq);
  step = simd::if_less(top, low, limited, step);
  low = simd::min(low, top);
  // sum w x^2 - sum w (x - step q - low)^2
  const V saving = step * (all<V>(2.0f) * (wqx - low * wq) - step * wqq) +
                   low * (all<V>(2.0f) * m.wx - low * m.w);
  const V better = simd::if_less(zero<V>(), step, saving, saved);
  line.step = simd::if_less(saved, better, step, line.step);
  line.low = simd::if_less(saved, better, low, line.low);
  saved = simd::max(saved, better);
}

template <class V, int kN>
inline Line<V> range_of(const GroupTile<V, kN>& t) {
  V low = load<V>(t.x[0]);
  V high = low;
  for (int i = 1; i < kN; ++i) {
    low = simd::min(load<V>(t.x[i]), low);
    high = simd::max(load<V>(t.x[i]), high);
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
template <int kMost, class V, int kN>
inline Line<V> search_line(const GroupTile<V, kN>& t, Line<V> range, bool to_zero) {
  constexpr int kTurns = 2;
  const Moments<V> m = moments(t, range.low);
  const V top = to_zero ? negated(range.low) : all<V>(2.0f * kLargestWeight);
  Line<V> line = {zero<V>(), zero<V>()};
  V saved = zero<V>();
  for (const Inset& inset : kInsets) {
    const V step = range.step * all<V>(1.0f / (kMost + inset.low + inset.high));
    try_line<kMost>(t, range.low, top, m, {step, step * all<V>(inset.low)}, line, saved);
  }
  for (int i = 0; i < kTurns; ++i) try_line<kMost>(t, range.low, top, m, line, line, saved);
  return {line.step, line.low + range.low};
}

template <int kMost, class V, int kN>
inline V line_loss(const GroupTile<V, kN>& t, Line<V> line) {
  const V inverse = inverse_of(line.step);
  V sum = zero<V>();
  for (int i = 0; i < kN; ++i) {
    const V x = load<V>(t.x[i]) - line.low;
    const V off = x - line.step * clamped(rounded(x * inverse), 0.0f, kMost);
    sum = sum + load<V>(t.w[i]) * off * off;
  }
  return sum;
}

template <int kMost, class V, int kN>
inline void put_line_codes(const GroupTile<V, kN>& t, Line<V> line, CodeWords<V, kN>& to) {
  const V inverse = inverse_of(line.step);
  put_words(to, [&](int i) {
    const V x = (load<V>(t.x[i]) - line.low) * inverse;
    return simd::as_int(clamped(rounded(x), 0.0f, kMost) + all<V>(kNoFraction));
  });
}

// Blocks of a step and a least value each.
template <class V, class Block, int kMost>
void search_lines(const Row& row, int64_t cols, uint8_t* out) {
  constexpr int kN = Block::kLength;
  const int64_t blocks = cols / kN;
  for (int64_t b = 0; b < blocks; b += kGroups<V>) {
    const int64_t n = blocks - b < kGroups<V> ? blocks - b : kGroups<V>;
    GroupTile<V, kN> t;
    load_groups(row, b * kN, n, t);
    uint16_t d[kGroups<V>];
    uint16_t m[kGroups<V>];
    const Line<V> range = range_of(t);
    const Line<V> best = search_line<kMost>(t, range, false);
    const Line<V> searched = {to_half(best.step, d), to_half(best.low, m)};
    Line<V> line = {to_half(range.step / all<V>(kMost), d), to_half(range.low, m)};
    const V lost = line_loss<kMost>(t, searched);
    const V least = line_loss<kMost>(t, line);
    line.step = simd::if_less(lost, least, searched.step, line.step);
    line.low = simd::if_less(lost, least, searched.low, line.low);
    simd::store_f16(d, line.step);
    simd::store_f16(m, line.low);
    CodeWords<V, kN> words;
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
