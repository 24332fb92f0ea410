#include "runtime/engine/portable_exp.h"

#include <cmath>
#include <limits>

#include "runtime/engine/philox.h"
#include "tests/support/catch.h"

using namespace nibble;

TEST_CASE("portable_exp is within four units in the last place") {
  double worst = 0;
  for (uint64_t n = 0; n < 200000; ++n) {
    const double scale = n % 3 == 0 ? 700.0 : n % 3 == 1 ? 20.0 : 0.5;
    const double x = -scale * philox_uniform(1, n);
    const long double exact = std::exp(static_cast<long double>(x));
    const auto error = static_cast<double>(std::abs((portable_exp(x) - exact) / exact));
    worst = std::max(worst, error);
  }
  CHECK(worst <= 4 * std::numeric_limits<double>::epsilon());
}

TEST_CASE("portable_exp at the ends") {
  CHECK(portable_exp(0.0) == 1.0);
  CHECK(portable_exp(-0.0) == 1.0);
  CHECK(portable_exp(-700.0) == Approx(std::exp(-700.0)).epsilon(1e-14));
  CHECK(portable_exp(-708.0) == Approx(std::exp(-708.0)).epsilon(1e-14));
  CHECK(portable_exp(-709.1) == 0.0);
  CHECK(portable_exp(std::numeric_limits<double>::quiet_NaN()) == 0.0);
  CHECK(portable_exp(-1e300) == 0.0);
  CHECK(portable_exp(-std::numeric_limits<double>::infinity()) == 0.0);
}
