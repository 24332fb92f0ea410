#pragma once
// A request to stop, set from any thread or signal handler, read between layers and tokens.
#include <atomic>

namespace nibble {

class CancelToken {
 public:
  void request() noexcept { flag_.store(true, std::memory_order_relaxed); }
  void reset() noexcept { flag_.store(false, std::memory_order_relaxed); }
  bool requested() const noexcept { return flag_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> flag_{false};
  static_assert(std::atomic<bool>::is_always_lock_free, "settable in a signal handler");
};

}  // namespace nibble
