#pragma once
// A request to stop, set from any thread or signal handler, read between layers and tokens.
#include <atomic>

namespace nibble {

class CancelToken {
 public:
  CancelToken() = default;
  /// Requested too where `also` is, which must outlive it.
  explicit CancelToken(const CancelToken* also) noexcept : also_(also) {}

  void request() noexcept { flag_.store(true, std::memory_order_relaxed); }
  void reset() noexcept { flag_.store(false, std::memory_order_relaxed); }
  bool requested() const noexcept {
    return flag_.load(std::memory_order_relaxed) || (also_ != nullptr && also_->requested());
  }

 private:
  std::atomic<bool> flag_{false};
  const CancelToken* also_ = nullptr;
  static_assert(std::atomic<bool>::is_always_lock_free, "settable in a signal handler");
};

}  // namespace nibble
