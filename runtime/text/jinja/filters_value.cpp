// Filters over single values.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "formats/io/error.h"
#include "runtime/text/jinja/builtins.h"
#include "runtime/text/jinja/machine.h"
#include "runtime/text/jinja/text_tools.h"

namespace nibble::jinja {
namespace {

Value filter_default(Call& c) {
  const bool use = c.self.is(Kind::undefined) || (c.truth_or(1, false) && !truth(c.self));
  if (!use) return c.self;
  return c.has(0) ? c.given[0] : Value(make_view(c.heap, "", false));
}

Value filter_length(Call& c) {
  switch (c.self.kind) {
    case Kind::undefined:
      return Value(int64_t{0});
    case Kind::string:
      return Value(length(c.heap, c.self.str));
    case Kind::dict:
      return Value(c.self.dict->count);
    case Kind::range:
      return Value(c.self.range->count);
    case Kind::loop:
      return Value(c.self.loop->length(c.heap));
    case Kind::sequence:
      if (c.self.seq->flavour != Flavour::generator) return Value(c.self.seq->count);
      break;
    default:
      break;
  }
  fail(ErrorCode::bad_file, "object of type '{}' has no len()", type_name(c.self));
}

Value filter_items(Call& c) {
  if (!c.self.is(Kind::undefined) && !c.self.is(Kind::dict)) {
    fail(ErrorCode::bad_file, "Can only get item pairs from a mapping.");
  }
  std::vector<Value> items;
  if (c.self.is(Kind::dict)) {
    for (const Entry& entry : c.self.dict->span()) {
      const Value pair[] = {entry.key, entry.value};
      items.push_back(make_seq(c.heap, Flavour::tuple, pair));
    }
  }
  return make_seq(c.heap, Flavour::generator, items);
}

Value filter_attr(Call& c) {
  // Attributes only, never items: what dicts hold is not reachable this way.
  const Value v = get_attribute(c.context, c.self, c.text(0)->view());
  const bool is_item = c.self.is(Kind::dict) && !v.is(Kind::method);
  if (!is_item) return v;
  Undefined* u = c.heap.make<Undefined>();
  u->name = c.text(0)->view();
  u->owner = Kind::dict;
  u->owner_name = "dict";
  return Value(static_cast<const Undefined*>(u));
}

Value filter_abs(Call& c) {
  check_defined(c.self);
  if (c.self.is(Kind::real)) return Value(std::fabs(c.self.real));
  if (!c.self.is_integral()) fail_type("a number", c.self);
  return c.self.as_int() < 0 ? negate(c.self, true) : Value(c.self.as_int());
}

// Python's int("..."): white space around it, a sign, digits with single underscores between.
std::optional<int64_t> parse_int(std::string_view text, int64_t base) {
  const Bounds b = strip_bounds(text, nullptr, true, true);
  text = text.substr(static_cast<size_t>(b.begin), static_cast<size_t>(b.end - b.begin));
  std::string digits;
  size_t i = 0;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    if (text[0] == '-') digits = "-";
    ++i;
  }
  if (i + 1 < text.size() && text[i] == '0') {
    const char kind = static_cast<char>(text[i + 1] | 0x20);
    const int64_t implied = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (implied != 0 && (base == implied || base == 0)) {
      base = implied;
      i += 2;
    }
  }
  if (base == 0) base = 10;
  if (base < 2 || base > 36) return std::nullopt;
  bool after_digit = false;
  for (; i < text.size(); ++i) {
    if (text[i] == '_' && after_digit && i + 1 < text.size()) {
      after_digit = false;
      continue;
    }
    if (text[i] == '-' || text[i] == '+') return std::nullopt;
    digits += text[i];
    after_digit = true;
  }
  int64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, static_cast<int>(base));
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// Python's float("...").
std::optional<double> parse_real(std::string_view text) {
  const Bounds b = strip_bounds(text, nullptr, true, true);
  text = text.substr(static_cast<size_t>(b.begin), static_cast<size_t>(b.end - b.begin));
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool between = i > 0 && i + 1 < text.size() && text[i - 1] >= '0' && text[i - 1] <= '9' &&
                         text[i + 1] >= '0' && text[i + 1] <= '9';
    if (text[i] != '_' || !between) plain += text[i];
  }
  const size_t sign = plain.size() > 1 && plain[0] == '+' && plain[1] != '-' ? 1 : 0;
  return read_real(std::string_view(plain).substr(sign));
}

std::optional<int64_t> to_int(double d) {
  if (!(std::fabs(d) < 9.2e18)) return std::nullopt;
  return static_cast<int64_t>(d);
}

Value filter_int(Call& c) {
  const Value otherwise = c.has(0) ? c.given[0] : Value(int64_t{0});
  check_defined(c.self);
  if (c.self.is_integral()) return Value(c.self.as_int());
  std::optional<int64_t> out;
  if (c.self.is(Kind::real)) out = to_int(c.self.real);
  if (c.self.is(Kind::string)) {
    const std::string_view text = joined(c.heap, c.self.str)->view();
    c.heap.step(c.self.str->size);
    out = parse_int(text, c.int_or(1, 10));
    if (!out) {
      if (const std::optional<double> real = parse_real(text)) out = to_int(*real);
    }
  }
  return out ? Value(*out) : otherwise;
}

Value filter_float(Call& c) {
  const Value otherwise = c.has(0) ? c.given[0] : Value(0.0);
  check_defined(c.self);
  if (c.self.is_number()) return Value(c.self.as_real());
  if (!c.self.is(Kind::string)) return otherwise;
  c.heap.step(c.self.str->size);
  const std::optional<double> out = parse_real(joined(c.heap, c.self.str)->view());
  return out ? Value(*out) : otherwise;
}

// Python rounds the exact decimal value, halves to even: so does printing with that many digits.
Value round_half_even(double d, int64_t digits) {
  if (!std::isfinite(d) || digits > 300) return Value(d);
  if (digits < 0) {
    const double scale = std::pow(10.0, static_cast<double>(std::min<int64_t>(-digits, 400)));
    return Value(std::isfinite(scale) ? std::nearbyint(d / scale) * scale : 0.0);
  }
  const std::string text = fmt::format("{:.{}f}", d, digits);
  double out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return Value(out);
}

Value filter_round(Call& c) {
  const int64_t digits = c.int_or(0, 0);
  const std::string_view method = c.has(1) ? c.text(1)->view() : "common";
  check_defined(c.self);
  if (!c.self.is_number()) fail_type("a number", c.self);
  if (method == "common") {
    if (c.self.is_integral() && digits >= 0) return Value(c.self.as_int());
    const Value out = round_half_even(c.self.as_real(), digits);
    if (!c.self.is_integral()) return out;
    return Value(to_int(out.real).value_or(0));
  }
  if (method != "ceil" && method != "floor") {
    fail(ErrorCode::bad_file, "round: method must be common, ceil or floor");
  }
  const double scale = std::pow(10.0, static_cast<double>(std::clamp<int64_t>(digits, -400, 400)));
  const double scaled = c.self.as_real() * scale;
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Value filter_filesizeformat(Call& c) {
  const bool is_binary = c.truth_or(0, false);
  const double bytes = filter_float(c).as_real();
  const double base = is_binary ? 1024 : 1000;
  static constexpr std::string_view kPrefixes = "kMGTPEZY";
  if (bytes == 1) return Value(make_view(c.heap, "1 Byte", false));
  if (bytes < base) {
    return Value(make_str(c.heap, fmt::format("{:.0f} Bytes", std::trunc(bytes)), false));
  }
  double unit = base;
  size_t i = 0;
  for (; i + 1 < kPrefixes.size() && bytes >= unit * base; ++i) unit *= base;
  const char prefix = is_binary && i == 0 ? 'K' : kPrefixes[i];
  return Value(make_str(
      c.heap, fmt::format("{:.1f} {}{}B", bytes / unit, prefix, is_binary ? "i" : ""), false));
}

Value filter_pprint(Call& c) {
  TextBuilder out;
  append_repr(out, c.heap, c.self);
  return Value(out.finish(c.heap));
}

constexpr Native kRows[] = {
    {"abs", "", filter_abs},
    {"attr", "name!", filter_attr},
    {"count", "", filter_length},
    {"d", "default_value boolean", filter_default},
    {"default", "default_value boolean", filter_default},
    {"filesizeformat", "binary", filter_filesizeformat},
    {"float", "default", filter_float},
    {"int", "default base", filter_int},
    {"items", "", filter_items},
    {"length", "", filter_length},
    {"pprint", "", filter_pprint},
    {"round", "precision method", filter_round},
};

}  // namespace

std::span<const Native> value_filters() noexcept {
  return kRows;
}

}  // namespace nibble::jinja
