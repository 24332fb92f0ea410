#pragma once
// How the products of one phase are cut into units of work that threads take from a counter.
#include <algorithm>
#include <cstdint>
#include <span>

#include "quant/kernels/kernels.h"

namespace nibble {

/// One matrix of a phase: out [rows of the batch, w.rows].
struct Product {
  const Matrix* w;
  float* out;
};

struct Tiling {
  int64_t rows;    // of one tile
  int64_t panels;  // of tokens
  int64_t tiles(const Matrix& w) const noexcept { return (w.rows + rows - 1) / rows * panels; }

  /// Weight rows of one unit: many for panels of tokens, so that their inputs stay in the cache for
  /// all of them; fewer where the threads could not share the work evenly; few for one token, where
  /// a unit is as long as its weights take to read.
  static Tiling of(std::span<const Product> products, int64_t tokens, int n_threads) noexcept {
    constexpr int64_t kManyRows = 128;
    constexpr int64_t kFewRows = 32;
    constexpr int64_t kManyTokens = 16;
    constexpr int64_t kUnitsPerThread = 4;
    const int64_t panels = (tokens + kPanelTokens - 1) / kPanelTokens;
    if (tokens < kManyTokens) return {kFewRows, panels};
    int64_t rows = 0;
    for (const Product& p : products) rows += p.w->rows;
    const int64_t even = rows * panels / (kUnitsPerThread * n_threads) / kFewRows * kFewRows;
    return {std::clamp(even, kFewRows, kManyRows), panels};
  }
};

}  // namespace nibble
