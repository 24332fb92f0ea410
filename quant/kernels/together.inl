#pragma once
// Products of one block with several tokens at once, for instruction sets that multiply small
// matrices. Over kTogether tokens' dot_together() of the ISA's header:
//
//   TogetherMode<kHalfScales>   lives while blocks of one matrix are multiplied with `tokens`
//   together_codes<kPlane>      codes in the form that is multiplied; plane 1 is ordered codes' low
//   together_half_codes         the same for dot_halves_together()
//   dot_together<kPlane>        sum[t] = kWide rows of token t, of 32 columns; q [kTogether][32]
//   dot_halves_together         the same of each 16 columns
//
// The integers are those of one token at a time and the floats follow in the same order, so results
// are equal to the bit.
#include "quant/kernels/matmul.inl"

namespace nibble {
namespace {

constexpr int64_t kTogether = simd::kTogether;

// A block's codes for several tokens, and what BlockCodes gives for one.
template <class F>
struct TogetherBlock {
  simd::TogetherCodes w;
  explicit TogetherBlock(const GroupPlanes& p, int64_t b, int64_t row) {
    Codes codes;
    F::codes(p, b, row, codes);
    if constexpr (F::kHalfScales) {
      w = simd::together_half_codes(codes);
    } else {
      w = simd::together_codes<0>(codes);
    }
  }
  [[gnu::always_inline]] void sums(const int8_t* q, const BlockFactors& f,
                                   wi (&sum)[kTogether]) const {
    if constexpr (F::kHalfScales) {
      wi second[kTogether];
      simd::dot_halves_together(w, q, sum, second);
      for (int64_t t = 0; t < kTogether; ++t) {
        sum[t] = simd::wide_add32(simd::wide_mul32(sum[t], f.scale[0]),
                                  simd::wide_mul32(second[t], f.scale[1]));
      }
    } else {
      simd::dot_together<0>(w, q, sum);
    }
  }
};

template <>
struct TogetherBlock<FormatOrderedQ8_0> {
  simd::TogetherCodes w;
  simd::TogetherCodes low;
  explicit TogetherBlock(const GroupPlanes& p, int64_t b, int64_t row) {
    Codes codes;
    FormatOrderedQ8_0::codes(p, b, row, codes);
    w = simd::together_codes<0>(codes);
    FormatOrderedQ8_0::low_codes(p, b, row, codes);
    low = simd::together_codes<1>(codes);
  }
  [[gnu::always_inline]] void sums(const int8_t* q, const BlockFactors&,
                                   wi (&sum)[kTogether]) const {
    wi lower[kTogether];
    simd::dot_together<0>(w, q, sum);
    simd::dot_together<1>(low, q, lower);
    for (int64_t t = 0; t < kTogether; ++t) {
      sum[t] = simd::wide_add32(simd::wide_times8(sum[t]), lower[t]);
    }
  }
};

// A way of add_block: as many tokens together as go, the rest and second planes one by one.
struct TokensTogether {
  template <class F>
  using Mode = simd::TogetherMode<F::kHalfScales>;

  template <class F>
  static void add_tokens(const GroupPlanes& planes, int64_t from, int64_t row, const int8_t* q,
                         const ActFactor* factor, int64_t tokens, float* c) {
    const TogetherBlock<F> block(planes, from, row);
    const BlockFactors f = block_factors<F>(planes, from, row);
    for (int64_t t = 0; t < tokens; t += kTogether) {
      wi sum[kTogether];
      block.sums(q + t * kBlock, f, sum);
#pragma GCC unroll 2
      for (int64_t i = 0; i < kTogether; ++i) {
        float* to = c + (t + i) * kGroupRows + row;
        const wi whole = plus_offset<F>(sum[i], f, factor[t + i]);
        simd::wide_storef(to, plus_sum<F>(simd::wide_loadf(to), whole, f, factor[t + i]));
      }
    }
  }

  template <class F>
  static void add_block(const GroupPlanes& planes, int64_t from, const ActPanel& act, int64_t b,
                        float* c) {
    const int64_t together = act.tokens / kTogether * kTogether;
    if (together != 0) {
      for (int64_t row = 0; row < kGroupRows; row += kWide) {
        add_tokens<F>(planes, from, row, act.q + b * act.tokens * kBlock,
                      act.factor + b * act.tokens, together, c);
      }
    }
    TokenByToken::add_block<F>(planes, from, act, b, c, together);
  }
};

}  // namespace
}  // namespace nibble
