// from_chars and range checks.
#include "tools/values.h"

#include <fmt/format.h>

#include <limits>

#include "tools/exit_code.h"

namespace nibble {
namespace {

std::string range_text(double low, double high) {
  if (low == kAboveZero) return fmt::format("more than 0 and at most {}", high);
  if (high >= 9e18) return low == 0 ? "of 0 or more" : fmt::format("of {} or more", low);
  return fmt::format("from {} to {}", low, high);
}

}  // namespace

int64_t int_value(std::string_view flag, std::string_view text, int64_t low, int64_t high,
                  bool units) {
  const std::optional<int64_t> value = parse_int(text, units);
  if (!value || *value < low || *value > high) {
    const std::string range = high == std::numeric_limits<int64_t>::max()
                                  ? fmt::format("of {} or more", low)
                                  : fmt::format("from {} to {}", low, high);
    usage_error(fmt::format("{}: expected a whole number {}, got '{}'", flag, range, text),
                units ? "suffixes k, M and G multiply by 1024: -c 32k" : "");
  }
  return *value;
}

uint64_t size_value(std::string_view flag, std::string_view text) {
  double factor = 1;
  std::string_view number = text;
  constexpr std::string_view kUnits = "KMGT";
  if (!text.empty()) {
    const char unit = static_cast<char>(text.back() & ~0x20);
    if (const size_t at = kUnits.find(unit); at != std::string_view::npos) {
      for (size_t i = 0; i <= at; ++i) factor *= 1024;
      number = text.substr(0, text.size() - 1);
    }
  }
  const std::optional<double> value = parse_float(number);
  if (!value || *value <= 0 || *value * factor > 1e18) {
    usage_error(fmt::format("{}: expected a size such as 6G or 1.5G, got '{}'", flag, text));
  }
  return static_cast<uint64_t>(*value * factor);
}

float float_value(std::string_view flag, std::string_view text, double low, double high) {
  const std::optional<double> value = parse_float(text);
  if (!value || *value < low || *value > high) {
    usage_error(
        fmt::format("{}: expected a number {}, got '{}'", flag, range_text(low, high), text),
        "decimal fractions are written with a point: 0.8");
  }
  return static_cast<float>(*value);
}

std::vector<int64_t> int_list(std::string_view flag, std::string_view text, int64_t low,
                              int64_t high, bool units) {
  std::vector<int64_t> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    out.push_back(int_value(flag, text.substr(begin, end - begin), low, high, units));
    begin = end + 1;
  }
  return out;
}

std::pair<int32_t, float> logit_bias_value(std::string_view flag, std::string_view text) {
  const size_t sign = text.find_first_of("+-", 1);
  std::optional<int64_t> id;
  std::optional<double> bias;
  if (sign != std::string_view::npos) {
    id = parse_int(text.substr(0, sign));
    const std::string_view size = text.substr(sign + 1);
    bias = size == "inf" ? std::numeric_limits<double>::infinity() : parse_float(size);
    if (bias && text[sign] == '-') bias = -*bias;
  }
  if (!id || !bias || *id < 0 || *id > std::numeric_limits<int32_t>::max()) {
    usage_error(fmt::format("{}: expected ID+BIAS or ID-BIAS, got '{}'", flag, text),
                "for example --logit-bias 15043+1 or --logit-bias 2-inf");
  }
  return {static_cast<int32_t>(*id), static_cast<float>(*bias)};
}

KvType kv_type_value(std::string_view flag, std::string_view text) {
  if (text == "f16" || text == "F16") return KvType::f16;
  if (text == "f32" || text == "F32") return KvType::f32;
  if (text == "q8" || text == "q8_0") return KvType::q8;
  if (text == "q4" || text == "q4_0" || text == "q4_1") return KvType::q4;
  usage_error(fmt::format("{}: expected f16, f32, q8 or q4, got '{}'", flag, text));
}

const char* kv_type_text(KvType type) {
  switch (type) {
    case KvType::f16:
      return "f16";
    case KvType::f32:
      return "f32";
    case KvType::q8:
      return "q8";
    case KvType::q4:
      return "q4";
  }
  return "unknown";
}

}  // namespace nibble
