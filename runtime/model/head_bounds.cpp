#include "runtime/model/head_bounds.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace nibble {

float HeadBounds::least_of_top(int64_t k) const noexcept {
  float top[kMostTop];  // a heap, the least first
  std::fill(top, top + k, -std::numeric_limits<float>::infinity());
  for (int64_t g = 0; g < groups; ++g) {
    const float low = bounds[2 * g];
    if (!(low > top[0])) continue;
    std::pop_heap(top, top + k, std::greater<>());
    top[k - 1] = low;
    std::push_heap(top, top + k, std::greater<>());
  }
  return top[0];
}

double HeadBounds::share(float least) const noexcept {
  int64_t n = 0;
  for (int64_t g = 0; g < groups; ++g) n += may_reach(g, least) ? 1 : 0;
  return static_cast<double>(n) / static_cast<double>(groups);
}

}  // namespace nibble
