#include "runtime/threads/team.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "runtime/threads/crew.h"
#include "runtime/threads/fault_signal.h"

namespace nibble {
namespace {

// Some 50-100 us on current CPUs: longer than a phase of a small model lasts.
constexpr int kSpins = 2000;

std::unique_ptr<Crew> make_crew(int n, const ThreadSource& source, int spins) {
  if (source.kind == TeamKind::host) return make_host_crew(source.executor, spins);
  if (source.kind != TeamKind::threads) {
    if (auto crew = make_openmp_crew()) return crew;
  }
  return make_thread_crew(n, spins);
}

}  // namespace

bool has_team_kind(TeamKind kind) noexcept {
#if NIBBLE_OPENMP
  (void)kind;
  return true;
#else
  return kind != TeamKind::openmp;
#endif
}

Team::Team(int n, const ThreadSource& source)
    : size_(n < 1 ? 1 : std::min(n, kMostThreads)),
      asked_(size_),
      process_(::getpid()),
      budget_(source.budget) {
  // With more threads than cores the one awaited may need the core of the one that spins.
  const unsigned cores = std::thread::hardware_concurrency();
  spins_ = cores != 0 && static_cast<unsigned>(asked_) > cores ? 1 : kSpins;
  if (asked_ > 1) crew_ = make_crew(asked_, source, spins_);
}

Team::~Team() {
  // The threads did not come along into a forked child: nobody could be joined.
  if (::getpid() != process_) (void)crew_.release();
}

void Team::run(FunctionRef<void(int, Team&)> work) noexcept {
  if (asked_ == 1 || ::getpid() != process_) {
    const FaultSignalOpen faults;
    size_.store(1, std::memory_order_relaxed);
    work(0, *this);
    size_.store(asked_, std::memory_order_relaxed);
    return;
  }
  const int granted = budget_ != nullptr ? budget_->take(asked_) : asked_;
  crew_->run(granted, [&](int thread, int size) {
    const FaultSignalOpen faults;
    size_.store(size, std::memory_order_relaxed);  // the same from every thread
    work(thread, *this);
  });
  if (budget_ != nullptr) budget_->give(granted);
  size_.store(asked_, std::memory_order_relaxed);
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
