// Speed of matmul by weight type, table, tokens and threads, for before/after figures:
//   kernel_bench [table] [type] [rows cols]
// GMAC/s counts multiply-adds of the product, GB/s the weight bytes read once a call. The matrix is
// 4096 x 2048 by default (4.7 MB as Q4_0); the fastest of several repetitions counts.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "runtime/threads/team.h"
#include "tests/support/kernel_data.h"

using namespace nibble;
using namespace nibble::test;

namespace {

constexpr int64_t kTileRows = 32;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Seconds of one call on all threads of the team.
double time_matmul(const KernelTable& k, Team& team, const Matrix& w, const uint8_t* act,
                   int64_t tokens, float* out) {
  double best = 1e9;
  const double stop = seconds() + 0.25;
  TileCounter tiles;
  do {
    tiles.reset();
    const double start = seconds();
    team.run([&](int, Team&) {
      for (int64_t r = tiles.next() * kTileRows; r < w.rows; r = tiles.next() * kTileRows) {
        k.matmul({w, act, tokens, r, std::min(r + kTileRows, w.rows), out, w.rows});
      }
    });
    best = std::min(best, seconds() - start);
  } while (seconds() < stop);
  return best;
}

void bench(const KernelTable& k, DType type, int64_t rows, int64_t cols) {
  Rng rng(1);
  const auto in_file = random_weights(rng, type, rows, cols);
  const bool packed = is_packed(recipe_of(type));
  const auto weights = packed ? pack(type, in_file.data(), rows, cols) : in_file;
  const Matrix w = {weights.data(), type, rows, cols, packed};
  std::printf("%-9s %-7s", k.name, dtype_info(type).name);
  for (int threads : {1, 2}) {
    Team team(threads);
    for (int64_t tokens : {1, 8, 64, 512}) {
      const auto x = normal(rng, tokens * cols);
      const auto act = prepare(k, type, x.data(), tokens, cols);
      std::vector<float> out(static_cast<size_t>(tokens * rows));
      const double s = time_matmul(k, team, w, act.data(), tokens, out.data());
      std::printf("  %6.1f %5.1f", 1e-9 * static_cast<double>(rows * cols * tokens) / s,
                  1e-9 * static_cast<double>(weights.size()) / s);
    }
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const char* table = argc > 1 ? argv[1] : "all";
  const char* name = argc > 2 ? argv[2] : "all";
  const int64_t rows = argc > 4 ? std::atoll(argv[3]) : 4096;
  const int64_t cols = argc > 4 ? std::atoll(argv[4]) : 2048;
  std::printf("GMAC/s GB/s of %lld x %lld\n", static_cast<long long>(rows),
              static_cast<long long>(cols));
  std::printf(
      "table     type       1 thread: 1 token     8 tokens     64 tokens    512 tokens"
      "   2 threads: 1         8             64           512\n");
  for (const KernelTable* k : fast_tables()) {
    if (std::strcmp(table, "all") != 0 && std::strcmp(table, k->name) != 0) continue;
    for (DType type : all_dtypes()) {
      if (std::strcmp(name, "all") != 0 && find_dtype(name) != &dtype_info(type)) continue;
      bench(*k, type, rows, cols);
    }
  }
  return 0;
}
