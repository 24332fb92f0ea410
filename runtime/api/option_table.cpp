#include "runtime/api/option_table.h"

#include "formats/io/error.h"
#include "formats/io/parse_number.h"
#include "runtime/api/call.h"

namespace nibble::api {

void apply_option(std::string_view name, std::string_view value,
                  std::span<const OptionSetter> table) {
  std::string known;
  for (const OptionSetter& row : table) {
    if (row.name == name) return row.set(name, value);
    known += known.empty() ? "" : ", ";
    known += row.name;
  }
  fail(ErrorCode::bad_argument, "options: expected one of {}, got '{}'", known, name);
}

void apply_options(const nibble_option* options, std::span<const OptionSetter> table) {
  for (; options != nullptr && options->name != nullptr; ++options) {
    apply_option(options->name, text_of(options->value, options->name), table);
  }
}

int64_t whole_option(std::string_view name, std::string_view value, int64_t low, int64_t high) {
  const std::optional<int64_t> number = parse_int(value, true);
  if (number && *number >= low && *number <= high) return *number;
  if (high == std::numeric_limits<int64_t>::max()) {
    fail(ErrorCode::bad_argument, "{}: expected a whole number of {} or more, got '{}'", name, low,
         value);
  }
  fail(ErrorCode::bad_argument, "{}: expected a whole number from {} to {}, got '{}'", name, low,
       high, value);
}

float number_option(std::string_view name, std::string_view value) {
  const std::optional<double> number = parse_float(value);
  if (number) return static_cast<float>(*number);
  fail(ErrorCode::bad_argument, "{}: expected a number, got '{}'", name, value);
}

KvType kv_type_option(std::string_view name, std::string_view value) {
  if (value == "f16") return KvType::f16;
  if (value == "f32") return KvType::f32;
  if (value == "q8") return KvType::q8;
  if (value == "q4") return KvType::q4;
  fail(ErrorCode::bad_argument, "{}: expected f16, f32, q8 or q4, got '{}'", name, value);
}

DType type_option(std::string_view name, std::string_view value) {
  const DTypeInfo* info = find_dtype(std::string(value).c_str());
  if (info != nullptr) return info->type;
  fail(ErrorCode::bad_argument, "{}: expected a tensor type such as Q8_0, got '{}'", name, value);
}

}  // namespace nibble::api
