#pragma once
// exp for arguments <= 0 out of IEEE additions and multiplications only, so that a token drawn from
// a seed does not depend on the C library or on what the CPU fuses. Without a branch: loops
// over portable_exp_in_range vectorize.
//   x = n ln 2 + r, |r| <= ln 2 / 2;  exp(x) = 2^n exp(r), exp(r) by its Taylor series to r^12
// The series' rest is below (ln 2 / 2)^13 / 13! = 1.7e-16; with rounding the result is within
// 4 units in the last place of a double.
#include <bit>
#include <cstdint>

namespace nibble {

/// 2^-1023, which portable_exp takes for 0.
inline constexpr double kExpZero = -0x1.62e42fefa39efp+9 * 1023 / 1024;

/// Precondition: kExpZero <= x <= 0. At kExpZero the exponent field and so the result is 0.
inline double portable_exp_in_range(double x) noexcept {
  constexpr double kLog2e = 0x1.71547652b82fep+0;
  constexpr double kLn2High = 0x1.62e42fefap-1;  // 37 bits: n * kLn2High is exact
  constexpr double kLn2Low = 0x1.cf79abc9e3b3ap-40;
  constexpr double kShift = 0x1.8p52;  // adding it rounds to an integer, held in the low bits
  const double shifted = x * kLog2e + kShift;
  const double n = shifted - kShift;
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double sum = 1.0 / 479001600;
  sum = sum * r + 1.0 / 39916800;
  sum = sum * r + 1.0 / 3628800;
  sum = sum * r + 1.0 / 362880;
  sum = sum * r + 1.0 / 40320;
  sum = sum * r + 1.0 / 5040;
  sum = sum * r + 1.0 / 720;
  sum = sum * r + 1.0 / 120;
  sum = sum * r + 1.0 / 24;
  sum = sum * r + 1.0 / 6;
  sum = sum * r + 0.5;
  sum = sum * r + 1.0;
  sum = sum * r + 1.0;
  const uint64_t exponent = (std::bit_cast<uint64_t>(shifted) + 1023) << 52;
  return sum * std::bit_cast<double>(exponent);
}

/// Precondition: x <= 0 or NaN. 0 for NaN, -infinity and everything below kExpZero.
inline double portable_exp(double x) noexcept {
  return portable_exp_in_range(x > kExpZero ? x : kExpZero);
}

}  // namespace nibble
