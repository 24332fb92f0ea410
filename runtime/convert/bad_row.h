#pragma once
// Rows whose numbers are no numbers: how the writers and `verify` find and name the first.
#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>

namespace nibble {

/// x [n]
inline bool all_finite(const float* x, int64_t n) noexcept {
  // A sum of x - x is 0, or NaN as soon as one x is infinite or NaN. In lanes, and as vectors that
  // every CPU has: one chain of additions takes four times as long.
  using Four = float __attribute__((vector_size(16)));
  Four sum[4] = {};
  int64_t i = 0;
  for (; n - i >= 16; i += 16) {
    Four part[4];
    std::memcpy(part, x + i, sizeof part);
    for (int k = 0; k < 4; ++k) sum[k] += part[k] - part[k];
  }
  const Four lanes = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  float all = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
  for (; i < n; ++i) all += x[i] - x[i];
  return all == 0;
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
