#pragma once
// What a forward pass can show of itself: the input of every product with weights, in floats before
// it is rounded for the kernels. For measurements; a pass without an observer does nothing for it.
#include <cstdint>

#include "quant/kernels/kernels.h"

namespace nibble {

struct MatmulInput {
  const float* x;  // [rows, stride], of which the first cols of the matrix count
  int64_t rows;
  int64_t stride;
  int64_t part = 0;  // whose inputs, where w is matrices one after the other (experts, heads)
};

class MatmulObserver {
 public:
  virtual ~MatmulObserver() = default;
  /// Columns [begin, end) of the input of a product with w, the Matrix of the model itself. All
  /// threads of a team call it at the same time, each with columns of its own; the columns and the
  /// order of products are the same for every number of threads. Each
  /// part of w that has inputs is shown for itself.
  virtual void input(const Matrix& w, const MatmulInput& input, int64_t begin,
                     int64_t end) noexcept = 0;
};

}  // namespace nibble
