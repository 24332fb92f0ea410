#pragma once
// A team of threads that runs one parallel region at a time. A forward pass is one region: its
// phases are separated by barrier(), which spins briefly and then sleeps, so that more threads than
// cores cost time but never burn it. Between regions nothing of ours spins.
//
// Its threads are libgomp's, std::threads or the host's (ThreadSource), and a region may get fewer
// than the team asks for; neither changes a result.
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "runtime/threads/function_ref.h"
#include "runtime/threads/thread_source.h"

namespace nibble {

class Crew;

/// Not for use by two callers at once: one run() at a time, and none inside another.
class Team {
 public:
  static constexpr int kMostThreads = 1024;

  /// n < 1 counts as 1, more than kMostThreads as that. Throws std::system_error where threads
  /// cannot be had (TeamKind::threads only).
  explicit Team(int n, const ThreadSource& source = {});
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /// Threads of the current region, n outside of one. A region that gets fewer than asked for sees
  /// the smaller number from start to end.
  int size() const noexcept { return size_.load(std::memory_order_relaxed); }

  /// Calls work(thread, team) once for every thread, 0 <= thread < size(), at the same time; thread
  /// 0 is the caller. Returns when all are done. work must not throw. In a forked child the caller
  /// is alone.
  void run(FunctionRef<void(int thread, Team& team)> work) noexcept;

  /// Inside run(): returns when every thread of the team has called it. What a thread wrote before,
  /// every thread sees after.
  void barrier() noexcept;

 private:
  // Each on its own line: the arrivals of one barrier must not disturb those who wait on the other
  // word, and neither must disturb what is read all the time.
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> generation_{0};
  alignas(64) std::atomic<int> size_;
  int asked_;
  int spins_;
  pid_t process_;  // that has the threads
  std::shared_ptr<ThreadBudget> budget_;
  std::unique_ptr<Crew> crew_;  // nullptr for one thread
};

/// Deals out the tiles of one phase to whoever is free. Reset while nobody takes from it.
class alignas(64) TileCounter {
 public:
  void reset() noexcept { next_.store(0, std::memory_order_relaxed); }
  int64_t next() noexcept { return next_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> next_{0};
};

/// How many threads to use when nobody said: the physical cores that this process may run on, no
/// more than its cgroup's CPU quota pays for. At least 1.
int default_threads() noexcept;

}  // namespace nibble
