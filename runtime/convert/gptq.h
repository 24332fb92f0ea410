#pragma once
// GPTQ (Frantar et al. 2022, arXiv 2210.17323): weights are rounded column after column, and what a
// column has lost is made up for by those still to come, as the second moments H = X^T X of the
// inputs say. Done here in the form of LDLQ (Chee et al. 2023, arXiv 2307.13304, theorem 6), which
// gives the same codes without an inverse: with H = U^T U, U upper triangular, the columns are
// rounded from the last to the first, column s at
//
//   w_s + sum over t > s of U_st / U_ss * (w_t - rounded w_t)
//
// and the loss is the sum of U_ss^2 times the squared rounding error. So the scales of a block are
// searched (quant/search.h) with U_ss^2 as importance when its first column is reached, for the
// weights as they are to be then. Blocks lie side by side in a row, so the order of columns is that
// of blocks, the largest diagonal of H first, and within a block that of its columns.
#include <cstdint>
#include <vector>

#include "quant/kernels/kernels.h"
#include "runtime/model/buffer.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/team.h"

namespace nibble {

/// Sums of x x^T over the inputs x of one matrix.
struct Hessian {
  int64_t n = 0;
  Buffer<float> sums;  // [n, n], upper triangle
  /// All zero. Errors: out_of_memory.
  void reset(int64_t columns);
  float at(int64_t i, int64_t j) const noexcept {
    return sums.data()[i < j ? i * n + j : j * n + i];
  }
};

/// H with its columns in order and a damped diagonal, as U^T U.
struct HessianFactor {
  int64_t n = 0;
  int64_t block_len = 0;
  std::vector<int32_t> order;  // [n]: the column at each position, the last is rounded first
  Buffer<float> u;             // [n, n], upper triangle; zero below
};

class Gptq {
 public:
  /// The team and the token (may be nullptr) are not owned.
  Gptq(const KernelTable& kernels, Team& team, const CancelToken* cancel)
      : kernels_(kernels), team_(team), cancel_(cancel) {}

  /// hessian += x x^T. x [n, tokens]: inputs as columns.
  void add(Hessian& hessian, const float* x, int64_t tokens);

  /// What is added to the diagonal of H, relative to its mean, as the paper has it; ten times as
  /// much as long as H is not positive definite in single precision.
  static constexpr double kDamping = 0.01;
  /// n is a multiple of block_len. Errors: out_of_memory, cancelled, bad_argument (sums that are
  /// not finite).
  void factor(const Hessian& hessian, int64_t block_len, HessianFactor& out);

  enum class Scales : uint8_t {
    search,  // of each block, when its first column is reached
    given,   // those of the blocks in out
  };
  /// w [rows, n] -> out, rows of row_bytes(type, n). The type has codes (block_codes.h), the
  /// factor's block_len is its own. The result is the same for any number of threads. Errors:
  /// out_of_memory, cancelled.
  void encode(const HessianFactor& factor, DType type, const float* w, int64_t rows, std::byte* out,
              Scales scales = Scales::search);

  /// Bytes that encode() and factor() hold besides their arguments, with n columns.
  static int64_t scratch_bytes(int64_t n, int n_threads) noexcept;

 private:
  /// x x^T of x [n, k], rows and columns from `first` (a multiple of 64) on, in tiles of 64 on and
  /// above the diagonal: f(first row, rows, first column, columns, tile [64, 64]).
  template <typename F>
  void for_each_product(const float* x, int64_t n, int64_t k, int64_t first, F&& f);
  bool try_factor(HessianFactor& out);
  void factor_rows(HessianFactor& out, int64_t begin, int64_t end);
  void check_cancel() const;

  const KernelTable& kernels_;
  Team& team_;
  const CancelToken* cancel_;
  Buffer<std::byte> acts_;  // prepared inputs of products
  Buffer<float> panel_;
  Buffer<float> tiles_;
};

}  // namespace nibble
