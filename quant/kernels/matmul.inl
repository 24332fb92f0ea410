#pragma once
// Products of quantized weights with prepared inputs.
//
// A tile is a panel of up to 64 tokens and up to 8 groups of 16 rows; its results stay in the cache
// while 256 columns at a time pass by. Each block of 32 columns is unpacked into registers once and
// used for all tokens of the panel. Within a block all sums are exact integers; each block adds one
// float product per output, in order of the columns, the second plane of an input right after the
// first. So an output's bits depend on its row and its input alone: not on how many tokens or rows
// share the call, nor on how the weights were stored.
//
// Weights as they lie in a file are packed tile by tile on the way.
#include "quant/kernels/matmul_float.inl"
#include "quant/kernels/panel.inl"

namespace nibble {
namespace {

constexpr int64_t kSuperBlocks = 8;  // blocks whose inputs stay in the L1 cache: 256 columns
constexpr int64_t kTileGroups = 8;   // groups of rows whose results do

// The codes of one block, in the form the dot products want.
template <class F>
struct BlockCodes {
  Codes w;
  explicit BlockCodes(const GroupPlanes& p, int64_t b, int64_t row) { F::codes(p, b, row, w); }
};
// Signed codes: their sizes as well.
template <class F>
requires(F::kMaxCode == 0) struct BlockCodes<F> {
  simd::SignedCodes w;
  explicit BlockCodes(const GroupPlanes& p, int64_t b, int64_t row) {
    Codes codes;
    F::codes(p, b, row, codes);
    w = simd::signed_codes(codes);
  }
};

// Both parts of codes in ordered planes.
template <>
struct BlockCodes<FormatOrderedQ8_0> {
  Codes w;
  Codes low;
  explicit BlockCodes(const GroupPlanes& p, int64_t b, int64_t row) {
    FormatOrderedQ8_0::codes(p, b, row, w);
    FormatOrderedQ8_0::low_codes(p, b, row, low);
  }
};

// The integers that depend on the inputs' sums alone, added to a block's.
template <class F>
[[gnu::always_inline]] inline wi plus_offset(wi sum, const BlockFactors& f,
                                             const ActFactor& factor) {
  if constexpr (F::kForm == PackForm::ordered) {
    sum = simd::wide_add32(sum, simd::dot_sums(simd::wide_every16<-128>(), factor.sums));
  } else if constexpr (F::kHalfScales && F::kOffset != 0) {
    sum = simd::wide_add32(sum, simd::dot_sums(f.min, factor.sums));
  }
  return sum;
}

// acc + a block's sum of integers, times the factors.
template <class F>
[[gnu::always_inline]] inline wf plus_sum(wf acc, wi sum, const BlockFactors& f,
                                          const ActFactor& factor) {
  const wf scale = simd::wide_broadcast(factor.scale);
  acc = simd::wide_fma(simd::wide_to_float(sum), simd::wide_mul(f.d, scale), acc);
  if constexpr (F::kHalfMinima) {
    const wf low = simd::wide_to_float(simd::dot_sums(f.min, factor.sums));
    acc = simd::wide_fma(low, simd::wide_mul(f.m, scale), acc);
  } else if constexpr (F::kHasM || (F::kOffset != 0 && !F::kHalfScales)) {
    acc = simd::wide_fma(f.m, simd::wide_broadcast(factor.scaled_sum), acc);
  }
  return acc;
}

// acc + one block of weights times 32 inputs of one token.
template <class F>
[[gnu::always_inline]] inline wf plus_product(wf acc, const BlockCodes<F>& codes,
                                              const BlockFactors& f, const int8_t* q,
                                              const ActFactor& factor) {
  wi sum;
  if constexpr (F::kForm == PackForm::ordered) {
    sum = simd::wide_times8(simd::dot_codes<F::kMaxCode>(codes.w, q));
    sum = simd::wide_add32(sum, simd::dot_codes<7>(codes.low, q));
  } else if constexpr (F::kMaxCode == 0) {
    sum = simd::dot_signed(codes.w, q, factor.sums);
  } else if constexpr (F::kHalfScales) {
    sum = simd::dot_scaled<F::kMaxCode>(codes.w, q, f.scale[0], f.scale[1]);
  } else {
    sum = simd::dot_codes<F::kMaxCode>(codes.w, q);
  }
  return plus_sum<F>(acc, plus_offset<F>(sum, f, factor), f, factor);
}

// c [kWide] += the same.
template <class F>
[[gnu::always_inline]] inline void add_product(const BlockCodes<F>& codes, const BlockFactors& f,
                                               const int8_t* q, const ActFactor& factor, float* c) {
  simd::wide_storef(c, plus_product<F>(simd::wide_loadf(c), codes, f, q, factor));
}

// c [16] = a group of rows times the only token of a panel: weights are read from the first to the
// last, as memory likes it.
template <class F>
inline void multiply_row(const GroupPlanes& planes, const ActPanel& act, int64_t blocks, float* c) {
  constexpr int64_t kParts = kGroupRows / kWide;
  wf acc[kParts];
  for (wf& a : acc) a = simd::wide_broadcast(0.0f);
  for (int64_t b = 0; b < blocks; ++b) {
    prefetch_codes<kRecipe<F>>(planes, b);
#pragma GCC unroll 2
    for (int64_t i = 0; i < kParts; ++i) {
      const BlockCodes<F> codes(planes, b, i * kWide);
      const BlockFactors f = block_factors<F>(planes, b, i * kWide);
      acc[i] = plus_product<F>(acc[i], codes, f, act.q + b * kBlock, act.factor[b]);
      if (act.flag[b * 64] != 0) {
        acc[i] = plus_product<F>(acc[i], codes, f, act.fine + b * kBlock, act.fine_factor[b]);
      }
    }
  }
  for (int64_t i = 0; i < kParts; ++i) simd::wide_storef(c + i * kWide, acc[i]);
}

// The tokens of a panel that have a second plane in block b, a bit each.
inline uint64_t fine_tokens(const ActPanel& act, int64_t b) {
  const uint64_t all = simd::sign_bits64(act.flag + b * 64);
  return act.tokens == 64 ? all : all & ((uint64_t{1} << act.tokens) - 1);
}

// How a block meets the tokens of a panel: a table's choice. This one takes them one by one.
struct TokenByToken {
  // What lives while the blocks of a matrix are multiplied.
  template <class F>
  struct Mode {
    explicit Mode(int64_t /*tokens*/) {}
  };

  // c [tokens][16] += block b of the inputs times block `from` of the planes; first planes from
  // token `first` on, second planes of all.
  template <class F>
  static void add_block(const GroupPlanes& planes, int64_t from, const ActPanel& act, int64_t b,
                        float* c, int64_t first = 0) {
    const int8_t* q = act.q + b * act.tokens * kBlock;
    const int8_t* fine = act.fine + b * act.tokens * kBlock;
    const ActFactor* factor = act.factor + b * act.tokens;
    const ActFactor* fine_factor = act.fine_factor + b * act.tokens;
    const uint64_t fines = fine_tokens(act, b);
    if (first == act.tokens && fines == 0) return;
    for (int64_t row = 0; row < kGroupRows; row += kWide) {
      const BlockCodes<F> codes(planes, from, row);
      const BlockFactors f = block_factors<F>(planes, from, row);
      for (int64_t t = first; t < act.tokens; ++t) {
        add_product<F>(codes, f, q + t * kBlock, factor[t], c + t * kGroupRows + row);
      }
      for (uint64_t rest = fines; rest != 0; rest &= rest - 1) {
        const int64_t t = __builtin_ctzll(rest);
        add_product<F>(codes, f, fine + t * kBlock, fine_factor[t], c + t * kGroupRows + row);
      }
    }
  }
};

constexpr int64_t kTilePackBytes = 8 * 1024;  // 16 rows x 256 columns of any type

// Groups of one matrix: in place if it is packed, else packed 256 columns at a time.
template <class F>
class Groups {
 public:
  Groups(const Matrix& w, int64_t first_row, int64_t row_end)
      : w_(w), first_row_(first_row), row_end_(row_end) {
    if (w.packed) layout_ = packed_layout(kRecipe<F>, w.rows, w.cols);
  }
  // Blocks [b, b + n) of group g; `from` receives where they begin in the planes.
  GroupPlanes planes(int64_t g, int64_t b, int64_t n, int64_t* from) {
    const int64_t row = first_row_ + g * kGroupRows;
    if (w_.packed) {
      *from = b;
      return group_planes(kRecipe<F>, layout_, w_.data, row / kGroupRows);
    }
    const PackedLayout tile = packed_layout(kRecipe<F>, kGroupRows, n * kBlock);
    const int64_t stride = row_bytes(F::kType, w_.cols);
    const UnpackedRows rows = {static_cast<const uint8_t*>(w_.data) + row * stride, stride,
                               at_most(row_end_ - row, kGroupRows), b};
    pack_group(F::kType, rows, tile, 0, tile_);
    *from = 0;
    return group_planes(kRecipe<F>, tile, tile_, 0);
  }

 private:
  const Matrix& w_;
  int64_t first_row_;
  int64_t row_end_;
  PackedLayout layout_;
  alignas(64) uint8_t tile_[kTilePackBytes];
};

// out [tokens, out_stride] from c [group][tokens][16].
inline void store_tile(const MatmulArgs& a, int64_t t0, int64_t tokens, int64_t row, int64_t end,
                       const float* c) {
  for (; row < end; row += kGroupRows, c += tokens * kGroupRows) {
    const int64_t n = at_most(end - row, kGroupRows);
    for (int64_t t = 0; t < tokens; ++t) {
      float* out = a.out + (t0 + t) * a.out_stride + row;
      if (n == kGroupRows) {
        for (int64_t i = 0; i < kGroupRows; i += kWide) {
          simd::wide_storef(out + i, simd::wide_loadf(c + t * kGroupRows + i));
        }
      } else {
        std::memcpy(out, c + t * kGroupRows, static_cast<size_t>(n) * sizeof(float));
      }
    }
  }
}

// One token's products with packed weights.
template <class F>
void multiply_rows(const MatmulArgs& a) {
  const PackedLayout layout = packed_layout(kRecipe<F>, a.w.rows, a.w.cols);
  const ActPanel act = act_panel(a.act, a.w.cols, 1, 0);
  alignas(64) float c[kGroupRows];
  for (int64_t row = a.row_begin; row < a.row_end; row += kGroupRows) {
    multiply_row<F>(group_planes(kRecipe<F>, layout, a.w.data, row / kGroupRows), act,
                    layout.blocks, c);
    store_tile(a, 0, 1, row, at_most(a.row_end, row + kGroupRows), c);
  }
}

template <class F, class By>
void matmul_quantized(const MatmulArgs& a) {
  if (a.tokens == 1 && a.w.packed) return multiply_rows<F>(a);
  [[maybe_unused]] const typename By::template Mode<F> mode(a.tokens);
  alignas(64) float c[kTileGroups * kPanelTokens * kGroupRows];
  const int64_t blocks = a.w.cols / kBlock;
  const int64_t token_end = at_most(a.token_end, a.tokens);
  constexpr int64_t kTileRows = kTileGroups * kGroupRows;
  for (int64_t row = a.row_begin; row < a.row_end; row += kTileRows) {
    const int64_t end = at_most(a.row_end, row + kTileRows);
    const int64_t n_groups = (end - row + kGroupRows - 1) / kGroupRows;
    Groups<F> groups(a.w, row, end);
    for (int64_t t0 = a.token_begin; t0 < token_end; t0 += kPanelTokens) {
      const ActPanel act = act_panel(a.act, a.w.cols, a.tokens, t0 / kPanelTokens);
      const int64_t c_group = act.tokens * kGroupRows;
      std::memset(c, 0, static_cast<size_t>(n_groups * c_group) * sizeof(float));
      for (int64_t b0 = 0; b0 < blocks; b0 += kSuperBlocks) {
        const int64_t n = at_most(blocks - b0, kSuperBlocks);
        for (int64_t g = 0; g < n_groups; ++g) {
          int64_t from = 0;
          const GroupPlanes planes = groups.planes(g, b0, n, &from);
          for (int64_t b = 0; b < n; ++b) {
            if (a.w.packed) prefetch_codes<kRecipe<F>>(planes, from + b);
            By::template add_block<F>(planes, from + b, act, b0 + b, c + g * c_group);
          }
        }
      }
      store_tile(a, t0, act.tokens, row, end, c);
    }
  }
}

template <class By>
void matmul(const MatmulArgs& a) noexcept {
  switch (a.w.type) {
    case DType::F32:
      return matmul_float<FloatF32>(a);
    case DType::F16:
      return matmul_float<FloatF16>(a);
    case DType::BF16:
      return matmul_float<FloatBF16>(a);
    case DType::Q4_0:
      return matmul_quantized<FormatQ4_0, By>(a);
    case DType::Q4_1:
      return matmul_quantized<FormatQ4_1, By>(a);
    case DType::Q5_0:
      return matmul_quantized<FormatQ5_0, By>(a);
    case DType::Q5_1:
      return matmul_quantized<FormatQ5_1, By>(a);
    case DType::Q8_0:
      return a.w.form == PackForm::ordered ? matmul_quantized<FormatOrderedQ8_0, By>(a)
                                           : matmul_quantized<FormatQ8_0, By>(a);
    case DType::Q2_K:
      return matmul_quantized<FormatQ2_K, By>(a);
    case DType::Q3_K:
      return matmul_quantized<FormatQ3_K, By>(a);
    case DType::Q4_K:
      return matmul_quantized<FormatQ4_K, By>(a);
    case DType::Q5_K:
      return matmul_quantized<FormatQ5_K, By>(a);
    case DType::Q6_K:
      return matmul_quantized<FormatQ6_K, By>(a);
    case DType::IQ4_NL:
      return matmul_quantized<FormatIQ4_NL, By>(a);
    case DType::IQ4_XS:
      return matmul_quantized<FormatIQ4_XS, By>(a);
    case DType::MXFP4:
      return matmul_quantized<FormatMXFP4, By>(a);
    case DType::NF4:
      return matmul_quantized<FormatNF4, By>(a);
  }
}

}  // namespace
}  // namespace nibble
