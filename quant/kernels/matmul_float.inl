#pragma once
// Products of float weights: 8 lanes along the columns, added at the end in a fixed tree. The
// weights are read row by row as they lie in the file.
#include "quant/all_types.h"
#include "quant/kernels/act.inl"
#include "quant/kernels/tables.h"

namespace nibble {
namespace {

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

// n numbers as floats.
template <class W>
inline void widen(const uint8_t* p, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) simd::store(out + i, W::load(p + i * W::kBytes));
  if (i == n) return;
  float last[kLanes];
  simd::store(last, load_some_of<W>(p + i * W::kBytes, n - i));
  std::memcpy(out + i, last, static_cast<size_t>(n - i) * sizeof(float));
}

// Blocks as floats: to_float(), compiled for this instruction set.
template <class Block>
inline void widen_block(const Block* __restrict block, float* __restrict out) {
  to_float(*block, out);
}
template <class Block>
inline void widen_blocks(const uint8_t* p, int64_t n, float* out) {
  // In place where that is aligned: a copy that was just stored is slow to load in other pieces.
  if (reinterpret_cast<uintptr_t>(p) % alignof(Block) == 0) {
    const auto* blocks = reinterpret_cast<const Block*>(p);
    for (int64_t i = 0; i < n; ++i) widen_block(blocks + i, out + i * Block::kLength);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    Block block;
    std::memcpy(&block, p + i * static_cast<int64_t>(sizeof(Block)), sizeof(Block));
    to_float(block, out + i * Block::kLength);
  }
}

void dequantize_row(const Matrix& w, int64_t r, float* out) noexcept {
  if (w.packed) return dequantize_matrix_row(w, r, out);
  const auto* row = static_cast<const uint8_t*>(w.data) + r * row_bytes(w.type, w.cols);
  if (w.type == DType::F16) return widen<FloatF16>(row, w.cols, out);
  if (w.type == DType::BF16) return widen<FloatBF16>(row, w.cols, out);
  for_each_type(AllTypes{}, [&]<class Block>() {
    if (Block::kType == w.type) widen_blocks<Block>(row, w.cols / Block::kLength, out);
  });
}

// out[t][r] for R rows x T tokens, R * T = 8. Rows past the last repeat it.
template <class W, int R, int T>
inline void float_tile(const MatmulArgs& a, int64_t r0, int64_t t0) {
  const uint8_t* w[R];
  const float* x[T];
  vf acc[8];
  const int64_t k = a.w.cols;
  const int64_t stride = float_stride(k);
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
  const int64_t end = at_most(a.token_end, a.tokens);
  const int64_t even = end - (end - a.token_begin) % 2;
  for (int64_t r = a.row_begin; even > a.token_begin && r < a.row_end; r += 4) {
    for (int64_t t = a.token_begin; t < even; t += 2) float_tile<W, 4, 2>(a, r, t);
  }
  if (even == end) return;
  for (int64_t r = a.row_begin; r < a.row_end; r += 8) float_tile<W, 8, 1>(a, r, even);
}

}  // namespace
}  // namespace nibble
