// JSON as text, against nlohmann-json's own writer and reader.
#include "runtime/text/json_text.h"

#include <limits>

#include "tests/support/catch.h"

using nibble::json_text;
using Json = nlohmann::ordered_json;

TEST_CASE("a JSON value becomes the text that reads as it", "[json_text]") {
  std::string control;
  for (char c = 0; c < 0x30; ++c) control += c;
  const Json all = {{"z", {1, -2, 18446744073709551615U, 0.5, 1e-05, 1e300, -0.1}},
                    {"a", {nullptr, true, false, "", Json::array(), Json::object()}},
                    {control, control + "\"\\/\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80"},
                    {"nested", {{"b", {{"c", {{{"d", 1}}}}}}}}};
  CHECK(Json::parse(json_text(all)) == all);
  // The order of members is theirs.
  CHECK(json_text({{"z", 1}, {"a", 2}}) == R"({"z":1,"a":2})");
  CHECK(json_text({{"k", {1, 2}}, {"s", "a\"b\n"}}) == R"({"k":[1,2],"s":"a\"b\u000a"})");
}

TEST_CASE("what JSON cannot say is replaced", "[json_text]") {
  CHECK(json_text("a\xFF\xC3z") == "\"a\xEF\xBF\xBD\xEF\xBF\xBDz\"");
  CHECK(json_text(std::numeric_limits<double>::infinity()) == "null");
  CHECK(json_text(std::numeric_limits<double>::quiet_NaN()) == "null");
}
