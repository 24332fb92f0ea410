#pragma once
// The tile registers of AMX: 8 of up to 16 rows of 64 bytes, a state of the thread. As assembly
// with a memory clobber: the compilers' own functions do not say that they read and write memory.
#include <cstdint>

namespace nibble {
namespace {
namespace tile {

struct Shape {
  uint8_t rows;
  uint16_t row_bytes;
};

// Sets the first `kCount` registers' shapes and clears all.
template <int kCount>
inline void configure(const Shape (&shapes)[kCount]) {
  struct alignas(64) {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  } config;
  static_assert(sizeof(config) == 64);
  for (int i = 0; i < kCount; ++i) {
    config.row_bytes[i] = shapes[i].row_bytes;
    config.rows[i] = shapes[i].rows;
  }
  __asm__ volatile("ldtilecfg %0" ::"m"(config) : "memory");
}
inline void release() {
  __asm__ volatile("tilerelease" ::: "memory");
}

// Rows lie `stride` bytes apart.
template <int kTile>
[[gnu::always_inline]] inline void load(const void* p, int64_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
[[gnu::always_inline]] inline void store(void* p, int64_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
[[gnu::always_inline]] inline void zero() {
  __asm__ volatile("tilezero %%tmm%c0" ::"i"(kTile));
}
// sums [m][n] += the dot products of int8 a [m][k][4] and int8 b [k][n][4].
template <int kSums, int kA, int kB>
[[gnu::always_inline]] inline void multiply() {
  __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kA), "i"(kB));
}

}  // namespace tile
}  // namespace
}  // namespace nibble
