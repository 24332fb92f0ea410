// Text of options to values: what is taken, what is refused.
#include "tools/values.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "tests/support/catch.h"
#include "tools/exit_code.h"
#include "tools/parameters.h"

using namespace nibble;

namespace {

/// Message of the usage error that f throws; "" if it throws none.
template <typename F>
std::string usage_message(F f) {
  try {
    f();
  } catch (const CommandError& e) {
    CHECK(e.code() == ExitCode::usage);
    return e.message();
  }
  return {};
}

}  // namespace

TEST_CASE("whole numbers with and without units") {
  CHECK(parse_int("32k", true) == 32768);
  CHECK(parse_int("1M", true) == 1 << 20);
  CHECK(parse_int("2G", true) == int64_t{2} << 30);
  CHECK(parse_int("-7") == -7);
  for (const char* bad : {"", " 1", "1 ", "1.5", "0x10", "1e3", "abc", "32kk", "k", "+1", "--1",
                          "9223372036854775808", "9007199254740993G"}) {
    INFO(bad);
    CHECK_FALSE(parse_int(bad, true).has_value());
  }
  CHECK_FALSE(parse_int("32k").has_value());
}

TEST_CASE("decimal numbers") {
  CHECK(parse_float("0.8") == 0.8);
  CHECK(parse_float("-1e-3") == -1e-3);
  for (const char* bad : {"", "0,8", "nan", "inf", "-inf", "1.0f", " 1", "1e999"}) {
    INFO(bad);
    CHECK_FALSE(parse_float(bad).has_value());
  }
}

TEST_CASE("messages name the option, the range and what was given") {
  CHECK(usage_message([] { int_value("--top-k", "-3", 0, 10); }) ==
        "--top-k: expected a whole number from 0 to 10, got '-3'");
  CHECK(usage_message([] { float_value("--temp", "hot", 0, 100); }) ==
        "--temp: expected a number from 0 to 100, got 'hot'");
  CHECK(usage_message([] { kv_type_value("-ctk", "q9"); }) ==
        "-ctk: expected f16, f32, q8 or q4, got 'q9'");
}

TEST_CASE("a bound that is itself excluded") {
  CHECK(float_value("--repeat-penalty", "1e-3", kAboveZero, 100) == 1e-3f);
  // 1e-60 is a double above 0, but not a float.
  for (const char* bad : {"0", "-0", "-1", "1e-60", "101"}) {
    CHECK(usage_message([&] { float_value("--repeat-penalty", bad, kAboveZero, 100); }) ==
          fmt::format("--repeat-penalty: expected a number more than 0 and at most 100, got '{}'",
                      bad));
  }
}

// A value that a flag or /set takes, the sampler takes too: there are no two opinions.
TEST_CASE("the ends of every parameter's range suit the sampler") {
  const std::pair<const char*, std::vector<const char*>> kEnds[] = {
      {"temperature", {"0", "100"}},
      {"top_p", {"0", "1"}},
      {"min_p", {"0", "1"}},
      {"typical_p", {"0", "1"}},
      {"repeat_penalty", {"1.5e-45", "100"}},
      {"presence_penalty", {"-100", "100"}},
      {"frequency_penalty", {"-100", "100"}},
      {"top_k", {"0", "2147483647"}},
      {"repeat_last_n", {"-1", "2147483647"}}};
  for (const auto& [name, values] : kEnds) {
    for (const char* value : values) {
      INFO(name << " " << value);
      SamplerOptions sampling;
      GenerationOptions generation;
      set_parameter(name, value, &sampling, &generation);
      CHECK_NOTHROW(sampling.check(100));
    }
  }
  SamplerOptions sampling;
  GenerationOptions generation;
  CHECK(usage_message([&] { set_parameter("repeat_penalty", "0", &sampling, &generation); }) ==
        "repeat_penalty: expected a number more than 0 and at most 100, got '0'");
}

TEST_CASE("lists") {
  CHECK(int_list("--tokens", "1,2,3", 0, 9) == std::vector<int64_t>{1, 2, 3});
  CHECK_FALSE(usage_message([] { int_list("--tokens", "", 0, 9); }).empty());
  CHECK_FALSE(usage_message([] { int_list("--tokens", "1,x", 0, 9); }).empty());
  CHECK_FALSE(usage_message([] { int_list("--tokens", "1,,2", 0, 9); }).empty());
  CHECK_FALSE(usage_message([] { int_list("--tokens", "1,", 0, 9); }).empty());
  CHECK_FALSE(usage_message([] { int_list("--tokens", "10", 0, 9); }).empty());
  CHECK(split_commas("a,,b,") == std::vector<std::string>{"a", "b"});
}

TEST_CASE("logit bias as llama.cpp writes it") {
  CHECK(logit_bias_value("--logit-bias", "15043+1") == std::pair<int32_t, float>(15043, 1.0f));
  CHECK(logit_bias_value("--logit-bias", "2-0.5") == std::pair<int32_t, float>(2, -0.5f));
  const auto banned = logit_bias_value("--logit-bias", "2-inf");
  CHECK(std::isinf(banned.second));
  CHECK(banned.second < 0);
  for (const char* bad : {"", "5", "5+", "+5", "x+1", "5*2", "-5+1", "99999999999+1"}) {
    INFO(bad);
    CHECK_FALSE(usage_message([&] { logit_bias_value("--logit-bias", bad); }).empty());
  }
}
