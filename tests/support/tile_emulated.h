#pragma once
// AMX's tile instructions in plain C++, after Intel's description of them, with the checks that the
// processor makes: what quant/kernels/tile_amx.h declares, for CPUs without AMX.
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace nibble {
namespace {
namespace tile {

struct Shape {
  uint8_t rows;
  uint16_t row_bytes;
};

// One thread's.
struct State {
  bool configured = false;
  Shape shape[8] = {};
  uint8_t data[8][16][64] = {};
  int multiplications = 0;  // since the program began
};
inline State state;

inline void check(bool good) {
  if (!good) throw std::logic_error("an invalid tile operation");
}
inline Shape& used(int t) {
  check(state.configured && state.shape[t].rows != 0 && state.shape[t].row_bytes != 0);
  return state.shape[t];
}

template <int kCount>
void configure(const Shape (&shapes)[kCount]) {
  static_assert(kCount <= 8);
  check(!state.configured);  // or a mode was left open
  state.configured = true;
  for (int i = 0; i < 8; ++i) {
    state.shape[i] = i < kCount ? shapes[i] : Shape{};
    check(state.shape[i].rows <= 16 && state.shape[i].row_bytes <= 64);
  }
  std::memset(state.data, 0xee, sizeof(state.data));  // what nobody loaded must not matter
}
inline void release() {
  check(state.configured);
  state.configured = false;
}
template <int kTile>
void load(const void* p, int64_t stride) {
  const Shape s = used(kTile);
  std::memset(state.data[kTile], 0, sizeof(state.data[kTile]));
  for (int r = 0; r < s.rows; ++r) {
    std::memcpy(state.data[kTile][r], static_cast<const uint8_t*>(p) + r * stride, s.row_bytes);
  }
}
template <int kTile>
void store(void* p, int64_t stride) {
  const Shape s = used(kTile);
  for (int r = 0; r < s.rows; ++r) {
    std::memcpy(static_cast<uint8_t*>(p) + r * stride, state.data[kTile][r], s.row_bytes);
  }
}
template <int kTile>
void zero() {
  used(kTile);
  std::memset(state.data[kTile], 0, sizeof(state.data[kTile]));
}
template <int kSums, int kA, int kB>
void multiply() {
  const Shape sums = used(kSums);
  const Shape a = used(kA);
  const Shape b = used(kB);
  check(kSums != kA && kSums != kB && kA != kB);
  check(sums.rows == a.rows && sums.row_bytes == b.row_bytes && a.row_bytes == 4 * b.rows);
  ++state.multiplications;
  for (int m = 0; m < sums.rows; ++m) {
    for (int n = 0; n < sums.row_bytes / 4; ++n) {
      int32_t sum;
      std::memcpy(&sum, &state.data[kSums][m][4 * n], 4);
      for (int k = 0; k < a.row_bytes; ++k) {
        const auto x = static_cast<int8_t>(state.data[kA][m][k]);
        const auto y = static_cast<int8_t>(state.data[kB][k / 4][4 * n + k % 4]);
        sum += x * y;
      }
      std::memcpy(&state.data[kSums][m][4 * n], &sum, 4);
    }
  }
}

}  // namespace tile
}  // namespace
}  // namespace nibble
