#pragma once
// How the products of one phase are cut into units of work that threads take from a counter.
#include <algorithm>
#include <cstdint>
#include <span>

#include "quant/kernels/kernels.h"

namespace nibble {

/// Rows [first, first + rows) of a matrix, times the inputs of some tokens.
struct Product {
  const Matrix* w;
  float* out;     // [tokens, rows]
  int64_t first;  // packed: a multiple of 16
  int64_t rows;
  int64_t tokens;
  const std::byte* act;  // prepared inputs; nullptr: those that the thread works with

  static Product whole(const Matrix* w, float* out, int64_t tokens) noexcept {
    return {w, out, 0, w->rows, tokens, nullptr};
  }
};

/// Weight rows of one unit: many for panels of tokens, so that their inputs stay in the cache for
/// all of them; fewer where the threads could not share the work evenly; few for one token, where
/// a unit is as long as its weights take to read.
struct Tiling {
  int64_t rows;

  static int64_t panels(const Product& p) noexcept {
    return (p.tokens + kPanelTokens - 1) / kPanelTokens;
  }
  int64_t tiles(const Product& p) const noexcept { return (p.rows + rows - 1) / rows * panels(p); }

  static Tiling of(std::span<const Product> products, int n_threads) noexcept {
    constexpr int64_t kManyRows = 128;
    constexpr int64_t kFewRows = 32;
    constexpr int64_t kManyTokens = 16;
    constexpr int64_t kUnitsPerThread = 4;
    int64_t most_tokens = 0, rows = 0;
    for (const Product& p : products) {
      most_tokens = std::max(most_tokens, p.tokens);
      rows += p.rows * panels(p);
    }
    if (most_tokens < kManyTokens) return {kFewRows};
    const int64_t even = rows / (kUnitsPerThread * n_threads) / kFewRows * kFewRows;
    return {std::clamp(even, kFewRows, kManyRows)};
  }
};

}  // namespace nibble
