#pragma once
// Which groups of an output head may hold one of its k largest results, by the bounds that
// KernelTable::head_bounds gives.
#include <cstdint>

namespace nibble {

struct HeadBounds {
  static constexpr int64_t kMostTop = 128;  // largest k

  const float* bounds;  // [groups][2]: of a group's largest result, not owned
  int64_t groups;

  /// The k-th largest of the groups' lower bounds, so k results are at least this; -infinity where
  /// there are fewer groups. 0 < k <= kMostTop.
  float least_of_top(int64_t k) const noexcept;
  bool may_reach(int64_t group, float least) const noexcept {
    return !(bounds[2 * group + 1] < least);
  }
  /// The share of groups that may_reach().
  double share(float least) const noexcept;
};

}  // namespace nibble
