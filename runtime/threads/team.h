#pragma once
// A team of threads that runs one parallel region at a time. A forward pass is one region: its
// phases are separated by barrier(), which spins briefly and then sleeps, so that more threads than
// cores cost time but never burn it. Between regions nothing of ours spins.
//
// Built on OpenMP (the tree's only use of it) or, with NIBBLE_OPENMP off, on std::thread:
// ThreadSanitizer cannot see through libgomp. Process-wide OpenMP settings are never touched.
#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace nibble {

/// A callable by reference, without allocation. Lives no longer than what it refers to.
template <class Signature>
class FunctionRef;

template <class Result, class... Args>
class FunctionRef<Result(Args...)> {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>) FunctionRef(F&& f)
  noexcept  // implicit, so that a lambda can be passed
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) -> Result {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}

  Result operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  Result (*call_)(void*, Args...);
};

/// Not for use by two callers at once: one run() at a time, and none inside another.
class Team {
 public:
  /// n < 1 counts as 1. Throws std::system_error where threads cannot be had (std::thread only).
  explicit Team(int n);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /// Threads of the current region, n outside of one. OpenMP may grant fewer than asked for (inside
  /// somebody else's region, under a limit): then a region sees the smaller number from start to
  /// end.
  int size() const noexcept { return size_.load(std::memory_order_relaxed); }

  /// Calls work(thread, team) once for every thread, 0 <= thread < size(), at the same time; thread
  /// 0 is the caller. Returns when all are done. work must not throw.
  void run(FunctionRef<void(int thread, Team& team)> work) noexcept;

  /// Inside run(): returns when every thread of the team has called it. What a thread wrote before,
  /// every thread sees after.
  void barrier() noexcept;

 private:
  struct Pool;

  // Each on its own line: the arrivals of one barrier must not disturb those who wait on the other
  // word, and neither must disturb what is read all the time.
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> generation_{0};
  alignas(64) std::atomic<int> size_;
  int asked_;
  int spins_;
  std::unique_ptr<Pool> pool_;  // std::thread only
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
