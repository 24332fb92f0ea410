#pragma once
// Rows whose numbers are no numbers: how the writers and `verify` find and name the first.
#include <atomic>
#include <cstdint>
#include <limits>

namespace nibble {

/// x [n]
inline bool all_finite(const float* x, int64_t n) noexcept {
  // The sum of x - x is 0, or NaN as soon as one x is infinite or NaN.
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i] - x[i];
  return sum == 0;
}

/// The lowest of the rows that threads report, in any order.
class FirstBadRow {
 public:
  void found(int64_t row) noexcept {
    int64_t seen = first_.load(std::memory_order_relaxed);
    while (row < seen && !first_.compare_exchange_weak(seen, row)) {
    }
  }
  bool any() const noexcept { return first_.load() != kNone; }
  int64_t row() const noexcept { return first_.load(); }

 private:
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  std::atomic<int64_t> first_{kNone};
};

}  // namespace nibble
