// Sums over rows against the same in long double, and numbers that are none.
#include "runtime/convert/row_error.h"

#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "runtime/convert/bad_row.h"
#include "tests/support/catch.h"

using namespace nibble;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr int64_t kLengths[] = {0, 1, 15, 16, 17, 255, 256, 257, 1000};

std::vector<float> values(int64_t n, int seed) {
  std::vector<float> out(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    out[static_cast<size_t>(i)] = static_cast<float>((i * 37 + seed) % 101 - 50) / 7.0f;
  }
  return out;
}

}  // namespace

TEST_CASE("a row's error is the sum of squares", "[row_error]") {
  for (const int64_t n : kLengths) {
    const std::vector<float> x = values(n, 3);
    const std::vector<float> y = values(n, 5);
    long double difference = 0, square = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const auto d = static_cast<long double>(x[i]) - static_cast<long double>(y[i]);
      difference += d * d;
      square += static_cast<long double>(x[i]) * static_cast<long double>(x[i]);
    }
    const RowError got = row_error(x.data(), y.data(), n);
    INFO(n << " numbers");
    // Each term: a difference, a product and at most 16 additions, each off by 2^-24; all positive.
    // The difference itself may lose more: both are multiples of 1/7 rounded, off by 2^-24 of 7.2,
    // but they are the same floats on both sides.
    CHECK(got.difference == Approx(static_cast<double>(difference)).epsilon(19 * 0x1p-24));
    CHECK(got.square == Approx(static_cast<double>(square)).epsilon(19 * 0x1p-24));
  }
}

TEST_CASE("a row whose squares no float holds has an error all the same", "[row_error]") {
  const std::vector<float> x(40, 1e30f);
  const std::vector<float> y(40, 0.0f);
  const RowError got = row_error(x.data(), y.data(), 40);
  CHECK(got.square == Approx(40e60).epsilon(1e-6));
  CHECK(got.difference == got.square);
}

TEST_CASE("what is no number is seen at every place of a row", "[row_error]") {
  for (const int64_t n : kLengths) {
    std::vector<float> x = values(n, 1);
    const std::vector<float> y = x;
    INFO(n << " numbers");
    CHECK(all_finite(x.data(), n));
    CHECK(largest_magnitude(x.data(), n) < 8.0f);
    for (size_t i = 0; i < x.size(); ++i) {
      const float was = x[i];
      for (const float bad : {kInfinity, -kInfinity, kNaN}) {
        x[i] = bad;
        CHECK_FALSE(all_finite(x.data(), n));
        CHECK(largest_magnitude(x.data(), n) == kInfinity);
        CHECK_FALSE(std::isfinite(row_error(y.data(), x.data(), n).difference));
      }
      x[i] = -100.0f;
      CHECK(largest_magnitude(x.data(), n) == 100.0f);
      x[i] = was;
    }
  }
}

TEST_CASE("the first bad row counts, whoever finds it", "[row_error]") {
  FirstBadRow bad;
  CHECK_FALSE(bad.any());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t row = 999; row >= 7; --row) {
        if (row % 4 == t) bad.found(row);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(bad.any());
  CHECK(bad.row() == 7);
}
