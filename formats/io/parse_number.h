#pragma once
// Text that a person wrote to numbers: strict, without locale.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

/// Whole number; with `units` also 32k, 1M, 2G (times 1024). nullopt: not one, or too large.
std::optional<int64_t> parse_int(std::string_view text, bool units = false);
/// Decimal number, finite.
std::optional<double> parse_float(std::string_view text);
/// Split at commas; no empty parts unless text itself is empty.
std::vector<std::string> split_commas(std::string_view text);

}  // namespace nibble
