#pragma once
// What the numbers of a row are, and how far others are from them: for those who write rows and say
// what they lost.
#include <cstdint>

namespace nibble {

/// Sums over a row or a tensor.
struct RowError {
  double difference = 0;  // of squared differences
  double square = 0;      // of squares
  void add(const RowError& other) noexcept {
    difference += other.difference;
    square += other.square;
  }
};

/// x: what a row was, y: what it has become, [n]. The order of the sums depends on n alone. Not
/// finite exactly if a number is not.
RowError row_error(const float* x, const float* y, int64_t n) noexcept;

/// The largest magnitude, infinity if a number is not finite; 0 of none.
float largest_magnitude(const float* x, int64_t n) noexcept;

}  // namespace nibble
