// Sums in kLanes lanes, because a compiler may not change the order of floats that are added: one
// chain of additions takes longer than encoding the row does. As vectors of four, which every CPU
// has: left to themselves, compilers shuffle more than they add here.
#include "runtime/convert/row_error.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "runtime/convert/bad_row.h"

namespace nibble {
namespace {

using Four = float __attribute__((vector_size(16)));
constexpr int kVectors = 4;  // side by side: an addition takes that long
constexpr int64_t kLanes = 4 * kVectors;
// Summed in single precision before it goes into a double: 16 terms a lane, off by 2^-20 at most.
constexpr int64_t kPart = 16 * kLanes;

inline Four load(const float* p) noexcept {
  Four v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

/// Of the lanes in their order.
double sum_of(const Four (&v)[kVectors]) noexcept {
  double sum = 0;
  for (const Four& four : v) {
    for (int k = 0; k < 4; ++k) sum += static_cast<double>(four[k]);
  }
  return sum;
}

// Of values whose squares a float does not hold.
RowError wide_error(const float* x, const float* y, int64_t n) noexcept {
  RowError out;
  for (int64_t i = 0; i < n; ++i) {
    const auto value = static_cast<double>(x[i]);
    const double d = value - static_cast<double>(y[i]);
    out.difference += d * d;
    out.square += value * value;
  }
  return out;
}

}  // namespace

RowError row_error(const float* x, const float* y, int64_t n) noexcept {
  RowError out;
  int64_t i = 0;
  while (n - i >= kLanes) {
    const int64_t end = std::min(n, i + kPart);
    Four difference[kVectors] = {};
    Four square[kVectors] = {};
    for (; end - i >= kLanes; i += kLanes) {
      for (int k = 0; k < kVectors; ++k) {
        const Four a = load(x + i + 4 * k);
        const Four d = a - load(y + i + 4 * k);
        difference[k] += d * d;
        square[k] += a * a;
      }
    }
    out.add({sum_of(difference), sum_of(square)});
  }
  out.add(wide_error(x + i, y + i, n - i));
  return std::isfinite(out.difference + out.square) ? out : wide_error(x, y, n);
}

float largest_magnitude(const float* x, int64_t n) noexcept {
  if (!all_finite(x, n)) return std::numeric_limits<float>::infinity();
  Four most[kVectors] = {};
  int64_t i = 0;
  for (; n - i >= kLanes; i += kLanes) {
    for (int k = 0; k < kVectors; ++k) {
      const Four a = load(x + i + 4 * k);
      const Four size = a < -a ? -a : a;
      most[k] = most[k] < size ? size : most[k];
    }
  }
  float largest = 0;
  for (const Four& four : most) {
    for (int k = 0; k < 4; ++k) largest = std::max(largest, four[k]);
  }
  for (; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  return largest;
}

}  // namespace nibble
