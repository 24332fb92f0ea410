// Typed access to metadata: lookup, and conversions that refuse to lose anything.
#include <algorithm>
#include <bit>
#include <limits>

#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "formats/meta_type.h"
#include "formats/tensor_file.h"

namespace nibble {
namespace {

const char* type_name(MetaType type) {
  return meta_type_info(type).name;
}

std::string type_text(const MetaValue& value) {
  if (value.type != MetaType::array) return type_name(value.type);
  return fmt::format("array of {}", type_name(value.item_type));
}

[[noreturn]] void fail_type(const std::string& file, const MetaValue& value,
                            std::string_view expected) {
  fail(ErrorCode::bad_file, "{}: metadata key {}: expected {}, got {}", file, quoted(value.key),
       expected, type_text(value));
}

// One number of the metadata: a scalar, or an item of an array.
struct Number {
  const std::string& file;
  const MetaValue& value;  // for messages
  MetaType type;
  uint64_t bits;

  bool is_integer() const { return meta_type_info(type).kind == MetaKind::integer; }
  bool is_unsigned() const { return !meta_type_info(type).is_signed; }

  [[noreturn]] void fail_range(std::string_view expected, std::string_view got) const {
    fail(ErrorCode::bad_file, "{}: metadata key {}: expected {}, got {}", file, quoted(value.key),
         expected, got);
  }

  int64_t to_int() const {
    constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (is_unsigned() && bits > kMax) {
      fail_range("an integer below 2^63", fmt::format("{}", bits));
    }
    return static_cast<int64_t>(bits);
  }

  double to_double() const {
    if (type == MetaType::f32) return std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (type == MetaType::f64) return std::bit_cast<double>(bits);
    const int64_t integer = to_int();
    if (!has_digits(integer, std::numeric_limits<double>::digits)) {
      fail_range("a number that a float64 holds exactly", fmt::format("{}", integer));
    }
    return static_cast<double>(integer);
  }

  // A float64 is rounded; nothing may leave the range of float32.
  float to_float() const {
    if (type == MetaType::f32) return std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (is_integer() && !has_digits(to_int(), std::numeric_limits<float>::digits)) {
      fail_range("a number that a float32 holds exactly", fmt::format("{}", to_int()));
    }
    const double real = to_double();
    constexpr double kMax = std::numeric_limits<float>::max();
    const bool finite = real - real == 0;
    if (finite && (real > kMax || real < -kMax)) {
      fail_range("a number within float32", fmt::format("{}", real));
    }
    return static_cast<float>(real);
  }

  // Whether `digits` binary digits and an exponent hold the number.
  static bool has_digits(int64_t integer, int digits) {
    // -(n + 1) + 1: the most negative number has no positive twin in int64_t.
    const uint64_t magnitude =
        integer < 0 ? static_cast<uint64_t>(-(integer + 1)) + 1 : static_cast<uint64_t>(integer);
    return magnitude == 0 || magnitude >> std::countr_zero(magnitude) < uint64_t{1} << digits;
  }
};

// Calls use(Number) for each item of an array of numbers (booleans count as 0 and 1).
template <typename Use>
void for_each_number(const std::string& file, const MetaValue& value, Use use) {
  const uint64_t width = meta_type_info(value.item_type).bytes;
  for (uint64_t i = 0; i < value.count; ++i) {
    use(Number{file, value, value.item_type,
               meta_bits(value.item_type, value.items.data() + i * width)});
  }
}

}  // namespace

const std::string* Metadata::build_index() {
  index_.resize(values_.size());
  for (uint32_t i = 0; i < index_.size(); ++i) index_[i] = i;
  std::sort(index_.begin(), index_.end(), [this](uint32_t a, uint32_t b) {
    const int order = values_[a].key.compare(values_[b].key);
    return order != 0 ? order < 0 : a < b;
  });
  for (size_t i = 1; i < index_.size(); ++i) {
    if (values_[index_[i - 1]].key == values_[index_[i]].key) return &values_[index_[i]].key;
  }
  return nullptr;
}

const MetaValue* Metadata::find(std::string_view key) const noexcept {
  const auto at =
      std::lower_bound(index_.begin(), index_.end(), key,
                       [this](uint32_t i, std::string_view k) { return values_[i].key < k; });
  if (at != index_.end() && values_[*at].key == key) return &values_[*at];
  for (size_t i = index_.size(); i < values_.size(); ++i) {
    if (values_[i].key == key) return &values_[i];
  }
  return nullptr;
}

std::optional<int64_t> Metadata::get_int(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (meta_type_info(value->type).kind != MetaKind::integer) {
    fail_type(file_, *value, "an integer");
  }
  return Number{file_, *value, value->type, value->bits}.to_int();
}

std::optional<double> Metadata::get_float(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const MetaKind kind = meta_type_info(value->type).kind;
  if (kind != MetaKind::integer && kind != MetaKind::real) fail_type(file_, *value, "a number");
  return Number{file_, *value, value->type, value->bits}.to_double();
}

std::optional<bool> Metadata::get_bool(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != MetaType::boolean) fail_type(file_, *value, "a bool");
  return value->bits != 0;
}

std::optional<std::string_view> Metadata::get_string(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != MetaType::string) fail_type(file_, *value, "a string");
  return value->text;
}

std::optional<std::vector<int64_t>> Metadata::get_ints(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const MetaKind kind = meta_type_info(value->item_type).kind;
  if (value->type != MetaType::array || (kind != MetaKind::integer && kind != MetaKind::boolean)) {
    fail_type(file_, *value, "an array of integers");
  }
  std::vector<int64_t> out;
  out.reserve(value->count);
  for_each_number(file_, *value, [&](const Number& item) { out.push_back(item.to_int()); });
  return out;
}

std::optional<std::vector<float>> Metadata::get_floats(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const MetaKind kind = meta_type_info(value->item_type).kind;
  if (value->type != MetaType::array || (kind != MetaKind::integer && kind != MetaKind::real)) {
    fail_type(file_, *value, "an array of numbers");
  }
  std::vector<float> out;
  out.reserve(value->count);
  for_each_number(file_, *value, [&](const Number& item) { out.push_back(item.to_float()); });
  return out;
}

const StringArray* Metadata::get_strings(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return nullptr;
  if (value->type != MetaType::array || value->item_type != MetaType::string) {
    fail_type(file_, *value, "an array of strings");
  }
  return &value->strings;
}

}  // namespace nibble
