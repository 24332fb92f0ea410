#pragma once
// Matrix products.
//
// Quantized weights: the input row is rounded to int8 with one scale per 32 (q8 layout); blocks that
// stand out get a second int8 for what the first left over. A Panel of 8 weight rows x 256 columns is
// unpacked once and used for every token. Within a block of 32 all sums are exact integers; each
// block adds one float product per output, in order of the columns, then come the second bytes of
// the same 256 columns. So an output's bits depend on its row and its input alone: not on how many
// tokens or rows share the call, nor on the order of the loops around the panel.
//
// Float weights: 8 lanes along the columns, added at the end in a fixed tree.
#include "quant/kernels/unpack.inl"

namespace nibble {
namespace {

inline int64_t at_most(int64_t n, int64_t limit) {
  return n < limit ? n : limit;
}

constexpr int64_t kTokenTile = 64;  // tokens whose 256 columns stay in the L1 cache
constexpr int64_t kFewTokens = 4;   // up to here weights are read row by row, as they lie in memory
constexpr int32_t kTinyBits = 27 << 23;  // 2^-100: a block of inputs below this is zero

// ---- activations ----

// One plane of a prepared row of k columns: int8 [k], then {scale, scale * sum} [k/32], then {sum of
// the first half, of the second} int16 [k/32].
struct ActRow {
  const int8_t* q;
  const float* scale;
  const int8_t* sums;
};

// A prepared row: its plane; a second plane of the same shape, of which only the blocks of `fine`
// are set; `fine`, a byte for 8 blocks, bit i standing for block i.
constexpr int64_t plane_bytes(int64_t k) {
  return k + k / 4 + k / 8;
}
constexpr int64_t fine_bytes(int64_t k) {
  return (k / kBlock + 7) / 8;
}

inline ActRow plane_at(const uint8_t* p, int64_t k) {
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
  const int64_t bytes = layout == ActLayout::f32 ? k * 4 : 2 * plane_bytes(k) + fine_bytes(k);
  return ((bytes + 63) / 64 | 1) * 64;
}

// The largest |x| of a block, as the bits of a float: their order is that of the sizes, infinity and
// NaN above all. Blocks too small to matter count as zero.
inline int32_t peak_bits(const float* x) {
  vi size[4];
  for (int64_t i = 0; i < 4; ++i) {
    const vi v = simd::as_int(simd::load(x + i * kLanes));
    size[i] = simd::bit_and(v, simd::broadcast32(INT32_MAX));
  }
  const int32_t highest =
      simd::highest32(simd::max32(simd::max32(size[0], size[1]), simd::max32(size[2], size[3])));
  return highest < kTinyBits ? 0 : highest;
}

inline float float_of(int32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

// x [32] -> q = round(x / scale), scale = peak / 127. A block with an infinity or a NaN gets it as
// its scale, so it is not lost.
inline void quantize_block(const float* x, float peak, int8_t* q, float* scale, int16_t* sums) {
  const vf inverse = simd::broadcast(peak == 0.0f ? 0.0f : 127.0f / peak);
  const vf shift = simd::broadcast(12582912.0f);  // 1.5 * 2^23: rounds to the nearest, ties to even
  vi n[4];
  for (int64_t i = 0; i < 4; ++i) {
    const vf v = simd::load(x + i * kLanes);
    n[i] = simd::sub32(simd::as_int(v * inverse + shift), simd::as_int(shift));
  }
  simd::store_bytes(q, simd::narrow_to8(n[0], n[1], n[2], n[3]));
  sums[0] = static_cast<int16_t>(simd::sum32(simd::add32(n[0], n[1])));
  sums[1] = static_cast<int16_t>(simd::sum32(simd::add32(n[2], n[3])));
  scale[0] = peak / 127.0f;
  scale[1] = scale[0] * static_cast<float>(sums[0] + sums[1]);
}

// One plane while it is written.
struct ActPlane {
  int8_t* q;
  float* scale;
  int16_t* sums;
  ActPlane(uint8_t* p, int64_t k)
      : q(reinterpret_cast<int8_t*>(p)),
        scale(reinterpret_cast<float*>(p + k)),
        sums(reinterpret_cast<int16_t*>(p + k + k / 4)) {}
  void set(int64_t b, const float* x, float peak) {
    quantize_block(x, peak, q + b * kBlock, scale + 2 * b, sums + 2 * b);
  }
};

// What a block of the first plane lost, at most half its scale each, into the second.
inline void set_fine(int64_t b, const float* x, const ActPlane& coarse, ActPlane& fine) {
  float rest[kBlock];
  const float scale = coarse.scale[2 * b];
  for (int64_t i = 0; i < kBlock; ++i) {
    rest[i] = x[i] - static_cast<float>(coarse.q[b * kBlock + i]) * scale;
  }
  fine.set(b, rest, scale * 0.5f);
}

// Few columns carry values far above the rest, and rounding their blocks is nearly the whole error
// of int8 inputs. A block is given the second plane when its peak is over twice the typical one:
// the mean of the peaks' bits, which is near that of their logarithms.
void prepare_q8(const float* x, int64_t k, uint8_t* act) {
  ActPlane coarse(act, k);
  ActPlane fine(act + plane_bytes(k), k);
  uint8_t* is_fine = act + 2 * plane_bytes(k);
  std::memset(act + plane_bytes(k), 0, static_cast<size_t>(plane_bytes(k) + fine_bytes(k)));
  const int64_t n_blocks = k / kBlock;
  int64_t total = 0;
  int64_t counted = 0;
  for (int64_t b = 0; b < n_blocks; ++b) {
    const int32_t bits = peak_bits(x + b * kBlock);
    coarse.set(b, x + b * kBlock, float_of(bits));
    total += bits;
    counted += bits != 0;
  }
  if (counted == 0) return;
  constexpr int32_t kTwice = 1 << 23;  // of a float's bits: the exponent is one more
  const float limit = float_of(static_cast<int32_t>(
      at_most(total / counted + kTwice, 0x7f7fffff)));  // an infinite block gains nothing
  for (int64_t b = 0; b < n_blocks; ++b) {
    const float peak = coarse.scale[2 * b] * 127.0f;
    if (peak <= limit || !(peak <= 3e38f)) continue;
    set_fine(b, x + b * kBlock, coarse, fine);
    is_fine[b / 8] = static_cast<uint8_t>(is_fine[b / 8] | 1 << b % 8);
  }
}

void prepare_act(ActLayout layout, const float* x, int64_t k, void* act) noexcept {
  if (layout == ActLayout::f32) {
    std::memcpy(act, x, static_cast<size_t>(k) * sizeof(float));
  } else {
    prepare_q8(x, k, static_cast<uint8_t*>(act));
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

// Both planes of a token's blocks from to.block on.
struct ActPlanes {
  ActRow coarse;
  ActRow fine;
  uint8_t is_fine;  // bit i: block i has a fine part
};

inline ActPlanes act_at(const Target& to, int64_t token) {
  const int64_t k = to.args.w.cols;
  const auto* p = static_cast<const uint8_t*>(to.args.act) + token * to.act_stride;
  const auto from_block = [&](const ActRow& row) {
    return ActRow{row.q + to.block * kBlock, row.scale + to.block * 2, row.sums + to.block * 4};
  };
  return {from_block(plane_at(p, k)), from_block(plane_at(p + plane_bytes(k), k)),
          p[2 * plane_bytes(k) + to.block / kPanelBlocks]};
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
  ActRow fine[T];
  uint8_t is_fine[T];
  vf acc[T];
  for (int t = 0; t < T; ++t) {
    const ActPlanes planes = act_at(to, token + t);
    act[t] = planes.coarse;
    fine[t] = planes.fine;
    is_fine[t] = planes.is_fine;
    acc[t] = load_out(to, token + t);
  }
  dot_panel<F, T>(panel, blocks, act, acc);
  for (int t = 0; t < T; ++t) {
    for (unsigned rest = is_fine[t]; rest != 0; rest &= rest - 1) {
      const int64_t b = __builtin_ctz(rest);
      const ActRow one[1] = {fine[t]};
      vi sum[1];
      integer_dots<F, 1>(panel, b, one, sum);
      acc[t] = add_block<F>(panel, b, one[0], sum[0], acc[t]);
    }
    store_out(to, token + t, acc[t]);
  }
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
  const ActPlanes act = act_at(to, 0);
  vf acc = load_out(to, 0);
  const auto add = [&](const ActRow& plane, int64_t b) {
    const vi a = simd::load_bytes(plane.q + b * kBlock);
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
    const vi sum = add_offset<F>(panel, b, plane, simd::sum_each32(part));
    acc = add_block<F>(panel, b, plane, sum, acc);
  };
  for (int64_t b = 0; b < blocks; ++b) add(act.coarse, b);
  for (unsigned rest = act.is_fine; rest != 0; rest &= rest - 1) add(act.fine, __builtin_ctz(rest));
  store_out(to, 0, acc);
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
