// Bounds of an output head against the results that they bound, and ordered planes against plain
// ones: the same integers, so the same bits.
#include <limits>

#include "tests/support/catch.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/kernel_data.h"

using namespace nibble;
using namespace nibble::test;

namespace {

constexpr DType kType = DType::Q8_0;

Matrix ordered_matrix(const std::vector<uint8_t>& packed, int64_t rows, int64_t cols) {
  return {packed.data(), kType, rows, cols, true, PackForm::ordered};
}

std::vector<float> product(const KernelTable& k, const Matrix& w, const float* x, int64_t tokens) {
  const std::vector<uint8_t> act = prepare(k, kType, x, tokens, w.cols);
  std::vector<float> out(static_cast<size_t>(tokens * w.rows), NAN);
  k.matmul({w, act.data(), tokens, 0, w.rows, out.data(), w.rows});
  return out;
}

// With nothing readable before or behind the weights, and nothing writable behind the bounds.
std::vector<float> bounds(const KernelTable& k, const Matrix& w, const float* x) {
  const std::vector<uint8_t> act = prepare(k, kType, x, 1, w.cols);
  const int64_t bytes = packed_layout(kType, w.rows, w.cols, PackForm::ordered).bytes;
  const size_t n = static_cast<size_t>((w.rows + 15) / 16 * 2);
  std::vector<float> limits(n);
  for (const Flush flush : {Flush::begin, Flush::end}) {
    const GuardedBuffer planes(bytes, flush);
    std::memcpy(planes.data(), w.data, static_cast<size_t>(bytes));
    const GuardedBuffer out(static_cast<int64_t>(n * sizeof(float)), flush);
    Matrix guarded = w;
    guarded.data = planes.data();
    k.head_bounds({guarded, act.data(), 1, 0, w.rows, nullptr, w.rows}, out.as<float>());
    std::memcpy(limits.data(), out.data(), n * sizeof(float));
  }
  return limits;
}

// Every group's largest result lies between its bounds.
void check_bounds(const KernelTable& k, const std::vector<uint8_t>& w, int64_t rows, int64_t cols,
                  const std::vector<float>& x) {
  const std::vector<uint8_t> packed = pack(kType, w.data(), rows, cols, PackForm::ordered);
  const Matrix m = ordered_matrix(packed, rows, cols);
  const std::vector<float> results = product(k, m, x.data(), 1);
  const std::vector<float> limits = bounds(k, m, x.data());
  INFO(k.name << " " << rows << " x " << cols);
  for (int64_t r = 0; r < rows; ++r) {
    const float result = results[static_cast<size_t>(r)];
    const float high = limits[static_cast<size_t>(r / 16 * 2 + 1)];
    if (std::isnan(result)) {
      CHECK(high == std::numeric_limits<float>::infinity());
    } else {
      CHECK(result <= high);
    }
  }
  for (int64_t g = 0; g < (rows + 15) / 16; ++g) {
    float largest = -std::numeric_limits<float>::infinity();
    for (int64_t r = g * 16; r < std::min(rows, g * 16 + 16); ++r) {
      largest = std::max(largest, results[static_cast<size_t>(r)]);  // keeps the first over a NaN
    }
    CHECK(limits[static_cast<size_t>(2 * g)] <= largest);
  }
}

}  // namespace

TEST_CASE("ordered planes give the bits of plain ones", "[kernels][head]") {
  Rng rng(31);
  for (const KernelTable* k : fast_tables()) {
    for (int64_t cols : widths(kType)) {
      for (int64_t rows : {1, 16, 50}) {
        const auto w = random_weights(rng, kType, rows, cols);
        const auto plain = pack(kType, w.data(), rows, cols);
        const auto ordered = pack(kType, w.data(), rows, cols, PackForm::ordered);
        REQUIRE(plain.size() == ordered.size());
        const std::vector<float> x = normal(rng, 67 * cols);
        for (int64_t tokens : {1, 5, 67}) {
          INFO(k->name << " " << rows << " x " << cols << ", tokens " << tokens);
          CHECK(same_bits(product(*k, ordered_matrix(ordered, rows, cols), x.data(), tokens),
                          product(*k, {plain.data(), kType, rows, cols, true}, x.data(), tokens)));
        }
      }
    }
  }
}

TEST_CASE("an output head's results lie between their bounds", "[kernels][head]") {
  Rng rng(32);
  for (const KernelTable* k : fast_tables()) {
    if (k->head_bounds == nullptr) continue;
    for (int64_t cols : widths(kType)) {
      for (int64_t rows : {1, 16, 50}) {
        const auto w = random_weights(rng, kType, rows, cols);
        std::vector<float> x = normal(rng, cols);
        check_bounds(*k, w, rows, cols, x);
        x[static_cast<size_t>(cols / 2)] = 900.0f;  // a block with a second plane
        check_bounds(*k, w, rows, cols, x);
      }
    }
  }
}

// The lower and the upper bound of a row are 2 * 3.5 * N apart (bounds.inl) and N is at most
// 127 * 32 * s * |d| a block. So bounds that say nothing would be seen.
TEST_CASE("bounds of an output head are as near as the planes allow", "[kernels][head]") {
  Rng rng(33);
  const int64_t rows = 16;
  const int64_t cols = 576;
  const auto w = random_weights(rng, kType, rows, cols, [] { return block::float_to_half(0.01f); });
  const auto packed = pack(kType, w.data(), rows, cols, PackForm::ordered);
  const std::vector<float> x = normal(rng, cols);
  double sizes = 0;
  for (const float v : x) sizes += std::fabs(static_cast<double>(v));
  const double d = static_cast<double>(block::half_to_float(block::float_to_half(0.01f)));
  for (const KernelTable* k : fast_tables()) {
    if (k->head_bounds == nullptr) continue;
    const auto limits = bounds(*k, ordered_matrix(packed, rows, cols), x.data());
    // Rounding an input to int8 changes sum |x| by at most half a step, peak / 254, an element.
    const double widest = 2 * (3.5 + 0.01) * d * (sizes + static_cast<double>(cols) * 4.5 / 254);
    INFO(k->name);
    CHECK(static_cast<double>(limits[1]) - static_cast<double>(limits[0]) <= 16 * widest);
    CHECK(limits[0] < limits[1]);
  }
}

TEST_CASE("factors that are not finite bound nothing", "[kernels][head]") {
  Rng rng(34);
  const uint16_t odd[] = {0x7c00, 0xfc00, 0x7e00, 0x0000, 0x0001, 0x7bff, 0xfbff};
  for (const KernelTable* k : fast_tables()) {
    if (k->head_bounds == nullptr) continue;
    for (int i = 0; i < 20; ++i) {
      const auto w = random_weights(rng, kType, 33, 96, [&] { return odd[rng() % 7]; });
      check_bounds(*k, w, 33, 96, normal(rng, 96));
    }
    std::vector<float> x = normal(rng, 96);
    x[40] = std::numeric_limits<float>::infinity();
    check_bounds(*k, random_weights(rng, kType, 33, 96), 33, 96, x);
    x[40] = std::numeric_limits<float>::quiet_NaN();
    check_bounds(*k, random_weights(rng, kType, 33, 96), 33, 96, x);
    check_bounds(*k, random_weights(rng, kType, 33, 96), 33, 96, std::vector<float>(96, 0.0f));
    check_bounds(*k, random_weights(rng, kType, 33, 96), 33, 96, std::vector<float>(96, 3e37f));
  }
}
