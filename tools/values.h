#pragma once
// Text of an option to a value: strict, without locale, with one message form:
// "--temp: expected a number from 0 to 100, got 'abc'".
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/io/parse_number.h"
#include "quant/kernels/kernels.h"

namespace nibble {

/// A lower bound that means "more than 0": the least float above it.
inline constexpr double kAboveZero = std::numeric_limits<float>::denorm_min();

// For options; each with a range. flag: the option's name. Errors: CommandError usage.
int64_t int_value(std::string_view flag, std::string_view text, int64_t low, int64_t high,
                  bool units = false);
/// Bytes: "6G", "1.5G", "300M" are powers of 1024.
uint64_t size_value(std::string_view flag, std::string_view text);
float float_value(std::string_view flag, std::string_view text, double low, double high);
/// "1,2,3", each in the range.
std::vector<int64_t> int_list(std::string_view flag, std::string_view text, int64_t low,
                              int64_t high, bool units = false);
/// "ID+BIAS", "ID-BIAS" (both as llama.cpp writes them), BIAS may be "inf".
std::pair<int32_t, float> logit_bias_value(std::string_view flag, std::string_view text);
/// "f16", "f32", "q8" or "q4"; also llama.cpp's names of types of these sizes.
KvType kv_type_value(std::string_view flag, std::string_view text);
const char* kv_type_text(KvType);

}  // namespace nibble
