#include "runtime/threads/team.h"

#include <thread>
#include <vector>

#if NIBBLE_OPENMP
#include <omp.h>
#endif

namespace nibble {
namespace {

// Some 50-100 us on current CPUs: longer than a phase of a small model lasts.
constexpr int kSpins = 2000;

void pause_cpu() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Returns when word differs from old.
void wait_for_change(const std::atomic<uint32_t>& word, uint32_t old, int spins) noexcept {
  for (int i = 0; i < spins; ++i) {
    if (word.load(std::memory_order_acquire) != old) return;
    pause_cpu();
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
}

}  // namespace

#if NIBBLE_OPENMP

struct Team::Pool {};

#else

// Workers sleep on `region` between runs; the last one to finish wakes the caller through `done`.
struct Team::Pool {
  using Work = FunctionRef<void(int, Team&)>;

  Pool(Team& team, int workers) : team_(team) {
    threads_.reserve(static_cast<size_t>(workers));
    try {
      for (int i = 1; i <= workers; ++i) threads_.emplace_back([this, i] { serve(i); });
    } catch (...) {
      stop();
      throw;
    }
  }
  ~Pool() { stop(); }

  void run(const Work& work) noexcept {
    work_ = &work;
    pending_.store(static_cast<int>(threads_.size()), std::memory_order_relaxed);
    const uint32_t done = done_.load(std::memory_order_relaxed);
    region_.fetch_add(1, std::memory_order_release);
    region_.notify_all();
    work(0, team_);
    if (!threads_.empty()) wait_for_change(done_, done, team_.spins_);
  }

 private:
  void serve(int thread) noexcept {
    uint32_t seen = 0;
    for (;;) {
      wait_for_change(region_, seen, 0);
      ++seen;
      if (stopping_.load(std::memory_order_relaxed)) return;
      (*work_)(thread, team_);
      if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        done_.fetch_add(1, std::memory_order_release);
        done_.notify_one();
      }
    }
  }

  void stop() noexcept {
    stopping_.store(true, std::memory_order_relaxed);
    region_.fetch_add(1, std::memory_order_release);
    region_.notify_all();
    for (std::thread& t : threads_) t.join();
    threads_.clear();
  }

  Team& team_;
  const Work* work_ = nullptr;
  alignas(64) std::atomic<uint32_t> region_{0};
  alignas(64) std::atomic<uint32_t> done_{0};
  std::atomic<int> pending_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

#endif

Team::Team(int n) : size_(n < 1 ? 1 : n), asked_(n < 1 ? 1 : n) {
  // With more threads than cores the one awaited may need the core of the one that spins.
  const unsigned cores = std::thread::hardware_concurrency();
  spins_ = cores != 0 && static_cast<unsigned>(asked_) > cores ? 1 : kSpins;
#if !NIBBLE_OPENMP
  pool_ = std::make_unique<Pool>(*this, asked_ - 1);
#endif
}

Team::~Team() = default;

void Team::run(FunctionRef<void(int, Team&)> work) noexcept {
  if (asked_ == 1) {
    work(0, *this);
    return;
  }
#if NIBBLE_OPENMP
#pragma omp parallel num_threads(asked_) default(none) shared(work)
  {
    size_.store(omp_get_num_threads(), std::memory_order_relaxed);  // the same from every thread
    work(omp_get_thread_num(), *this);
  }
  size_.store(asked_, std::memory_order_relaxed);
#else
  pool_->run(work);
#endif
}

void Team::barrier() noexcept {
  const int size = size_.load(std::memory_order_relaxed);
  if (size == 1) return;
  const uint32_t generation = generation_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
    arrived_.store(0, std::memory_order_relaxed);  // nobody arrives again before the next line
    generation_.store(generation + 1, std::memory_order_release);
    generation_.notify_all();
    return;
  }
  wait_for_change(generation_, generation, spins_);
}

}  // namespace nibble
