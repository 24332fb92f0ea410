#pragma once
// Products of one block with 16 tokens at once, for instruction sets with tile registers, in the
// form that together.inl wants. Over the tile instructions of namespace tile, which the including
// file declares first:
//
//   tile = inputs [16 tokens][columns] x weights [columns / 4][kWide rows][4] -> int32 [16][kWide]
//
// A block in the packed layout is such a tile of weights once its codes are bytes, and a panel's
// inputs are such a tile as they are.

namespace nibble {
namespace {
namespace simd {

inline constexpr int64_t kTogether = 16;

// Tile registers. With scales of half blocks two halves of 16 columns, else one of 32 columns, and
// for ordered planes a second of their low bits.
constexpr int kSums = 0;
constexpr int kInputs = 1;
constexpr int kWeights = 2;        // plane 0, or the first half
constexpr int kSecondWeights = 3;  // plane 1, or the second half
constexpr int kTileCount = 4;

constexpr int64_t kRowBytes = 4 * kWide;  // of a tile of weights or sums

template <bool kHalfScales>
class TogetherMode {
 public:
  explicit TogetherMode(int64_t tokens) : active_(tokens >= kTogether) {
    if (!active_) return;
    constexpr uint8_t kSteps = kHalfScales ? 4 : 8;
    tile::Shape shapes[kTileCount];
    shapes[kSums] = {kTogether, kRowBytes};
    shapes[kInputs] = {kTogether, 4 * kSteps};
    shapes[kWeights] = {kSteps, kRowBytes};
    shapes[kSecondWeights] = {kSteps, kRowBytes};
    tile::configure(shapes);
  }
  ~TogetherMode() {
    if (active_) tile::release();
  }
  TogetherMode(const TogetherMode&) = delete;
  TogetherMode& operator=(const TogetherMode&) = delete;

 private:
  bool active_;
};

// The codes themselves are in tile registers from here to the next of their plane.
struct TogetherCodes {};

template <int kPlane>
inline TogetherCodes together_codes(const wi (&w)[8]) {
  alignas(64) wi steps[8];
  for (int j = 0; j < 8; ++j) steps[j] = w[j];
  tile::load<kPlane == 0 ? kWeights : kSecondWeights>(steps, kRowBytes);
  return {};
}
inline TogetherCodes together_half_codes(const wi (&w)[8]) {
  alignas(64) wi steps[8];
  for (int j = 0; j < 8; ++j) steps[j] = w[j];
  tile::load<kWeights>(steps, kRowBytes);
  tile::load<kSecondWeights>(steps + 4, kRowBytes);
  return {};
}

template <int kWhich>
inline void tile_sums(const int8_t* q, wi (&sum)[kTogether]) {
  tile::load<kInputs>(q, 32);
  tile::zero<kSums>();
  tile::multiply<kSums, kInputs, kWhich>();
  tile::store<kSums>(sum, kRowBytes);
}

template <int kPlane>
inline void dot_together(const TogetherCodes&, const int8_t* q, wi (&sum)[kTogether]) {
  tile_sums<kPlane == 0 ? kWeights : kSecondWeights>(q, sum);
}
inline void dot_halves_together(const TogetherCodes&, const int8_t* q, wi (&first)[kTogether],
                                wi (&second)[kTogether]) {
  tile_sums<kWeights>(q, first);
  tile_sums<kSecondWeights>(q + 16, second);
}

}  // namespace simd
}  // namespace
}  // namespace nibble
