#pragma once
// AWQ (Lin et al. 2023, arXiv 2306.00978): columns of large inputs are multiplied by s > 1 before
// they are rounded, and what makes the inputs is divided by s, so that their relative error shrinks
// at the cost of the others'. s = rms(x)^alpha, over the geometric mean of its extremes; alpha is
// the one of eleven between 0 and 1 for which a sample of rows loses least,
//   sum of (rounded(w s) / s - w) H (rounded(w s) / s - w)^T
// with H the second moments of the inputs. (The paper takes the mean of |x|.)
#include <span>
#include <vector>

#include "runtime/convert/gptq.h"

namespace nibble {

/// One of the matrices that read the same input.
struct ScaledUser {
  DType type;
  const float* sample;  // [rows, n]: some of its rows
  int64_t rows;
  const float* importance;  // [n], or nullptr: what the search is given
};

struct ColumnScales {
  std::vector<float> values;  // [n]; empty: none is better
  double alpha = 0;
  double gain = 0;  // loss without them over loss with them
};

class ActivationScales {
 public:
  /// Not owned; cancel may be nullptr.
  ActivationScales(const KernelTable& kernels, Team& team, const CancelToken* cancel)
      : kernels_(kernels), team_(team), cancel_(cancel) {}

  /// Errors: out_of_memory, cancelled.
  ColumnScales search(const Hessian& hessian, std::span<const ScaledUser> users);

 private:
  double loss(std::span<const ScaledUser> users, const std::vector<float>& scales);

  const KernelTable& kernels_;
  Team& team_;
  const CancelToken* cancel_;
  Buffer<float> whole_;  // [n, n]: H, both triangles
};

/// The second moments of inputs that are divided by these scales.
void unscale(Hessian& hessian, const std::vector<float>& scales) noexcept;

}  // namespace nibble
