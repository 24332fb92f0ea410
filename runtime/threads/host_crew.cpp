// A host's pool lends threads. How many are free, and when they start, is the host's business, but
// a barrier needs all of a region's threads to be running: so the caller opens a gate, waits a
// moment for the tasks it submitted, closes the gate, and the region has the threads that came in.
// A task that finds the gate closed returns; one that starts late may help a later region. A pool
// of any size, a busy one, and one that runs tasks inside submit() all end in fewer threads, never
// in a wait for a thread that cannot come.
#include <algorithm>
#include <chrono>
#include <thread>

#include "runtime/threads/crew.h"

namespace nibble {
namespace {

constexpr uint32_t kOpen = uint32_t{1} << 31;
constexpr auto kPatience = std::chrono::milliseconds(1);
constexpr auto kNap = std::chrono::microseconds(50);
// Regions between two that wait for threads that did not come before.
constexpr int kRetry = 64;

class HostCrew : public Crew {
 public:
  HostCrew(const HostExecutor& executor, int spins) : executor_(executor), spins_(spins) {}

  ~HostCrew() override {
    if (executor_.wait != nullptr && submitted_) executor_.wait(executor_.user);
    // Tasks that the host still has refer to this object.
    while (queued_.load(std::memory_order_acquire) != 0) std::this_thread::sleep_for(kNap);
    while (inside_.load(std::memory_order_acquire) != 0) std::this_thread::sleep_for(kNap);
  }

  void run(int wanted, const Work& work) noexcept override {
    if (wanted <= 1 || executor_.submit == nullptr) return work(0, 1);
    work_ = &work;
    finished_.store(0, std::memory_order_relaxed);
    limit_.store(static_cast<uint32_t>(wanted - 1), std::memory_order_relaxed);
    caller_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    gate_.store(kOpen, std::memory_order_release);
    submit(wanted - 1);
    wait_for_joiners(wanted - 1);
    const uint32_t joined = gate_.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
    gate_.notify_all();
    came_ = static_cast<int>(joined);
    work(0, came_ + 1);
    for (uint32_t n = 0; (n = finished_.load(std::memory_order_acquire)) != joined;) {
      wait_for_change(finished_, n, spins_);
    }
  }

 private:
  static void help(void* crew) noexcept { static_cast<HostCrew*>(crew)->help(); }

  void submit(int workers) noexcept {
    const int need = workers - queued_.load(std::memory_order_relaxed);
    if (need <= 0) return;
    submitted_ = true;
    queued_.fetch_add(need, std::memory_order_relaxed);
    const int accepted = executor_.submit(executor_.user, &HostCrew::help, this, need);
    const int refused = need - std::clamp(accepted, 0, need);
    if (refused > 0) queued_.fetch_sub(refused, std::memory_order_relaxed);
  }

  void wait_for_joiners(int workers) noexcept {
    const int expected = regions_++ % kRetry == 0 ? workers : std::min(workers, came_);
    const auto all_came = [&] {
      return static_cast<int>(gate_.load(std::memory_order_relaxed) & ~kOpen) >= expected;
    };
    for (int i = 0; i < spins_; ++i) {
      if (all_came()) return;
      pause_cpu();
    }
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!all_came() && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(kNap);
    }
  }

  /// The number of this thread in the open region; 0 if there is none to join.
  int join() noexcept {
    uint32_t gate = gate_.load(std::memory_order_acquire);
    while ((gate & kOpen) != 0) {
      // Inside submit(): the caller cannot be two threads of a region.
      if (caller_.load(std::memory_order_relaxed) == std::this_thread::get_id()) return 0;
      // A task left over from a larger region.
      if ((gate & ~kOpen) >= limit_.load(std::memory_order_relaxed)) return 0;
      if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel)) {
        return static_cast<int>(gate & ~kOpen) + 1;
      }
    }
    return 0;
  }

  // One task of the host's. queued_ falls before the region ends, so that the next region submits
  // enough; inside_ is the last thing touched, and the destructor waits for it.
  void help() noexcept {
    inside_.fetch_add(1, std::memory_order_relaxed);
    const int thread = join();
    if (thread > 0) {
      uint32_t gate = 0;
      while (((gate = gate_.load(std::memory_order_acquire)) & kOpen) != 0) {
        wait_for_change(gate_, gate, spins_);
      }
      (*work_)(thread, static_cast<int>(gate) + 1);
    }
    queued_.fetch_sub(1, std::memory_order_acq_rel);
    if (thread > 0) {
      finished_.fetch_add(1, std::memory_order_acq_rel);
      finished_.notify_one();
    }
    inside_.fetch_sub(1, std::memory_order_release);
  }

  const HostExecutor executor_;
  const int spins_;
  const Work* work_ = nullptr;
  int came_ = 0;         // workers of the last region
  int64_t regions_ = 0;  // so far
  bool submitted_ = false;
  alignas(64) std::atomic<uint32_t> gate_{0};  // kOpen, and how many have joined
  alignas(64) std::atomic<uint32_t> finished_{0};
  std::atomic<uint32_t> limit_{0};  // of those who may join
  std::atomic<std::thread::id> caller_{};
  std::atomic<int> queued_{0};  // tasks that the host has, not yet at their end
  std::atomic<int> inside_{0};  // tasks that run
};

}  // namespace

std::unique_ptr<Crew> make_host_crew(const HostExecutor& executor, int spins) {
  return std::make_unique<HostCrew>(executor, spins);
}

}  // namespace nibble
