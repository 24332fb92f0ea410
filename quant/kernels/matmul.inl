#pragma once
// Matrix products.
//
// Quantized weights: the input row is rounded to int8 with one scale per 32 (q8 layout), a Panel of
// 8 weight rows x 256 columns is unpacked once and used for every token. Within a block of 32 all
// sums are exact integers; each block adds one float product per output, in order of the columns.
// So an output's bits depend on its row and its input alone: not on how many tokens or rows share
// the call, nor on the order of the loops around the panel.
//
// Float weights: 8 lanes along the columns, added at the end in a fixed tree.
#include "quant/kernels/unpack.inl"

namespace nibble {
namespace {

constexpr int64_t kTokenTile = 64;  // tokens whose 256 columns stay in the L1 cache
constexpr int64_t kFewTokens = 4;   // up to here weights are read row by row, as they lie in memory
constexpr float kTinyBlock = 0x1p-100f;  // a block of inputs below this is zero

// ---- activations ----

// A prepared row of k columns: int8 [k], then {scale, scale * sum} [k/32], then {sum of the first
// half, of the second} int16 [k/32].
struct ActRow {
  const int8_t* q;
  const float* scale;
  const int8_t* sums;
};

inline ActRow act_row(const void* act, int64_t stride, int64_t t, int64_t k) {
  const auto* p = static_cast<const uint8_t*>(act) + t * stride;
  return {reinterpret_cast<const int8_t*>(p), reinterpret_cast<const float*>(p + k),
          reinterpret_cast<const int8_t*>(p + k + k / 4)};
}

ActLayout act_layout(DType type) noexcept {
  return type == DType::F32 || type == DType::F16 || type == DType::BF16 ? ActLayout::f32
                                                                         : ActLayout::q8;
}

// An odd number of cache lines, so that the same column of many tokens does not fall into the same
// few cache sets.
int64_t act_bytes(ActLayout layout, int64_t k) noexcept {
  const int64_t bytes = layout == ActLayout::f32 ? k * 4 : k + k / 4 + k / 8;
  return ((bytes + 63) / 64 | 1) * 64;
}

// x [32] -> q = round(x / scale), scale = max|x| / 127. A block with an infinity or a NaN gets it
// as its scale, so it is not lost.
inline void quantize_block(const float* x, int8_t* q, float* scale, int16_t* sums) {
  vf v[4];
  vi size[4];
  for (int64_t i = 0; i < 4; ++i) {
    v[i] = simd::load(x + i * kLanes);
    size[i] = simd::bit_and(simd::as_int(v[i]), simd::broadcast32(INT32_MAX));
  }
  // Sizes of floats are ordered as integers, NaN above all.
  const int32_t highest =
      simd::highest32(simd::max32(simd::max32(size[0], size[1]), simd::max32(size[2], size[3])));
  float peak;
  std::memcpy(&peak, &highest, sizeof(peak));
  if (peak < kTinyBlock) peak = 0.0f;
  const vf inverse = simd::broadcast(peak == 0.0f ? 0.0f : 127.0f / peak);
  const vf shift = simd::broadcast(12582912.0f);  // 1.5 * 2^23: rounds to the nearest, ties to even
  vi n[4];
  for (int64_t i = 0; i < 4; ++i) {
    n[i] = simd::sub32(simd::as_int(v[i] * inverse + shift), simd::as_int(shift));
  }
  simd::store_bytes(q, simd::narrow_to8(n[0], n[1], n[2], n[3]));
  sums[0] = static_cast<int16_t>(simd::sum32(simd::add32(n[0], n[1])));
  sums[1] = static_cast<int16_t>(simd::sum32(simd::add32(n[2], n[3])));
  scale[0] = peak / 127.0f;
  scale[1] = scale[0] * static_cast<float>(sums[0] + sums[1]);
}

void prepare_act(ActLayout layout, const float* x, int64_t k, void* act) noexcept {
  if (layout == ActLayout::f32) {
    std::memcpy(act, x, static_cast<size_t>(k) * sizeof(float));
    return;
  }
  auto* p = static_cast<uint8_t*>(act);
  auto* q = reinterpret_cast<int8_t*>(p);
  auto* scale = reinterpret_cast<float*>(p + k);
  auto* sums = reinterpret_cast<int16_t*>(p + k + k / 4);
  for (int64_t b = 0; b < k / kBlock; ++b) {
    quantize_block(x + b * kBlock, q + b * kBlock, scale + 2 * b, sums + 2 * b);
  }
}

// ---- quantized weights ----

// How many dot2_u8s8 results with codes up to max_code fit into an int16 sum.
constexpr int64_t chain_length(int max_code, bool has_scale) {
  const int64_t fit = 32767 / (2 * 127 * max_code);
  const int64_t most = has_scale ? 4 : 8;
  int64_t chain = 1;
  while (chain * 2 <= fit && chain * 2 <= most) chain *= 2;
  return chain;
}

// Codes count from zero, weights from kOffset below: adds -offset * (sum of the inputs).
template <class F>
inline vi add_offset(const Panel& panel, int64_t b, const ActRow& act, vi sum) {
  if constexpr (F::kOffset == 0) return sum;
  const vi offset = F::kHasScale ? simd::load_bytes(panel.min[b])
                                 : simd::broadcast16(static_cast<int16_t>(-F::kOffset));
  return simd::add32(sum, simd::dot2_s16(offset, simd::broadcast32(act.sums + 4 * b)));
}

// acc + block b's integer sums times their factors: the one place where floats are added.
template <class F>
inline vf add_block(const Panel& panel, int64_t b, const ActRow& act, vi sum, vf acc) {
  const vf scale = simd::broadcast(act.scale[2 * b]);
  acc = simd::fma(simd::to_float(sum), simd::load(panel.d[b]) * scale, acc);
  if constexpr (F::kHasMin) {
    const vi low =
        simd::dot2_s16(simd::load_bytes(panel.min[b]), simd::broadcast32(act.sums + 4 * b));
    return simd::fma(simd::to_float(low), simd::load(panel.m[b]) * scale, acc);
  } else if constexpr (F::kHasM) {
    return simd::fma(simd::load(panel.m[b]), simd::broadcast(act.scale[2 * b + 1]), acc);
  } else {
    return acc;
  }
}

// Block b of the panel times block b of T input rows: int32 sums, a lane a weight row.
template <class F, int T>
inline void integer_dots(const Panel& panel, int64_t b, const ActRow (&act)[T], vi (&sum)[T]) {
  const vi ones = simd::broadcast16(1);
#pragma GCC unroll simd::kUnroll
  for (int t = 0; t < T; ++t) sum[t] = simd::zero_int();
  if constexpr (F::kMaxCode == 0) {
#pragma GCC unroll simd::kUnroll
    for (int64_t j = 0; j < 8; ++j) {
      const vi w = simd::load_bytes(panel.code[b][j]);
      const vi size = simd::abs8(w);
#pragma GCC unroll simd::kUnroll
      for (int t = 0; t < T; ++t) {
        const vi a = simd::apply_sign8(simd::broadcast32(act[t].q + b * kBlock + 4 * j), w);
        sum[t] = simd::add32(sum[t], simd::dot2_s16(simd::dot2_u8s8(size, a), ones));
      }
    }
  } else {
    constexpr int64_t kChain = chain_length(F::kMaxCode, F::kHasScale);
#pragma GCC unroll simd::kUnroll
    for (int64_t first = 0; first < 8; first += kChain) {
      vi part[T];
#pragma GCC unroll simd::kUnroll
      for (int64_t j = first; j < first + kChain; ++j) {
        const vi w = simd::load_bytes(panel.code[b][j]);
#pragma GCC unroll simd::kUnroll
        for (int t = 0; t < T; ++t) {
          const vi a = simd::broadcast32(act[t].q + b * kBlock + 4 * j);
          part[t] =
              j == first ? simd::dot2_u8s8(w, a) : simd::add16(part[t], simd::dot2_u8s8(w, a));
        }
      }
      const vi factor = F::kHasScale ? simd::load_bytes(panel.scale[b][first / 4]) : ones;
#pragma GCC unroll simd::kUnroll
      for (int t = 0; t < T; ++t) sum[t] = simd::add32(sum[t], simd::dot2_s16(part[t], factor));
    }
#pragma GCC unroll simd::kUnroll
    for (int t = 0; t < T; ++t) sum[t] = add_offset<F>(panel, b, act[t], sum[t]);
  }
}

// acc[t] += panel . act[t], a lane a weight row.
template <class F, int T>
inline void dot_panel(const Panel& panel, int64_t blocks, const ActRow (&act)[T], vf (&acc)[T]) {
  for (int64_t b = 0; b < blocks; ++b) {
    vi sum[T];
    integer_dots<F, T>(panel, b, act, sum);
#pragma GCC unroll simd::kUnroll
    for (int t = 0; t < T; ++t) acc[t] = add_block<F>(panel, b, act[t], sum[t], acc[t]);
  }
}

// Where 8 rows of the result go, and how far they are.
struct Target {
  const MatmulArgs& args;
  int64_t act_stride;
  int64_t row;    // first of the 8
  int64_t rows;   // how many of them exist
  int64_t block;  // first block of the panel; 0 starts the sums
};

inline ActRow act_at(const Target& to, int64_t token) {
  const ActRow row = act_row(to.args.act, to.act_stride, token, to.args.w.cols);
  return {row.q + to.block * kBlock, row.scale + to.block * 2, row.sums + to.block * 4};
}

inline vf load_out(const Target& to, int64_t token) {
  if (to.block == 0) return simd::zero();
  const float* out = to.args.out + token * to.args.out_stride + to.row;
  return to.rows == kRows ? simd::load(out) : load_some(out, to.rows);
}

inline void store_out(const Target& to, int64_t token, vf v) {
  float* out = to.args.out + token * to.args.out_stride + to.row;
  if (to.rows == kRows) {
    simd::store(out, v);
  } else {
    store_some(out, v, to.rows);
  }
}

template <class F, int T>
inline void add_tokens(const Panel& panel, int64_t blocks, const Target& to, int64_t token) {
  ActRow act[T];
  vf acc[T];
  for (int t = 0; t < T; ++t) {
    act[t] = act_at(to, token + t);
    acc[t] = load_out(to, token + t);
  }
  dot_panel<F, T>(panel, blocks, act, acc);
  for (int t = 0; t < T; ++t) store_out(to, token + t, acc[t]);
}

template <class F>
inline void add_all_tokens(const Panel& panel, int64_t blocks, const Target& to, int64_t begin,
                           int64_t end) {
  int64_t t = begin;
  for (; t + simd::kTile <= end; t += simd::kTile) add_tokens<F, simd::kTile>(panel, blocks, to, t);
  if constexpr (simd::kTile > 1) {
    if (end - t == 3) add_tokens<F, 3>(panel, blocks, to, t);
    if (end - t == 2) add_tokens<F, 2>(panel, blocks, to, t);
    if (end - t == 1) add_tokens<F, 1>(panel, blocks, to, t);
  }
}

// Block `to.block` of each of the 8 rows. Rows past the last repeat it, so nothing beyond the
// matrix is read.
template <class Block>
inline void find_rows(const Target& to, const Block* (&row)[kRows]) {
  const int64_t length = to.args.w.cols / Block::kLength;
  const Block* w = static_cast<const Block*>(to.args.w.data) + to.block * kBlock / Block::kLength;
  for (int64_t r = 0; r < kRows; ++r) {
    row[r] = w + (to.row + (r < to.rows ? r : to.rows - 1)) * length;
  }
}

template <class F>
inline void add_panel(const Target& to, int64_t blocks, int64_t begin, int64_t end, Rows& rows,
                      Panel& panel) {
  const typename F::Block* row[kRows];
  find_rows(to, row);
  fill_panel<F>(row, blocks, rows, panel);
  add_all_tokens<F>(panel, blocks, to, begin, end);
}

// One token: codes are used once, so they are not interleaved; 8 rows' lanes are summed instead.
// The integers, and so the bits, are the same.
template <class F>
inline void add_one_token(const Target& to, int64_t blocks, Rows& rows, Panel& panel) {
  const typename F::Block* row[kRows];
  find_rows(to, row);
  for (int64_t r = 0; r < kRows; ++r) {
    if constexpr (F::kHalves) {
      F::unpack_factors(row[r], blocks, r, rows);
    } else {
      F::unpack(row[r], blocks, r, rows);
    }
  }
  interleave_factors<F>(rows, panel);
  const ActRow act = act_at(to, 0);
  vf acc = load_out(to, 0);
  for (int64_t b = 0; b < blocks; ++b) {
    const vi a = simd::load_bytes(act.q + b * kBlock);
    vi part[kRows];
#pragma GCC unroll simd::kUnroll
    for (int64_t r = 0; r < kRows; ++r) {
      vi w;
      if constexpr (F::kHalves) {
        w = F::codes(row[r][b]);
      } else {
        w = simd::load_bytes(rows.code[r][b]);
      }
      const vi pairs = F::kMaxCode == 0 ? simd::dot2_u8s8(simd::abs8(w), simd::apply_sign8(a, w))
                                        : simd::dot2_u8s8(w, a);
      const vi factor = F::kHasScale ? simd::spread_pair(rows.scale[r][b]) : simd::broadcast16(1);
      part[r] = simd::dot2_s16(pairs, factor);
    }
    const vi sum = add_offset<F>(panel, b, act, simd::sum_each32(part));
    acc = add_block<F>(panel, b, act, sum, acc);
  }
  store_out(to, 0, acc);
}

inline int64_t at_most(int64_t n, int64_t limit) {
  return n < limit ? n : limit;
}

template <class F>
void matmul_quantized(const MatmulArgs& a) {
  Panel panel;
  Rows rows;
  std::memset(rows.half_d, 0, sizeof(rows.half_d));  // a last panel leaves some unset
  std::memset(rows.half_m, 0, sizeof(rows.half_m));
  const int64_t n_blocks = a.w.cols / kBlock;
  const int64_t stride = act_bytes(ActLayout::q8, a.w.cols);
  if (a.tokens <= kFewTokens) {
    for (int64_t r = a.row_begin; r < a.row_end; r += kRows) {
      for (int64_t b = 0; b < n_blocks; b += kPanelBlocks) {
        const Target to = {a, stride, r, at_most(a.row_end - r, kRows), b};
        const int64_t blocks = at_most(n_blocks - b, kPanelBlocks);
        if (a.tokens == 1) {
          add_one_token<F>(to, blocks, rows, panel);
        } else {
          add_panel<F>(to, blocks, 0, a.tokens, rows, panel);
        }
      }
    }
    return;
  }
  // Columns outside of rows: the tile's 256 columns stay in the L1 cache for all rows.
  for (int64_t t = 0; t < a.tokens; t += kTokenTile) {
    for (int64_t b = 0; b < n_blocks; b += kPanelBlocks) {
      for (int64_t r = a.row_begin; r < a.row_end; r += kRows) {
        const Target to = {a, stride, r, at_most(a.row_end - r, kRows), b};
        const int64_t blocks = at_most(n_blocks - b, kPanelBlocks);
        add_panel<F>(to, blocks, t, at_most(t + kTokenTile, a.tokens), rows, panel);
      }
    }
  }
}

// ---- float weights ----

struct FloatF32 {
  static constexpr int64_t kBytes = 4;
  static vf load(const uint8_t* p) { return simd::load(reinterpret_cast<const float*>(p)); }
};
struct FloatF16 {
  static constexpr int64_t kBytes = 2;
  static vf load(const uint8_t* p) { return simd::load_f16(p); }
};
struct FloatBF16 {
  static constexpr int64_t kBytes = 2;
  static vf load(const uint8_t* p) { return simd::load_bf16(p); }
};

// The first n < 8 elements; the other lanes are zero.
template <class W>
inline vf load_some_of(const uint8_t* p, int64_t n) {
  alignas(32) uint8_t padded[32] = {};
  std::memcpy(padded, p, static_cast<size_t>(n * W::kBytes));
  return W::load(padded);
}

// out[t][r] for R rows x T tokens, R * T = 8. Rows past the last repeat it.
template <class W, int R, int T>
inline void float_tile(const MatmulArgs& a, int64_t r0, int64_t t0) {
  const uint8_t* w[R];
  const float* x[T];
  vf acc[8];
  const int64_t k = a.w.cols;
  const int64_t stride = act_bytes(ActLayout::f32, k);
  for (int r = 0; r < R; ++r) {
    w[r] = static_cast<const uint8_t*>(a.w.data) + at_most(r0 + r, a.row_end - 1) * k * W::kBytes;
  }
  for (int t = 0; t < T; ++t) {
    x[t] = reinterpret_cast<const float*>(static_cast<const uint8_t*>(a.act) + (t0 + t) * stride);
  }
  for (vf& v : acc) v = simd::zero();
  int64_t i = 0;
  for (; i + kLanes <= k; i += kLanes) {
#pragma GCC unroll simd::kUnroll
    for (int r = 0; r < R; ++r) {
      const vf v = W::load(w[r] + i * W::kBytes);
#pragma GCC unroll simd::kUnroll
      for (int t = 0; t < T; ++t) {
        acc[t * R + r] = simd::fma(v, simd::load(x[t] + i), acc[t * R + r]);
      }
    }
  }
  if (i < k) {
#pragma GCC unroll simd::kUnroll
    for (int r = 0; r < R; ++r) {
      const vf v = load_some_of<W>(w[r] + i * W::kBytes, k - i);
#pragma GCC unroll simd::kUnroll
      for (int t = 0; t < T; ++t) {
        acc[t * R + r] = simd::fma(v, load_some(x[t] + i, k - i), acc[t * R + r]);
      }
    }
  }
  float sums[8];
  simd::store(sums, simd::sum_each(acc));
  for (int t = 0; t < T; ++t) {
    for (int r = 0; r < R && r0 + r < a.row_end; ++r) {
      a.out[(t0 + t) * a.out_stride + r0 + r] = sums[t * R + r];
    }
  }
}

template <class W>
void matmul_float(const MatmulArgs& a) {
  const int64_t even = a.tokens - a.tokens % 2;
  for (int64_t r = a.row_begin; even > 0 && r < a.row_end; r += 4) {
    for (int64_t t = 0; t < even; t += 2) float_tile<W, 4, 2>(a, r, t);
  }
  if (even == a.tokens) return;
  for (int64_t r = a.row_begin; r < a.row_end; r += 8) float_tile<W, 8, 1>(a, r, even);
}

void matmul(const MatmulArgs& a) noexcept {
  switch (a.w.type) {
    case DType::F32:
      return matmul_float<FloatF32>(a);
    case DType::F16:
      return matmul_float<FloatF16>(a);
    case DType::BF16:
      return matmul_float<FloatBF16>(a);
    case DType::Q4_0:
      return matmul_quantized<FormatQ4_0>(a);
    case DType::Q4_1:
      return matmul_quantized<FormatQ4_1>(a);
    case DType::Q5_0:
      return matmul_quantized<FormatQ5_0>(a);
    case DType::Q5_1:
      return matmul_quantized<FormatQ5_1>(a);
    case DType::Q8_0:
      return matmul_quantized<FormatQ8_0>(a);
    case DType::Q2_K:
      return matmul_quantized<FormatQ2_K>(a);
    case DType::Q3_K:
      return matmul_quantized<FormatQ3_K>(a);
    case DType::Q4_K:
      return matmul_quantized<FormatQ4_K>(a);
    case DType::Q5_K:
      return matmul_quantized<FormatQ5_K>(a);
    case DType::Q6_K:
      return matmul_quantized<FormatQ6_K>(a);
    case DType::IQ4_NL:
      return matmul_quantized<FormatIQ4_NL>(a);
    case DType::IQ4_XS:
      return matmul_quantized<FormatIQ4_XS>(a);
  }
}

}  // namespace
}  // namespace nibble
