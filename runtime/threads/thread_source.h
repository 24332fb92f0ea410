#pragma once
// Where the threads of a team come from, and how many all teams may have at once. A host chooses
// both at run time; results do not depend on either.
#include <atomic>
#include <cstdint>
#include <memory>

namespace nibble {

enum class TeamKind : uint8_t {
  automatic,  // openmp where the build has it, else threads
  openmp,     // libgomp's pool; it ends the process where it can have no thread
  threads,    // std::thread: started with the team, asleep between regions, joined with it
  host,       // the host's own pool, through a HostExecutor
};

/// Whether this build has teams of the kind; one that is asked for and lacks becomes `threads`.
bool has_team_kind(TeamKind kind) noexcept;

/// A host's pool of threads. Both functions are called from the thread that uses the team, and must
/// not throw. A pool of any size serves: a region goes on with the threads that came within about a
/// millisecond, and a task that starts too late, or inside submit(), returns at once.
struct HostExecutor {
  void* user = nullptr;
  /// Has task(arg) called n times, each call once, from threads of the pool. Returns how many of
  /// them the pool accepted; the others are never called.
  int (*submit)(void* user, void (*task)(void* arg), void* arg, int n) = nullptr;
  /// Returns when all tasks that were accepted before the call have returned. Called when a team is
  /// destroyed. May be nullptr if this library is never unloaded.
  void (*wait)(void* user) = nullptr;
};

/// How many threads run at once, over all teams that share it. Whoever calls always gets their own
/// thread, so nobody waits for another; what is left over is dealt out region by region.
class ThreadBudget {
 public:
  explicit ThreadBudget(int n) noexcept : left_(n) {}
  /// How many threads a region may have, 1 to wanted, its caller's included.
  int take(int wanted) noexcept {
    int left = left_.load(std::memory_order_relaxed);
    int got = 1;
    do {
      got = left < wanted ? (left < 1 ? 1 : left) : wanted;
    } while (!left_.compare_exchange_weak(left, left - got, std::memory_order_relaxed));
    return got;
  }
  void give(int n) noexcept { left_.fetch_add(n, std::memory_order_relaxed); }

 private:
  std::atomic<int> left_;  // below 0 when there are more callers than threads
};

struct ThreadSource {
  TeamKind kind = TeamKind::automatic;
  HostExecutor executor;                 // for TeamKind::host
  std::shared_ptr<ThreadBudget> budget;  // nullptr: as many as each team asks for
};

}  // namespace nibble
