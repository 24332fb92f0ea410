#include "formats/io/checked.h"

#include <random>

#include "tests/support/catch.h"

using namespace nibble;
using Wide = unsigned __int128;

namespace {

constexpr uint64_t kEdges[] = {0,
                               1,
                               2,
                               31,
                               32,
                               33,
                               (1ull << 31) - 1,
                               1ull << 31,
                               (1ull << 32) - 1,
                               1ull << 32,
                               (1ull << 32) + 1,
                               1ull << 61,
                               (1ull << 63) - 1,
                               1ull << 63,
                               UINT64_MAX - 1,
                               UINT64_MAX};

// 128-bit arithmetic is the oracle.
bool fits(Wide value) {
  return value <= UINT64_MAX;
}

void check_pair(uint64_t a, uint64_t b) {
  const auto sum = checked_add(a, b);
  CHECK(sum.has_value() == fits(Wide{a} + b));
  if (sum) CHECK(*sum == a + b);
  const auto product = checked_mul(a, b);
  CHECK(product.has_value() == fits(Wide{a} * b));
  if (product) CHECK(*product == a * b);
}

}  // namespace

TEST_CASE("checked sums and products agree with 128-bit arithmetic") {
  for (const uint64_t a : kEdges) {
    for (const uint64_t b : kEdges) check_pair(a, b);
  }
  std::mt19937_64 random(1);
  for (int i = 0; i < 10000; ++i) {
    check_pair(random() >> (random() % 64), random() >> (random() % 64));
  }
}

TEST_CASE("checked_align rounds up or says that it cannot") {
  for (const uint64_t value : kEdges) {
    for (int bit = 0; bit < 64; ++bit) {
      const uint64_t alignment = 1ull << bit;
      const Wide want = (Wide{value} + alignment - 1) / alignment * alignment;
      const auto got = checked_align(value, alignment);
      // Refusing is also right when only the intermediate sum overflows.
      if (got) {
        CHECK(Wide{*got} == want);
      } else {
        CHECK(!fits(Wide{value} + alignment - 1));
      }
    }
  }
}

TEST_CASE("range_inside cannot wrap") {
  for (const uint64_t offset : kEdges) {
    for (const uint64_t length : kEdges) {
      for (const uint64_t size : kEdges) {
        CHECK(range_inside(offset, length, size) == (Wide{offset} + length <= size));
      }
    }
  }
}

TEST_CASE("is_power_of_two") {
  CHECK_FALSE(is_power_of_two(0));
  CHECK(is_power_of_two(1));
  CHECK(is_power_of_two(1ull << 63));
  CHECK_FALSE(is_power_of_two(48));
  CHECK_FALSE(is_power_of_two(UINT64_MAX));
}
