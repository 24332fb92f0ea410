#pragma once
// Takes down what flows into a layer's matrices while a text goes through them, for encoders that
// look at inputs.
#include <cstdint>
#include <map>

#include "runtime/model/matmul_observer.h"

namespace nibble {

/// The inputs of one product for each group of matrices that share it, as columns.
class InputTaker : public MatmulObserver {
 public:
  explicit InputTaker(int64_t tokens) : tokens_(tokens) {}
  // to [w.cols, tokens]
  void want(const Matrix& w, float* to) { to_[&w] = to; }
  void clear() { to_.clear(); }
  void input(const Matrix& w, const MatmulInput& in, int64_t begin, int64_t end) noexcept override {
    const auto at = to_.find(&w);
    if (at == to_.end()) return;
    for (int64_t c = begin; c < end; ++c) {
      float* to = at->second + c * tokens_;
      for (int64_t r = 0; r < in.rows; ++r) to[r] = in.x[r * in.stride + c];
    }
  }

 private:
  int64_t tokens_;
  std::map<const Matrix*, float*> to_;
};

}  // namespace nibble
