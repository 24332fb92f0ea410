#pragma once
// Options as the C API takes them: a table of names, each with what its value sets.
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quant/dtype.h"
#include "quant/kernels/kernels.h"
#include "runtime/api/nibble.h"

namespace nibble::api {

struct OptionSetter {
  std::string_view name;
  std::function<void(std::string_view name, std::string_view value)> set;
};

/// Errors: bad_argument (a name that is not in the table; a value that its row refuses).
void apply_option(std::string_view name, std::string_view value,
                  std::span<const OptionSetter> table);
/// Up to the row without a name; NULL is an empty table.
void apply_options(const nibble_option* options, std::span<const OptionSetter> table);

// Values. Errors: bad_argument: "temp: expected a number from 0 to 100, got 'abc'".
int64_t whole_option(std::string_view name, std::string_view value, int64_t low,
                     int64_t high = std::numeric_limits<int64_t>::max());
float number_option(std::string_view name, std::string_view value);
KvType kv_type_option(std::string_view name, std::string_view value);
DType type_option(std::string_view name, std::string_view value);

}  // namespace nibble::api
