// Each thread sums its part of the buffer in eight independent accumulators, which the compiler
// turns into wide loads: enough to be bound by memory, not by the adder.
#include "tools/read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <new>
#include <thread>
#include <vector>

namespace nibble {
namespace {

constexpr int kPasses = 5;

uint64_t sum_words(const uint64_t* words, int64_t count) {
  uint64_t sums[8] = {};
  for (int64_t i = 0; i + 8 <= count; i += 8) {
    for (int lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
  }
  uint64_t total = 0;
  for (const uint64_t s : sums) total += s;
  return total;
}

}  // namespace

double measure_read_bandwidth(int threads, int64_t buffer_bytes) {
  threads = std::max(threads, 1);
  const int64_t part = buffer_bytes / 8 / threads / 8 * 8;  // words a thread
  const auto n_words = static_cast<size_t>(part * threads);
  const std::unique_ptr<uint64_t[]> words(new (std::nothrow) uint64_t[n_words]);
  if (!words) return 0;
  for (size_t i = 0; i < n_words; ++i) words[i] = i;  // pages are there before the clock starts

  std::atomic<uint64_t> sink{0};
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> team;
    for (int t = 0; t < threads; ++t) {
      team.emplace_back([&, t] { sink += sum_words(words.get() + t * part, part); });
    }
    for (std::thread& thread : team) thread.join();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(n_words * 8) / seconds);
  }
  return best;
}

}  // namespace nibble
