#pragma once
// The threads behind a team, one implementation a TeamKind. Only team.cpp uses it.
#include <atomic>
#include <cstdint>
#include <memory>

#include "runtime/threads/function_ref.h"
#include "runtime/threads/thread_source.h"

namespace nibble {

class Crew {
 public:
  using Work = FunctionRef<void(int thread, int size)>;

  virtual ~Crew() = default;
  /// Calls work(thread, size) at the same time for every 0 <= thread < size, thread 0 on the
  /// caller's; 1 <= size <= wanted, the same for all. Returns when all have returned.
  virtual void run(int wanted, const Work& work) noexcept = 0;
};

/// For regions of at most n threads. spins: turns of a loop before a wait sleeps.
/// Throws std::system_error, std::bad_alloc where threads cannot be had.
std::unique_ptr<Crew> make_thread_crew(int n, int spins);
std::unique_ptr<Crew> make_host_crew(const HostExecutor& executor, int spins);
/// nullptr in a build without OpenMP.
std::unique_ptr<Crew> make_openmp_crew();

inline void pause_cpu() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Returns when word differs from old: spins briefly, then sleeps.
inline void wait_for_change(const std::atomic<uint32_t>& word, uint32_t old, int spins) noexcept {
  for (int i = 0; i < spins; ++i) {
    if (word.load(std::memory_order_acquire) != old) return;
    pause_cpu();
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
}

}  // namespace nibble
