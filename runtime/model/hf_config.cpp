#include "runtime/model/hf_config.h"

#include <fmt/format.h>

#include <cmath>

#include "formats/io/error.h"
#include "formats/io/quote.h"

namespace nibble {
namespace {

std::string shown(JsonValue value) {
  if (!value.exists()) return "none";
  if (const auto whole = value.integer()) return fmt::format("{}", *whole);
  if (const auto real = value.number()) return fmt::format("{}", *real);
  if (const auto flag = value.boolean()) return *flag ? "true" : "false";
  if (const auto text = value.text()) return quoted(*text);
  return json_type_name(value.type());
}

}  // namespace

HfConfig::HfConfig(JsonValue root, std::string file) : root_(root), file_(std::move(file)) {
  if (!root.is(JsonType::object)) {
    fail(ErrorCode::bad_file, "{}: expected an object, got {}", file_, json_type_name(root.type()));
  }
  text_ = root.find("text_config");
}

JsonValue HfConfig::find(std::string_view key) const noexcept {
  if (const size_t bar = key.find('|'); bar != std::string_view::npos) {
    const JsonValue first = find(key.substr(0, bar));
    return first.exists() ? first : find(key.substr(bar + 1));
  }
  for (const JsonValue from : {text_, root_}) {
    const JsonValue value = from.find(key);
    if (value.exists() && !value.is(JsonType::null)) return value;
  }
  return {};
}

std::string_view HfConfig::class_name() const noexcept {
  auto i = root_.find("architectures").walk();
  return i.next() ? i.value().text().value_or("") : "";
}

std::string_view HfConfig::model_type() const noexcept {
  return root_.find("model_type").text().value_or("");
}

void HfConfig::fail_key(std::string_view key, std::string_view expected, JsonValue got) const {
  fail(ErrorCode::bad_file, "{}: {}: expected {}, got {}", file_, key, expected, shown(got));
}

void HfConfig::refuse(std::string_view key, std::string_view expected, std::string_view got) const {
  fail(ErrorCode::unsupported, "{}: {}: expected {}, got {}", file_, key, expected, got);
}

int64_t HfConfig::integer(std::string_view key, int64_t lo, int64_t hi) const {
  const JsonValue value = find(key);
  const auto whole = value.integer();
  if (!whole || *whole < lo || *whole > hi) {
    fail_key(key, fmt::format("an integer from {} to {}", lo, hi), value);
  }
  return *whole;
}

int64_t HfConfig::integer_or(std::string_view key, int64_t otherwise, int64_t lo,
                             int64_t hi) const {
  return has(key) ? integer(key, lo, hi) : otherwise;
}

double HfConfig::number(std::string_view key, double lo, double hi) const {
  const JsonValue value = find(key);
  const auto number = value.number();
  if (!number || !(*number >= lo && *number <= hi)) {
    fail_key(key, fmt::format("a number from {} to {}", lo, hi), value);
  }
  return *number;
}

double HfConfig::number_or(std::string_view key, double otherwise, double lo, double hi) const {
  return has(key) ? number(key, lo, hi) : otherwise;
}

double HfConfig::number_in(JsonValue value, std::string_view key, double lo, double hi) const {
  const auto number = value.find(key).number();
  if (!number || !(*number >= lo && *number <= hi)) {
    fail_key(key, fmt::format("a number from {} to {}", lo, hi), value.find(key));
  }
  return *number;
}

std::string_view HfConfig::text_or(std::string_view key, std::string_view otherwise) const {
  const JsonValue value = find(key);
  if (!value.exists()) return otherwise;
  if (!value.text()) fail_key(key, "a text", value);
  return *value.text();
}

bool HfConfig::boolean_or(std::string_view key, bool otherwise) const {
  const JsonValue value = find(key);
  if (!value.exists()) return otherwise;
  if (!value.boolean()) fail_key(key, "true or false", value);
  return *value.boolean();
}

void HfConfig::expect_text(std::string_view key,
                           std::initializer_list<std::string_view> one_of) const {
  const std::string_view got = text_or(key, *one_of.begin());
  for (const std::string_view known : one_of) {
    if (got == known) return;
  }
  refuse(key, fmt::format("{}", fmt::join(one_of, " or ")), quoted(got));
}

}  // namespace nibble
