#include "formats/io/parse_number.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace nibble {

std::optional<int64_t> parse_int(std::string_view text, bool units) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  const std::string_view rest = text.substr(static_cast<size_t>(end - text.data()));
  if (rest.empty()) return value;
  if (!units || rest.size() != 1) return std::nullopt;
  int64_t factor = 0;
  switch (rest[0]) {
    case 'k':
    case 'K':
      factor = int64_t{1} << 10;
      break;
    case 'm':
    case 'M':
      factor = int64_t{1} << 20;
      break;
    case 'g':
    case 'G':
      factor = int64_t{1} << 30;
      break;
    default:
      return std::nullopt;
  }
  if (__builtin_mul_overflow(value, factor, &value)) return std::nullopt;
  return value;
}

std::optional<double> parse_float(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::vector<std::string> split_commas(std::string_view text) {
  std::vector<std::string> out;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) out.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

}  // namespace nibble
