// The threshold that groups of an output head must reach, against a sort.
#include "runtime/model/head_bounds.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/catch.h"

using namespace nibble;

TEST_CASE("the least of the k best lower bounds", "[head]") {
  std::mt19937 random(5);
  std::uniform_int_distribution<int> coarse(-30, 30);  // many equal ones
  for (const int64_t groups : {1, 2, 7, 300}) {
    std::vector<float> bounds;
    std::vector<float> lows;
    for (int64_t g = 0; g < groups; ++g) {
      lows.push_back(static_cast<float>(coarse(random)));
      bounds.push_back(lows.back());
      bounds.push_back(lows.back() + 3);
    }
    std::sort(lows.begin(), lows.end(), std::greater<>());
    const HeadBounds head = {bounds.data(), groups};
    for (const int64_t k : {1, 2, 7, 40, 128}) {
      const float least = head.least_of_top(k);
      if (k > groups) {
        CHECK(least == -std::numeric_limits<float>::infinity());
        CHECK(head.share(least) == 1.0);
        continue;
      }
      CHECK(least == lows[static_cast<size_t>(k - 1)]);
      const auto reach =
          std::count_if(lows.begin(), lows.end(), [least](float low) { return low + 3 >= least; });
      CHECK(head.share(least) == static_cast<double>(reach) / static_cast<double>(groups));
    }
  }
}

TEST_CASE("bounds that are not finite rule nothing out", "[head]") {
  const float none = -std::numeric_limits<float>::infinity();
  const float bounds[] = {none, std::numeric_limits<float>::infinity(),  1,  2,
                          none, std::numeric_limits<float>::quiet_NaN(), -5, -4};
  const HeadBounds head = {bounds, 4};
  CHECK(head.least_of_top(1) == 1);
  CHECK(head.may_reach(0, 1));
  CHECK(head.may_reach(1, 1));
  CHECK(head.may_reach(2, 1));
  CHECK_FALSE(head.may_reach(3, 1));
}
