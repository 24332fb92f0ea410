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

// A block of 256 as tiles of 8 groups.
template <int kN>
struct SuperTile {
  static constexpr int kTiles = 256 / kN / kGroups;
  GroupTile<kN> tile[kTiles];
};

template <int kN>
inline void load_super(const Row& row, int64_t col, SuperTile<kN>& s) {
  for (int k = 0; k < SuperTile<kN>::kTiles; ++k) {
    load_groups(row, col + k * kGroups * kN, kGroups, s.tile[k]);
  }
}

// Lane 0 + lane 1 + ..., in this order.
inline float lane_sum(vf v) {
  float lane[kGroups];
  simd::store(lane, v);
  float sum = lane[0];
  for (int64_t i = 1; i < kGroups; ++i) sum += lane[i];
  return sum;
}

inline float stored_half(float x) {
  const float limited = x < -kLargestFactor  ? -kLargestFactor
                        : x > kLargestFactor ? kLargestFactor
                                             : x;
  return block::half_to_float(block::float_to_half(limited));
}

// Codes of all groups into a block.
template <class Block, int kN>
inline void set_super_codes(const CodeWords<kN> (&from)[SuperTile<kN>::kTiles], Block& b) {
  uint32_t word[64];
  for (int64_t g = 0; g < 256 / kN; ++g) {
    for (int j = 0; j < kN / 4; ++j) {
      word[g * (kN / 4) + j] = from[g / kGroups].word[j][g % kGroups];
    }
  }
  for (int part = 0; part < 8; ++part) {
    Words w;
    std::memcpy(w, word + 8 * part, sizeof(w));
    Packing<Block>::set(b, part, w);
  }
}

// Whole numbers of 8 groups as bytes.
inline void put_int8s(vf v, int8_t* to) {
  int32_t lane[kGroups];
  simd::store_bytes(lane, simd::as_int(v + all(kNoFraction)));
  for (int64_t i = 0; i < kGroups; ++i) to[i] = static_cast<int8_t>(lane[i] & 255);
}

// ---- scales around zero ----

template <int kTiles>
struct Scales {
  float d = 0;
  vf scale[kTiles];  // whole numbers
  float lost = 0;
};

// Integers and factor for scales as wanted; the largest becomes kLeast.
template <int kLeast, int kMost, int kTiles>
inline void whole_scales(const vf (&wanted)[kTiles], Scales<kTiles>& s) {
  float lane[kTiles * kGroups];
  for (int k = 0; k < kTiles; ++k) simd::store(lane + k * kGroups, wanted[k]);
  const float d = block::extreme_of(lane, kTiles * kGroups) / static_cast<float>(kLeast);
  const vf inverse = all(block::inverse_scale(d));
  s.d = stored_half(d);
  for (int k = 0; k < kTiles; ++k) {
    s.scale[k] = clamped(rounded(wanted[k] * inverse), kLeast, kMost);
  }
}

// Each group takes the best of the integers around its own.
template <class Values, int kLeast, int kMost, int kReach, int kN>
inline void improve_scales(const SuperTile<kN>& t, Scales<SuperTile<kN>::kTiles>& s) {
  s.lost = 0;
  const vf d = all(s.d);
  for (int k = 0; k < SuperTile<kN>::kTiles; ++k) {
    const vf around = s.scale[k];
    vf least = loss<Values>(t.tile[k], d * around);
    for (int by = -kReach; by <= kReach; ++by) {
      if (by == 0) continue;
      const vf other = clamped(around + all(static_cast<float>(by)), kLeast, kMost);
      const vf lost = loss<Values>(t.tile[k], d * other);
      s.scale[k] = simd::if_less(lost, least, other, s.scale[k]);
      least = simd::min(lost, least);
    }
    s.lost += lane_sum(least);
  }
}

// The best factor for the codes and integers as they are.
template <class Values, int kN>
inline void fit_factor(const SuperTile<kN>& t, Scales<SuperTile<kN>::kTiles>& s) {
  vf xv = simd::zero();
  vf vv = simd::zero();
  for (int k = 0; k < SuperTile<kN>::kTiles; ++k) {
    const vf inverse = inverse_of(all(s.d) * s.scale[k]);
    for (int i = 0; i < kN; ++i) {
      const vf x = simd::load(t.tile[k].x[i]);
      const vf v = Values::nearest(x * inverse) * s.scale[k];
      const vf weighted = simd::load(t.tile[k].w[i]) * v;
      xv = xv + weighted * x;
      vv = vv + weighted * v;
    }
  }
  const float sum = lane_sum(vv);
  if (sum > 0) s.d = stored_half(lane_sum(xv) / sum);
}

template <class Block, class Values, int kN, int kLeast, int kMost, int kReach>
void search_super_scales(const Row& row, int64_t cols, uint8_t* out) {
  constexpr int kTiles = SuperTile<kN>::kTiles;
  for (int64_t b = 0; b < cols / 256; ++b) {
    SuperTile<kN> t;
    load_super(row, b * 256, t);
    vf wanted[kTiles];
    Scales<kTiles> best;
    for (int k = 0; k < kTiles; ++k) wanted[k] = extremes(t.tile[k]) / all(Values::kPlain);
    whole_scales<kLeast, kMost>(wanted, best);
    improve_scales<Values, kLeast, kMost, 0>(t, best);
    Scales<kTiles> s;
    for (int k = 0; k < kTiles; ++k) wanted[k] = search_scale<Values>(row, t.tile[k]);
    whole_scales<kLeast, kMost>(wanted, s);
    for (int turn = 0; turn <= kFactorTurns; ++turn) {
      if (turn > 0) fit_factor<Values>(t, s);
      improve_scales<Values, kLeast, kMost, kReach>(t, s);
      if (s.lost < best.lost) best = s;
    }
    CodeWords<kN> words[kTiles];
    int8_t scale[kTiles * kGroups];
    for (int k = 0; k < kTiles; ++k) {
      put_codes<Values>(t.tile[k], all(best.d) * best.scale[k], words[k]);
      put_int8s(best.scale[k], scale + k * kGroups);
    }
    Block block = {};
    block.d = block::float_to_half(best.d);
    Packing<Block>::set_scales(block, scale, nullptr);
    set_super_codes(words, block);
    std::memcpy(out + b * static_cast<int64_t>(sizeof(Block)), &block, sizeof(Block));
  }
}

// ---- scales and minima ----

template <int kTiles>
struct Ranges {
  float d = 0;
  float dmin = 0;
  vf scale[kTiles];  // whole numbers
  vf minimum[kTiles];
  float lost = 0;
};

inline float largest_of(const float* x, int n) {
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

// Integers and factors for lines as wanted.
template <int kTop, int kTiles>
inline void whole_ranges(const Line (&wanted)[kTiles], Ranges<kTiles>& r) {
  float step[kTiles * kGroups];
  float minimum[kTiles * kGroups];
  for (int k = 0; k < kTiles; ++k) {
    simd::store(step + k * kGroups, wanted[k].step);
    simd::store(minimum + k * kGroups, negated(wanted[k].low));
  }
  const float d = largest_of(step, kTiles * kGroups) / kTop;
  const float dmin = largest_of(minimum, kTiles * kGroups) / kTop;
  const vf inverse = all(block::inverse_scale(d));
  const vf inverse_min = all(block::inverse_scale(dmin));
  r.d = stored_half(d);
  r.dmin = stored_half(dmin);
  for (int k = 0; k < kTiles; ++k) {
    r.scale[k] = clamped(rounded(wanted[k].step * inverse), 0.0f, kTop);
    r.minimum[k] = clamped(rounded(negated(wanted[k].low) * inverse_min), 0.0f, kTop);
  }
}

template <int kTiles>
inline Line line_of(const Ranges<kTiles>& r, vf scale, vf minimum) {
  return {all(r.d) * scale, negated(all(r.dmin) * minimum)};
}

// Each group takes the best of the integers around its own.
template <int kMostCode, int kTop, int kReach, int kN>
inline void improve_ranges(const SuperTile<kN>& t, Ranges<SuperTile<kN>::kTiles>& r) {
  r.lost = 0;
  for (int k = 0; k < SuperTile<kN>::kTiles; ++k) {
    const vf scale = r.scale[k];
    const vf minimum = r.minimum[k];
    vf least = line_loss<kMostCode>(t.tile[k], line_of(r, scale, minimum));
    for (int at = 0; at < (2 * kReach + 1) * (2 * kReach + 1); ++at) {
      const int by = at / (2 * kReach + 1) - kReach;
      const int by_min = at % (2 * kReach + 1) - kReach;
      if (by == 0 && by_min == 0) continue;
      const vf other = clamped(scale + all(static_cast<float>(by)), 0.0f, kTop);
      const vf other_min = clamped(minimum + all(static_cast<float>(by_min)), 0.0f, kTop);
      const vf lost = line_loss<kMostCode>(t.tile[k], line_of(r, other, other_min));
      r.scale[k] = simd::if_less(lost, least, other, r.scale[k]);
      r.minimum[k] = simd::if_less(lost, least, other_min, r.minimum[k]);
      least = simd::min(lost, least);
    }
    r.lost += lane_sum(least);
  }
}

// The best factors for the codes and integers as they are.
template <int kMostCode, int kN>
inline void fit_factors(const SuperTile<kN>& t, Ranges<SuperTile<kN>::kTiles>& r) {
  vf vv = simd::zero();  // of v = scale * code, n = -minimum and x
  vf vn = simd::zero();
  vf nn = simd::zero();
  vf vx = simd::zero();
  vf nx = simd::zero();
  for (int k = 0; k < SuperTile<kN>::kTiles; ++k) {
    const Line line = line_of(r, r.scale[k], r.minimum[k]);
    const vf inverse = inverse_of(line.step);
    const vf n = negated(r.minimum[k]);
    for (int i = 0; i < kN; ++i) {
      const vf x = simd::load(t.tile[k].x[i]);
      const vf w = simd::load(t.tile[k].w[i]);
      const vf v = clamped(rounded((x - line.low) * inverse), 0.0f, kMostCode) * r.scale[k];
      vv = vv + w * v * v;
      vn = vn + w * v * n;
      nn = nn + w * n * n;
      vx = vx + w * v * x;
      nx = nx + w * n * x;
    }
  }
  const float a = lane_sum(vv);
  const float b = lane_sum(vn);
  const float c = lane_sum(nn);
  const float x = lane_sum(vx);
  const float y = lane_sum(nx);
  const float determinant = a * c - b * b;
  if (determinant > 1e-6f * a * c) {
    r.d = stored_half((c * x - b * y) / determinant);
    r.dmin = stored_half((a * y - b * x) / determinant);
  } else if (a > 0) {
    r.d = stored_half((x - r.dmin * b) / a);
  }
}

template <class Block, int kN, int kMostCode, int kTop, int kReach>
void search_super_ranges(const Row& row, int64_t cols, uint8_t* out) {
  constexpr int kTiles = SuperTile<kN>::kTiles;
  for (int64_t b = 0; b < cols / 256; ++b) {
    SuperTile<kN> t;
    load_super(row, b * 256, t);
    Line range[kTiles];
    Line wanted[kTiles];
    for (int k = 0; k < kTiles; ++k) {
      range[k] = range_of(t.tile[k]);
      const vf high = simd::max(range[k].step + range[k].low, simd::zero());
      range[k].low = simd::min(range[k].low, simd::zero());
      range[k].step = high - range[k].low;
      wanted[k] = {range[k].step / all(kMostCode), range[k].low};
    }
    Ranges<kTiles> best;
    whole_ranges<kTop>(wanted, best);
    improve_ranges<kMostCode, kTop, 0>(t, best);
    Ranges<kTiles> r;
    for (int k = 0; k < kTiles; ++k) wanted[k] = search_line<kMostCode>(t.tile[k], range[k], true);
    whole_ranges<kTop>(wanted, r);
    for (int turn = 0; turn <= kFactorTurns; ++turn) {
      if (turn > 0) fit_factors<kMostCode>(t, r);
      improve_ranges<kMostCode, kTop, kReach>(t, r);
      if (r.lost < best.lost) best = r;
    }
    CodeWords<kN> words[kTiles];
    int8_t scale[kTiles * kGroups];
    int8_t minimum[kTiles * kGroups];
    for (int k = 0; k < kTiles; ++k) {
      put_line_codes<kMostCode>(t.tile[k], line_of(best, best.scale[k], best.minimum[k]), words[k]);
      put_int8s(best.scale[k], scale + k * kGroups);
      put_int8s(best.minimum[k], minimum + k * kGroups);
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
  static constexpr float kTries[] = {-30.5f, -31.0f, -31.5f, -32.0f, -32.5f, -33.0f,
                                     29.5f,  30.0f,  30.5f,  31.0f,  31.5f,  32.0f};
  static constexpr int kBias = 32;
};
struct ValuesQ3_K : Integers<-4, 3> {
  static constexpr float kTries[] = {-2.6f, -3.0f, -3.4f, -3.7f, -4.0f, -4.3f, -4.7f, -5.2f,
                                     1.8f,  2.2f,  2.5f,  2.8f,  3.1f,  3.4f,  3.8f,  4.3f};
  static constexpr int kBias = 4;
};

inline float largest_importance(const float* importance, int64_t cols) {
  float largest = 0;
  for (int64_t i = 0; i < cols; ++i) largest = importance[i] > largest ? importance[i] : largest;
  return largest;
}

void search_row(DType type, const float* x, const float* importance, int64_t cols,
                void* out) noexcept {
  Row row = {x, importance, 1.0f};
  if (importance != nullptr) {
    const float largest = largest_importance(importance, cols);
    if (largest > 0) {
      row.unit = 1.0f / largest;
    } else {
      row.importance = nullptr;
    }
  }
  auto* to = static_cast<uint8_t*>(out);
  switch (type) {
    case DType::Q4_0:
      return search_scales<block::Q4_0, ValuesQ4_0>(row, cols, to);
    case DType::Q5_0:
      return search_scales<block::Q5_0, ValuesQ5_0>(row, cols, to);
    case DType::Q8_0:
      return search_scales<block::Q8_0, ValuesQ8_0>(row, cols, to);
    case DType::IQ4_NL:
      return search_scales<block::IQ4_NL, ValuesIQ4>(row, cols, to);
    case DType::NF4:
      return search_scales<block::NF4, ValuesNF4>(row, cols, to);
    case DType::Q4_1:
      return search_lines<block::Q4_1, 15>(row, cols, to);
    case DType::Q5_1:
      return search_lines<block::Q5_1, 31>(row, cols, to);
    case DType::Q2_K:
      return search_super_ranges<block::Q2_K, 16, 3, 15, 1>(row, cols, to);
    case DType::Q4_K:
      return search_super_ranges<block::Q4_K, 32, 15, 63, 1>(row, cols, to);
    case DType::Q5_K:
      return search_super_ranges<block::Q5_K, 32, 31, 63, 1>(row, cols, to);
    case DType::Q3_K:
      return search_super_scales<block::Q3_K, ValuesQ3_K, 16, -32, 31, 2>(row, cols, to);
    case DType::Q6_K:
      return search_super_scales<block::Q6_K, ValuesQ6_K, 16, -128, 127, 4>(row, cols, to);
    case DType::IQ4_XS:
      return search_super_scales<block::IQ4_XS, ValuesIQ4, 32, -32, 31, 2>(row, cols, to);
    case DType::F32:
    case DType::F16:
    case DType::BF16:
      return;
  }
}

}  // namespace
}  // namespace nibble
