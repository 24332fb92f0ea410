// Every half-precision and bfloat16 number, and every rounding border between two of them, against
// the formats' definitions in double precision.
#include "quant/block/half.h"

#include <cmath>
#include <limits>

#include "tests/support/catch.h"

using namespace nibble::block;

namespace {

// Value by definition: sign, exponent field, fraction field.
double value_of(uint32_t bits, int exponent_bits, int fraction_bits) {
  const uint32_t fraction = bits & ((1u << fraction_bits) - 1);
  const uint32_t exponent = bits >> fraction_bits & ((1u << exponent_bits) - 1);
  const double sign = bits >> (exponent_bits + fraction_bits) != 0 ? -1.0 : 1.0;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  if (exponent == (1u << exponent_bits) - 1) {
    return fraction != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  }
  const double significand = fraction + (exponent != 0 ? std::ldexp(1.0, fraction_bits) : 0.0);
  const int scale = (exponent != 0 ? static_cast<int>(exponent) : 1) - bias - fraction_bits;
  return sign * std::ldexp(significand, scale);
}

struct Format {
  int exponent_bits;
  int fraction_bits;
  float (*decode)(uint16_t) noexcept;
  uint16_t (*encode)(float) noexcept;
};

const Format kFormats[] = {{5, 10, half_to_float, float_to_half},
                           {8, 7, bfloat_to_float, float_to_bfloat}};

}  // namespace

TEST_CASE("all 65536 patterns decode exactly and encode back to themselves") {
  for (const Format& f : kFormats) {
    CAPTURE(f.exponent_bits);
    int wrong = 0;
    for (uint32_t bits = 0; bits < 65536; ++bits) {
      const auto number = static_cast<uint16_t>(bits);
      const double expected = value_of(bits, f.exponent_bits, f.fraction_bits);
      const float got = f.decode(number);
      if (std::isnan(expected)) {
        const float again = f.decode(f.encode(got));
        wrong += !std::isnan(got) || !std::isnan(again);
        wrong += std::signbit(got) != (bits >> 15 != 0) || std::signbit(again) != (bits >> 15 != 0);
      } else {
        wrong += static_cast<double>(got) != expected || std::signbit(got) != (bits >> 15 != 0);
        wrong += f.encode(got) != number;
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("between two neighbours the nearest is chosen, at the middle the even one") {
  for (const Format& f : kFormats) {
    CAPTURE(f.exponent_bits);
    const uint32_t infinity = ((1u << f.exponent_bits) - 1) << f.fraction_bits;
    int wrong = 0;
    for (uint32_t low = 0; low < infinity; ++low) {
      const double a = value_of(low, f.exponent_bits, f.fraction_bits);
      // After the largest finite number comes what would follow it if the exponent went on.
      const double b = low + 1 == infinity ? std::ldexp(1.0, 1 << (f.exponent_bits - 1))
                                           : value_of(low + 1, f.exponent_bits, f.fraction_bits);
      const auto middle = static_cast<float>((a + b) / 2);  // exact: one bit more than the format
      if (static_cast<double>(middle) != (a + b) / 2) ++wrong;
      const uint32_t even = low % 2 == 0 ? low : low + 1;
      for (const uint32_t sign : {0u, 0x8000u}) {
        const auto encode = [&](float x) -> uint32_t { return f.encode(sign != 0 ? -x : x); };
        wrong += encode(middle) != (sign | even);
        wrong += encode(std::nextafterf(middle, 0.0f)) != (sign | low);
        wrong += encode(std::nextafterf(middle, INFINITY)) != (sign | (low + 1));
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("numbers beyond the range become infinite, tiny ones zero, with their sign") {
  CHECK(float_to_half(65519.996f) == 0x7bff);
  CHECK(float_to_half(65520.0f) == 0x7c00);
  CHECK(float_to_half(-1e30f) == 0xfc00);
  CHECK(float_to_half(INFINITY) == 0x7c00);
  CHECK(float_to_half(-1e-30f) == 0x8000);
  CHECK(float_to_half(std::numeric_limits<float>::denorm_min()) == 0);
  CHECK(float_to_bfloat(std::numeric_limits<float>::max()) == 0x7f80);
  CHECK(float_to_bfloat(-std::numeric_limits<float>::denorm_min()) == 0x8000);
}
