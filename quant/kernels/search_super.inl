#pragma once
// The search for types in blocks of 256: groups whose scales (and minima) are integers, times
// factors that the groups share.
//
// First every group is fitted on its own (search.inl). The factors that follow from the largest of
// the scales make them integers. Then, in turns: each group takes the best of the integers around
// its own, by the error of the scale as it is decoded; and with all codes and integers fixed, the
// best factors are known in closed form. The best of all turns is kept, and what quantize_row would
// take is among them.
#include "quant/kernels/search.inl"

namespace nibble {
namespace {

constexpr int kFactorTurns = 2;

// A block of 256 as tiles of groups.
template <class V, int kN>
struct SuperTile {
  static constexpr int kTiles = static_cast<int>(256 / kN / kGroups<V>);
  GroupTile<V, kN> tile[kTiles];
};

template <class V, int kN>
inline void load_super(const Row& row, int64_t col, SuperTile<V, kN>& s) {
  for (int k = 0; k < SuperTile<V, kN>::kTiles; ++k) {
    load_groups(row, col + k * kGroups<V> * kN, kGroups<V>, s.tile[k]);
  }
}

// Lane 0 + lane 1 + ... + lane 7, in this order, and eights of lanes likewise: as many tiles of
// eight groups give.
template <class V>
inline float lane_sum(V v) {
  float lane[kGroups<V>];
  simd::store(lane, v);
  float sum = 0;
  for (int64_t g = 0; g < kGroups<V>; g += 8) {
    float eight = lane[g];
    for (int64_t i = 1; i < 8; ++i) eight += lane[g + i];
    sum += eight;
  }
  return sum;
}

inline float stored_half(float x) {
  const float limited = x < -kLargestFactor  ? -kLargestFactor
                        : x > kLargestFactor ? kLargestFactor
                                             : x;
  return block::half_to_float(block::float_to_half(limited));
}

// Codes of all groups into a block.
template <class Block, class V, int kN>
inline void set_super_codes(const CodeWords<V, kN> (&from)[SuperTile<V, kN>::kTiles], Block& b) {
  uint32_t word[64];
  for (int64_t g = 0; g < 256 / kN; ++g) {
    for (int j = 0; j < kN / 4; ++j) {
      word[g * (kN / 4) + j] = from[g / kGroups<V>].word[j][g % kGroups<V>];
    }
  }
  for (int part = 0; part < 8; ++part) {
    Words w;
    std::memcpy(w, word + 8 * part, sizeof(w));
    Packing<Block>::set(b, part, w);
  }
}

// Whole numbers of the groups as bytes.
template <class V>
inline void put_int8s(V v, int8_t* to) {
  int32_t lane[kGroups<V>];
  simd::store_bytes(lane, simd::as_int(v + all<V>(kNoFraction)));
  for (int64_t i = 0; i < kGroups<V>; ++i) to[i] = static_cast<int8_t>(lane[i] & 255);
}

// ---- scales around zero ----

template <class V, int kTiles>
struct Scales {
  float d = 0;
  V scale[kTiles];  // whole numbers
  float lost = 0;
};

// Integers and factor for scales as wanted; the largest becomes kLeast.
template <int kLeast, int kMost, class V, int kTiles>
inline void whole_scales(const V (&wanted)[kTiles], Scales<V, kTiles>& s) {
  float lane[kTiles * kGroups<V>];
  for (int k = 0; k < kTiles; ++k) simd::store(lane + k * kGroups<V>, wanted[k]);
  const float d = block::extreme_of(lane, kTiles * kGroups<V>) / static_cast<float>(kLeast);
  const V inverse = all<V>(block::inverse_scale(d));
  s.d = stored_half(d);
  for (int k = 0; k < kTiles; ++k) {
    s.scale[k] = clamped(rounded(wanted[k] * inverse), kLeast, kMost);
  }
}

// Each group takes the best of the integers around its own.
template <class Values, int kLeast, int kMost, int kReach, class V, int kN>
inline void improve_scales(const SuperTile<V, kN>& t, Scales<V, SuperTile<V, kN>::kTiles>& s) {
  s.lost = 0;
  const V d = all<V>(s.d);
  for (int k = 0; k < SuperTile<V, kN>::kTiles; ++k) {
    const V around = s.scale[k];
    V least = loss<Values>(t.tile[k], d * around);
    for (int by = -kReach; by <= kReach; ++by) {
      if (by == 0) continue;
      const V other = clamped(around + all<V>(static_cast<float>(by)), kLeast, kMost);
      const V lost = loss<Values>(t.tile[k], d * other);
      s.scale[k] = simd::if_less(lost, least, other, s.scale[k]);
      least = simd::min(lost, least);
    }
    s.lost += lane_sum(least);
  }
}

// The best factor for the codes and integers as they are.
template <class Values, class V, int kN>
inline void fit_factor(const SuperTile<V, kN>& t, Scales<V, SuperTile<V, kN>::kTiles>& s) {
  float sum_xv = 0;
  float sum_vv = 0;
  for (int k = 0; k < SuperTile<V, kN>::kTiles; ++k) {
    V xv = zero<V>();
    V vv = zero<V>();
    const V inverse = inverse_of(all<V>(s.d) * s.scale[k]);
    for (int i = 0; i < kN; ++i) {
      const V x = load<V>(t.tile[k].x[i]);
      const V v = Values::nearest(x * inverse) * s.scale[k];
      const V weighted = load<V>(t.tile[k].w[i]) * v;
      xv = xv + weighted * x;
      vv = vv + weighted * v;
    }
    sum_xv += lane_sum(xv);
    sum_vv += lane_sum(vv);
  }
  if (sum_vv > 0) s.d = stored_half(sum_xv / sum_vv);
}

template <class V, class Block, class Values, int kN, int kLeast, int kMost, int kReach>
void search_super_scales(const Row& row, int64_t cols, uint8_t* out) {
  constexpr int kTiles = SuperTile<V, kN>::kTiles;
  for (int64_t b = 0; b < cols / 256; ++b) {
    SuperTile<V, kN> t;
    load_super(row, b * 256, t);
    V wanted[kTiles];
    Scales<V, kTiles> best;
    V extreme[kTiles];
    for (int k = 0; k < kTiles; ++k) {
      extreme[k] = extremes(t.tile[k]);
      wanted[k] = extreme[k] / all<V>(Values::kPlain);
    }
    whole_scales<kLeast, kMost>(wanted, best);
    improve_scales<Values, kLeast, kMost, 0>(t, best);
    Scales<V, kTiles> s;
    for (int k = 0; k < kTiles; ++k) wanted[k] = search_scale<Values>(row, t.tile[k], extreme[k]);
    whole_scales<kLeast, kMost>(wanted, s);
    for (int turn = 0; turn <= kFactorTurns; ++turn) {
      if (turn > 0) fit_factor<Values>(t, s);
      improve_scales<Values, kLeast, kMost, kReach>(t, s);
      if (s.lost < best.lost) best = s;
    }
    CodeWords<V, kN> words[kTiles];
    int8_t scale[kTiles * kGroups<V>];
    for (int k = 0; k < kTiles; ++k) {
      put_codes<Values>(t.tile[k], all<V>(best.d) * best.scale[k], words[k]);
      put_int8s(best.scale[k], scale + k * kGroups<V>);
    }
    Block block = {};
    block.d = block::float_to_half(best.d);
    Packing<Block>::set_scales(block, scale, nullptr);
    set_super_codes(words, block);
    std::memcpy(out + b * static_cast<int64_t>(sizeof(Block)), &block, sizeof(Block));
  }
}

// ---- scales and minima ----

template <class V, int kTiles>
struct Ranges {
  float d = 0;
  float dmin = 0;
  V scale[kTiles];  // whole numbers
  V minimum[kTiles];
  float lost = 0;
};

inline float largest_of(const float* x, int n) {
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

// Integers and factors for lines as wanted.
template <int kTop, class V, int kTiles>
inline void whole_ranges(const Line<V> (&wanted)[kTiles], Ranges<V, kTiles>& r) {
  float step[kTiles * kGroups<V>];
  float minimum[kTiles * kGroups<V>];
  for (int k = 0; k < kTiles; ++k) {
    simd::store(step + k * kGroups<V>, wanted[k].step);
    simd::store(minimum + k * kGroups<V>, negated(wanted[k].low));
  }
  const float d = largest_of(step, kTiles * kGroups<V>) / kTop;
  const float dmin = largest_of(minimum, kTiles * kGroups<V>) / kTop;
  const V inverse = all<V>(block::inverse_scale(d));
  const V inverse_min = all<V>(block::inverse_scale(dmin));
  r.d = stored_half(d);
  r.dmin = stored_half(dmin);
  for (int k = 0; k < kTiles; ++k) {
    r.scale[k] = clamped(rounded(wanted[k].step * inverse), 0.0f, kTop);
    r.minimum[k] = clamped(rounded(negated(wanted[k].low) * inverse_min), 0.0f, kTop);
  }
}

template <class V, int kTiles>
inline Line<V> line_of(const Ranges<V, kTiles>& r, V scale, V minimum) {
  return {all<V>(r.d) * scale, negated(all<V>(r.dmin) * minimum)};
}

// Each group takes the best of the integers around its own.
template <int kMostCode, int kTop, int kReach, class V, int kN>
inline void improve_ranges(const SuperTile<V, kN>& t, Ranges<V, SuperTile<V, kN>::kTiles>& r) {
  r.lost = 0;
  for (int k = 0; k < SuperTile<V, kN>::kTiles; ++k) {
    const V scale = r.scale[k];
    const V minimum = r.minimum[k];
    V least = line_loss<kMostCode>(t.tile[k], line_of(r, scale, minimum));
    for (int at = 0; at < (2 * kReach + 1) * (2 * kReach + 1); ++at) {
      const int by = at / (2 * kReach + 1) - kReach;
      const int by_min = at % (2 * kReach + 1) - kReach;
      if (by == 0 && by_min == 0) continue;
      const V other = clamped(scale + all<V>(static_cast<float>(by)), 0.0f, kTop);
      const V other_min = clamped(minimum + all<V>(static_cast<float>(by_min)), 0.0f, kTop);
      const V lost = line_loss<kMostCode>(t.tile[k], line_of(r, other, other_min));
      r.scale[k] = simd::if_less(lost, least, other, r.scale[k]);
      r.minimum[k] = simd::if_less(lost, least, other_min, r.minimum[k]);
      least = simd::min(lost, least);
    }
    r.lost += lane_sum(least);
  }
}

// The best factors for the codes and integers as they are.
template <int kMostCode, class V, int kN>
inline void fit_factors(const SuperTile<V, kN>& t, Ranges<V, SuperTile<V, kN>::kTiles>& r) {
  float a = 0;
  float b = 0;
  float c = 0;
  float x = 0;
  float y = 0;
  for (int k = 0; k < SuperTile<V, kN>::kTiles; ++k) {
    const Line<V> line = line_of(r, r.scale[k], r.minimum[k]);
    const V inverse = inverse_of(line.step);
    const V n = negated(r.minimum[k]);
    V vv = zero<V>();  // of v = scale * code, n = -minimum and the weights u
    V vn = zero<V>();
    V nn = zero<V>();
    V vu = zero<V>();
    V nu = zero<V>();
    for (int i = 0; i < kN; ++i) {
      const V u = load<V>(t.tile[k].x[i]);
      const V w = load<V>(t.tile[k].w[i]);
      const V v = clamped(rounded((u - line.low) * inverse), 0.0f, kMostCode) * r.scale[k];
      vv = vv + w * v * v;
      vn = vn + w * v * n;
      nn = nn + w * n * n;
      vu = vu + w * v * u;
      nu = nu + w * n * u;
    }
    a += lane_sum(vv);
    b += lane_sum(vn);
    c += lane_sum(nn);
    x += lane_sum(vu);
    y += lane_sum(nu);
  }
  const float determinant = a * c - b * b;
  if (determinant > 1e-6f * a * c) {
    r.d = stored_half((c * x - b * y) / determinant);
    r.dmin = stored_half((a * y - b * x) / determinant);
  } else if (a > 0) {
    r.d = stored_half((x - r.dmin * b) / a);
  }
}

template <class V, class Block, int kN, int kMostCode, int kTop, int kReach>
void search_super_ranges(const Row& row, int64_t cols, uint8_t* out) {
  constexpr int kTiles = SuperTile<V, kN>::kTiles;
  for (int64_t b = 0; b < cols / 256; ++b) {
    SuperTile<V, kN> t;
    load_super(row, b * 256, t);
    Line<V> range[kTiles];
    Line<V> wanted[kTiles];
    for (int k = 0; k < kTiles; ++k) {
      range[k] = range_of(t.tile[k]);
      const V high = simd::max(range[k].step + range[k].low, zero<V>());
      range[k].low = simd::min(range[k].low, zero<V>());
      range[k].step = high - range[k].low;
      wanted[k] = {range[k].step / all<V>(kMostCode), range[k].low};
    }
    Ranges<V, kTiles> best;
    whole_ranges<kTop>(wanted, best);
    improve_ranges<kMostCode, kTop, 0>(t, best);
    Ranges<V, kTiles> r;
    for (int k = 0; k < kTiles; ++k) wanted[k] = search_line<kMostCode>(t.tile[k], range[k], true);
    whole_ranges<kTop>(wanted, r);
    for (int turn = 0; turn <= kFactorTurns; ++turn) {
      if (turn > 0) fit_factors<kMostCode>(t, r);
      improve_ranges<kMostCode, kTop, kReach>(t, r);
      if (r.lost < best.lost) best = r;
    }
    CodeWords<V, kN> words[kTiles];
    int8_t scale[kTiles * kGroups<V>];
    int8_t minimum[kTiles * kGroups<V>];
    for (int k = 0; k < kTiles; ++k) {
      put_line_codes<kMostCode>(t.tile[k], line_of(best, best.scale[k], best.minimum[k]), words[k]);
      put_int8s(best.scale[k], scale + k * kGroups<V>);
      put_int8s(best.minimum[k], minimum + k * kGroups<V>);
    }
    Block block = {};
    block.d = block::float_to_half(best.d);
    block.dmin = block::float_to_half(best.dmin);
    Packing<Block>::set_scales(block, scale, minimum);
    set_super_codes(words, block);
    std::memcpy(out + b * static_cast<int64_t>(sizeof(Block)), &block, sizeof(Block));
  }
}

// ---- the types ----

struct ValuesQ6_K : Integers<-32, 31> {
  static constexpr float kTries[] = {-31.5f, -30.5f, -32.5f, 30.5f, -31.0f, -32.0f,
                                     -33.0f, 29.5f,  30.0f,  31.0f, 31.5f,  32.0f};
  static constexpr int kQuick = 4;
  static constexpr int kBias = 32;
};
struct ValuesQ3_K : Integers<-4, 3> {
  static constexpr float kTries[] = {-2.6f, -3.0f, -3.4f, -3.7f, -4.0f, -4.3f, -4.7f, -5.2f,
                                     1.8f,  2.2f,  2.5f,  2.8f,  3.1f,  3.4f,  3.8f,  4.3f};
  static constexpr int kBias = 4;
};

// What lost least on two models: docs/decisions/0073-what-a-weight-counts.md.
constexpr float means_of(DType type) {
  return type == DType::Q4_0 ? 1.0f : type == DType::Q5_0 ? 30.0f : 3.0f;
}

inline float largest_importance(const float* importance, int64_t cols) {
  float largest = 0;
  for (int64_t i = 0; i < cols; ++i) largest = importance[i] > largest ? importance[i] : largest;
  return largest;
}

// Powers of two: the plain one and those beside it.
inline void search_exponents(const Row& row, int64_t cols, uint8_t* out) {
  for (int64_t at = 0; at < cols; at += block::MXFP4::kLength, out += sizeof(block::MXFP4)) {
    const float* x = row.x + at;
    float mean = 0;
    for (int i = 0; i < 32; ++i) mean += block::magnitude(x[i]) * (1.0f / 32);
    const auto weight = [&](int i) {
      return row.importance != nullptr ? row.importance[at + i] * row.unit
                                       : block::magnitude(x[i]) + row.means * mean;
    };
    const int plain = block::mxfp4_plain_exponent(x);
    block::MXFP4 best;
    double least = -1;
    const int exponents[] = {plain, plain + 1, plain - 1};
    for (const int e : exponents) {
      if (e < 0 || e > 254) continue;
      block::MXFP4 tried;
      float decoded[32];
      block::encode_with(x, static_cast<uint8_t>(e), tried);
      to_float(tried, decoded);
      double loss = 0;
      for (int i = 0; i < 32; ++i) {
        const double off = static_cast<double>(x[i]) - static_cast<double>(decoded[i]);
        loss += static_cast<double>(weight(i)) * off * off;
      }
      if (least >= 0 && !(loss < least)) continue;
      least = loss;
      best = tried;
    }
    std::memcpy(out, &best, sizeof(best));
  }
}

void search_row(DType type, const float* x, const float* importance, int64_t cols,
                void* out) noexcept {
  Row row = {x, importance, 1.0f, means_of(type)};
  if (importance != nullptr) {
    const float largest = largest_importance(importance, cols);
    if (largest > 0) {
      row.unit = 1.0f / largest;
    } else {
      row.importance = nullptr;
    }
  }
  using V = simd::Groups;
  auto* to = static_cast<uint8_t*>(out);
  switch (type) {
    case DType::Q4_0:
      return search_scales<V, block::Q4_0, ValuesQ4_0>(row, cols, to);
    case DType::Q5_0:
      return search_scales<V, block::Q5_0, ValuesQ5_0>(row, cols, to);
    case DType::Q8_0:
      return search_scales<V, block::Q8_0, ValuesQ8_0>(row, cols, to);
    case DType::IQ4_NL:
      return search_scales<V, block::IQ4_NL, ValuesIQ4>(row, cols, to);
    case DType::NF4:
      return search_scales<V, block::NF4, ValuesNF4>(row, cols, to);
    case DType::MXFP4:
      return search_exponents(row, cols, to);
    case DType::Q4_1:
      return search_lines<V, block::Q4_1, 15>(row, cols, to);
    case DType::Q5_1:
      return search_lines<V, block::Q5_1, 31>(row, cols, to);
    case DType::Q2_K:
      return search_super_ranges<V, block::Q2_K, 16, 3, 15, 1>(row, cols, to);
    case DType::Q4_K:
      return search_super_ranges<simd::vf, block::Q4_K, 32, 15, 63, 1>(row, cols, to);
    case DType::Q5_K:
      return search_super_ranges<simd::vf, block::Q5_K, 32, 31, 63, 1>(row, cols, to);
    case DType::Q3_K:
      return search_super_scales<V, block::Q3_K, ValuesQ3_K, 16, -32, 31, 2>(row, cols, to);
    case DType::Q6_K:
      return search_super_scales<V, block::Q6_K, ValuesQ6_K, 16, -128, 127, 2>(row, cols, to);
    case DType::IQ4_XS:
      return search_super_scales<simd::vf, block::IQ4_XS, ValuesIQ4, 32, -32, 31, 2>(row, cols, to);
    case DType::F32:
    case DType::F16:
    case DType::BF16:
      return;
  }
}

}  // namespace
}  // namespace nibble
