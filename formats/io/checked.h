#pragma once
// Arithmetic on sizes that come from files: the result, or nothing when it does not fit 64 bits.
// Every sum, product and rounding of a number that a file controls goes through here.
#include <cstdint>
#include <optional>

namespace nibble {

[[nodiscard]] constexpr std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) noexcept {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

[[nodiscard]] constexpr std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) noexcept {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

[[nodiscard]] constexpr bool is_power_of_two(uint64_t value) noexcept {
  return value != 0 && (value & (value - 1)) == 0;
}

/// The smallest multiple of alignment that is not below value. Precondition: a power of two.
[[nodiscard]] constexpr std::optional<uint64_t> checked_align(uint64_t value,
                                                              uint64_t alignment) noexcept {
  const std::optional<uint64_t> padded = checked_add(value, alignment - 1);
  if (!padded) return std::nullopt;
  return *padded & ~(alignment - 1);
}

/// Whether [offset, offset + length) lies inside `size` bytes; cannot wrap.
[[nodiscard]] constexpr bool range_inside(uint64_t offset, uint64_t length,
                                          uint64_t size) noexcept {
  return offset <= size && length <= size - offset;
}

}  // namespace nibble
