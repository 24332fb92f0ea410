#pragma once
// Bounds of an output head's results from the upper planes of its weights (packed.h, ordered).
//
// A weight is d * (8 h + l - 128) with h known and l one of 0 .. 7. A block's result is
// s * d * sum(q (8 h + l - 128)), so with l = 3.5 it is off by at most 3.5 * s * |d| * sum |q|.
//
// Both that estimate and matmul's own result are sums of floats. With n blocks, two planes of
// inputs, u = 2^-24 and N = sum of s |d| sum |q| over blocks and planes:
//   matmul's terms come to at most 128 N, each of them rounded once and its partial sums 2n times;
//   the estimate's to at most (248 + 124.5) N, rounded twice, its partial sums 4n times.
// Together these are off by less than u N (128 (2n + 2) + 373 (4n + 4)) < u N (1800 n + 2600),
// which is added to the 3.5; twice the share covers N's own roundings, which are smaller, and the
// constant products that became zero.
#include "quant/kernels/matmul.inl"

namespace nibble {
namespace {

// The sum of sizes of one block's inputs, times their scale.
inline float scaled_sizes(const int8_t* q, float scale) {
  const vi ones = simd::broadcast32(0x01010101);
  const vi pairs = simd::dot2_u8s8(simd::abs8(simd::load_bytes(q)), ones);
  vi sum = simd::dot2_s16(pairs, simd::broadcast32(0x00010001));
  for (int64_t i = 4 * kLanes; i < kBlock; i += 4 * kLanes) {
    const vi more = simd::dot2_u8s8(simd::abs8(simd::load_bytes(q + i)), ones);
    sum = simd::add32(sum, simd::dot2_s16(more, simd::broadcast32(0x00010001)));
  }
  return static_cast<float>(simd::sum32(sum)) * scale;
}

// Of one group, kWide rows.
struct RowBounds {
  wf middle;
  wf size;  // N
};

inline void add_upper(const Codes& codes, wf d8, wf offset, const int8_t* q,
                      const ActFactor& factor, wf* middle) {
  const wi sum = simd::dot_codes<FormatOrderedQ8_0::kMaxCode>(codes, q);
  const wf scaled = simd::wide_mul(d8, simd::wide_broadcast(factor.scale));
  *middle = simd::wide_fma(simd::wide_to_float(sum), scaled, *middle);
  *middle = simd::wide_fma(offset, simd::wide_broadcast(factor.scaled_sum), *middle);
}

constexpr PackRecipe kUpperPlanes = {.nibble = true, .bit = true};

inline RowBounds row_bounds(const GroupPlanes& planes, const ActPanel& act, const float* sizes,
                            int64_t blocks, int64_t row) {
  RowBounds r = {simd::wide_broadcast(0.0f), simd::wide_broadcast(0.0f)};
  for (int64_t b = 0; b < blocks; ++b) {
    if (row == 0) prefetch_codes<kUpperPlanes>(planes, b);
    Codes codes;
    FormatOrderedQ8_0::codes(planes, b, row, codes);
    const wf d = half_factors(planes.d, b, row);
    const wf d8 = simd::wide_mul(d, simd::wide_broadcast(8.0f));
    const wf offset = simd::wide_mul(d, simd::wide_broadcast(3.5f - 128.0f));
    const int8_t* q = act.q + b * kBlock;
    add_upper(codes, d8, offset, q, act.factor[b], &r.middle);
    if (act.flag[b * 64] != 0) {
      add_upper(codes, d8, offset, act.fine + b * kBlock, act.fine_factor[b], &r.middle);
    }
    r.size = simd::wide_fma(simd::wide_abs(d), simd::wide_broadcast(sizes[b]), r.size);
  }
  return r;
}

// middle [16], size [16] -> out [2]. What is not a number bounds nothing.
inline void group_bounds(const float* middle, const float* size, float half_width, float* out) {
  const vf infinity = simd::broadcast(__builtin_inff());
  const vf huge = simd::broadcast(3.0e38f);
  const vf none = simd::broadcast(-__builtin_inff());
  vf low = none;
  vf high = none;
  for (int64_t i = 0; i < kGroupRows; i += kLanes) {
    const vf m = simd::load(middle + i);
    const vf width =
        simd::fma(simd::load(size + i), simd::broadcast(half_width), simd::broadcast(1e-30f));
    const vf least = m - width;
    const vf most = m + width;
    low = simd::max(low, simd::if_less(simd::broadcast(-3.0e38f), least,
                                       simd::if_less(most, huge, least, none), none));
    high = simd::max(high, simd::if_less(most, huge, most, infinity));
  }
  out[0] = highest_lane(low);
  out[1] = highest_lane(high);
}

void head_bounds(const MatmulArgs& a, float* out) noexcept {
  constexpr PackRecipe kPlanes = kRecipe<FormatOrderedQ8_0>;
  const PackedLayout layout = packed_layout(kPlanes, a.w.rows, a.w.cols);
  const ActPanel act = act_panel(a.act, a.w.cols, 1, 0);
  const auto blocks = static_cast<float>(layout.blocks);
  const float slack = (1800.0f * blocks + 2600.0f) * 0x1p-23f;
  float sizes[kMostOrderedCols / kBlock];  // of each block's inputs, both planes
  for (int64_t b = 0; b < layout.blocks; ++b) {
    sizes[b] = scaled_sizes(act.q + b * kBlock, act.factor[b].scale);
    if (act.flag[b * 64] != 0) {
      sizes[b] += scaled_sizes(act.fine + b * kBlock, act.fine_factor[b].scale);
    }
  }
  alignas(64) float middle[kGroupRows];
  alignas(64) float size[kGroupRows];
  for (int64_t row = a.row_begin; row < a.row_end; row += kGroupRows, out += 2) {
    const GroupPlanes planes = group_planes(kPlanes, layout, a.w.data, row / kGroupRows);
    for (int64_t i = 0; i < kGroupRows; i += kWide) {
      const RowBounds r = row_bounds(planes, act, sizes, layout.blocks, i);
      simd::wide_storef(middle + i, r.middle);
      simd::wide_storef(size + i, r.size);
    }
    // Rows behind the last are zeros, but could not be told from rows of a damaged file.
    for (int64_t i = a.w.rows - row; i < kGroupRows; ++i) {
      middle[i] = -3.0e38f;
      size[i] = 0.0f;
    }
    group_bounds(middle, size, 3.5f + slack, out);
  }
}

}  // namespace
}  // namespace nibble
