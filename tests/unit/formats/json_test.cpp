// The JSON reader against nlohmann-json, an independent implementation, and against the places
// where RFC 8259 leaves readers a choice.
#include "formats/json.h"

#include <nlohmann/json.hpp>

#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tests/support/small_stack.h"

using namespace nibble;
using Catch::Matchers::Contains;

namespace {

bool same(JsonValue a, const nlohmann::json& b) {
  if (b.is_null()) return a.is(JsonType::null);
  if (b.is_boolean()) return a.boolean() == b.get<bool>();
  if (b.is_number()) return a.number() == b.get<double>();
  if (b.is_string()) return a.text() == b.get<std::string>();
  if (a.size() != b.size() || !a.is(b.is_array() ? JsonType::array : JsonType::object)) {
    return false;
  }
  size_t n = 0;
  for (auto i = a.walk(); i.next(); ++n) {
    if (!same(i.value(), b.is_array() ? b[n] : b[std::string(i.key())])) return false;
  }
  return n == b.size();
}

std::string refusal(const std::string& text) {
  try {
    const JsonDocument document(text, "t.json");
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::bad_file);
    return error.message();
  }
}

}  // namespace

TEST_CASE("what both readers accept they read alike") {
  const std::string texts[] = {"null",
                               "true",
                               "false",
                               "0",
                               "-1",
                               "1.5",
                               "-0.0",
                               "1e3",
                               "1E-3",
                               "123456789012345678",
                               "-9223372036854775808",
                               "9223372036854775807",
                               "18446744073709551615",
                               "1e308",
                               R"("")",
                               R"("a")",
                               R"("\"\\\/\b\f\n\r\t")",
                               R"("\u00e9\u4e2d\ud83d\ude00")",
                               "\"\xC3\xA9\"",
                               "[]",
                               "{}",
                               "[1,2,[3,[]],{}]",
                               R"({"a":1,"b":{"c":[true,null]},"":"x"})",
                               " [ 1 , 2 ] ",
                               "\n\t\r{ \"a\" : [ ] }\n",
                               R"({"a\nb":"c\td"})",
                               R"(["\u0000"])"};
  for (const std::string& text : texts) {
    INFO(text);
    const JsonDocument document(text, "t.json");
    CHECK(same(document.root(), nlohmann::json::parse(text)));
  }
}

TEST_CASE("what is no JSON is refused with the place") {
  const std::string texts[] = {"",
                               " ",
                               "[",
                               "]",
                               "{",
                               "}",
                               "[1,]",
                               "[,1]",
                               "[1 2]",
                               "{\"a\"}",
                               "{\"a\":}",
                               "{\"a\":1,}",
                               "{a:1}",
                               "{1:2}",
                               "tru",
                               "nul",
                               "True",
                               "01",
                               "1.",
                               ".5",
                               "1e",
                               "+1",
                               "--1",
                               "0x10",
                               "NaN",
                               "Infinity",
                               "'a'",
                               "\"a",
                               "\"\\\"",
                               "\"\\x\"",
                               "\"\\u12\"",
                               "\"\\u12g4\"",
                               "\"\n\"",
                               "[1]]",
                               "[1] x",
                               "1 2",
                               "\xEF\xBB\xBF{}",
                               "\"\\",
                               "\"\\u",
                               "1e999",
                               "[\"a\":1]",
                               "{]",
                               "[}"};
  for (const std::string& text : texts) {
    INFO(text);
    CHECK_THAT(refusal(text), Contains("t.json: byte ") && Contains("expected"));
    CHECK((text.starts_with("\xEF") || !nlohmann::json::accept(text)));
  }
}

TEST_CASE("what readers disagree about is refused") {
  CHECK_THAT(refusal(R"({"a":1,"b":2,"a":3})"), Contains("'a' occurs twice"));
  CHECK_THAT(refusal(R"({"a":1,"\u0061":3})"), Contains("occurs twice"));
  CHECK(refusal(R"([{"a":1},{"a":1}])").empty());
  for (const char* text :
       {R"("\ud800")", R"("\udc00")", R"("\ud800x")", R"("\ud800\u0041")", "\"\xED\xA0\x80\"",
        "\"\xC0\x80\"", "\"\xFF\"", "\"\xC3\"", "\"\xF4\x90\x80\x80\"", "\"\xE0\x80\x80\""}) {
    INFO(text);
    CHECK_FALSE(refusal(text).empty());
  }
}

TEST_CASE("integers keep their 64 bits and are told from other numbers") {
  const JsonDocument d("[9223372036854775807, 9223372036854775808, 1.0, -0, 5]", "t.json");
  auto i = d.root().walk();
  REQUIRE(i.next());
  CHECK(i.value().integer() == INT64_MAX);
  for (int n = 0; n < 3; ++n) {
    REQUIRE(i.next());
    CHECK_FALSE(i.value().integer());
    CHECK(i.value().number());
  }
  REQUIRE(i.next());
  CHECK(i.value().integer() == 5);
  CHECK_FALSE(i.next());
}

TEST_CASE("absent values are answered, not followed") {
  const JsonDocument d(R"({"a":[1]})", "t.json");
  const JsonValue none = d.root().find("x").find("y");
  CHECK_FALSE(none.exists());
  CHECK(none.size() == 0);
  CHECK_FALSE(none.text());
  CHECK_FALSE(none.walk().next());
  CHECK_FALSE(d.root().find("a").find("b").exists());
}

TEST_CASE("nesting is bounded and takes no stack") {
  for (const char* open : {"[", "{\"a\":"}) {
    std::string deep;
    for (int i = 0; i < kMaxJsonDepth; ++i) deep += open;
    const std::string close(kMaxJsonDepth, *open == '[' ? ']' : '}');
    CHECK(refusal(deep + (*open == '[' ? "" : "1") + close).empty());
    CHECK_THAT(refusal(deep + open), Contains("at most 128 nested"));
  }
  const std::string many(10'000'000, '[');
  std::string message;
  test::on_small_stack([&] {
    try {
      const JsonDocument document(many, "t.json");
    } catch (const Error& error) {
      message = error.message();
    }
  });
  CHECK_THAT(message, Contains("at most 128 nested"));
}

TEST_CASE("every truncation of a text is an error") {
  const std::string text = R"({"a":[1,-2.5e3,true,null],"b\u00e9":{"c":"x\n"},"d":[]})";
  REQUIRE(refusal(text).empty());
  for (size_t n = 0; n < text.size(); ++n) {
    const std::string cut = text.substr(0, n);
    INFO(cut);
    CHECK_FALSE(refusal(cut).empty());
  }
}
