// Threads of our own, which sleep on one word between regions. The word holds a region's number and
// how many threads it has: a thread that is not needed must not mistake one region for another.
#include <thread>
#include <vector>

#include "runtime/threads/crew.h"

namespace nibble {
namespace {

constexpr uint32_t kSizeBits = 12;  // room for 4,095 threads
constexpr uint32_t kSizeMask = (uint32_t{1} << kSizeBits) - 1;

class ThreadCrew : public Crew {
 public:
  ThreadCrew(int workers, int spins) : spins_(spins) {
    threads_.reserve(static_cast<size_t>(workers));
    try {
      for (int i = 1; i <= workers; ++i) threads_.emplace_back([this, i] { serve(i); });
    } catch (...) {
      stop();
      throw;
    }
  }
  ~ThreadCrew() override { stop(); }

  void run(int wanted, const Work& work) noexcept override {
    if (wanted <= 1) return work(0, 1);
    work_ = &work;
    pending_.store(wanted - 1, std::memory_order_relaxed);
    const uint32_t done = done_.load(std::memory_order_relaxed);
    open_region(static_cast<uint32_t>(wanted));
    work(0, wanted);
    // The last to finish moves it on.
    wait_for_change(done_, done, spins_);
  }

 private:
  void open_region(uint32_t size) noexcept {
    const uint32_t number = (region_.load(std::memory_order_relaxed) >> kSizeBits) + 1;
    region_.store(number << kSizeBits | size, std::memory_order_release);
    region_.notify_all();
  }

  void serve(int thread) noexcept {
    uint32_t seen = 0;
    for (;;) {
      wait_for_change(region_, seen, 0);
      seen = region_.load(std::memory_order_acquire);
      if (stopping_.load(std::memory_order_relaxed)) return;
      const int size = static_cast<int>(seen & kSizeMask);
      if (thread >= size) continue;
      (*work_)(thread, size);
      if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        done_.fetch_add(1, std::memory_order_release);
        done_.notify_one();
      }
    }
  }

  void stop() noexcept {
    stopping_.store(true, std::memory_order_relaxed);
    open_region(0);
    for (std::thread& t : threads_) t.join();
    threads_.clear();
  }

  const int spins_;
  const Work* work_ = nullptr;
  alignas(64) std::atomic<uint32_t> region_{0};
  alignas(64) std::atomic<uint32_t> done_{0};
  std::atomic<int> pending_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<Crew> make_thread_crew(int n, int spins) {
  return std::make_unique<ThreadCrew>(n - 1, spins);
}

}  // namespace nibble
