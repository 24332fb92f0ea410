// Whole code points out of any bytes in any portions; the expected texts are those of the Unicode
// standard (15.0, tables 3-7 to 3-11).
#include "runtime/text/utf8.h"

#include "runtime/text/tokenizer.h"
#include "tests/support/catch.h"

namespace nibble::test {
namespace {

#define FFFD "\xEF\xBF\xBD"

std::string in_portions(std::string_view bytes, size_t portion) {
  Utf8Stream stream;
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += portion) {
    const std::string text = stream.push(bytes.substr(at, portion));
    CHECK(utf8_valid_prefix(text) == text.size());
    out += text;
  }
  return out + stream.finish();
}

}  // namespace

TEST_CASE("utf8: ill-formed parts become one replacement each") {
  const std::pair<std::string, std::string> cases[] = {
      {"", ""},
      {"plain", "plain"},
      {"\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80", "\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80"},
      {"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\xED\x9F\xBF\xEE\x80\x80",
       "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\xED\x9F\xBF\xEE\x80\x80"},
      // Table 3-8: non-shortest forms.
      {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
       "A",
       FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A"},
      // Table 3-9: surrogates.
      {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
       "A",
       FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A"},
      // Table 3-10: other ill-formed sequences.
      {"\xF4\x91\x92\x93\xFF"
       "A\x80\xBF"
       "B",
       FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B"},
      // Table 3-11: truncated sequences.
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
       "A",
       FFFD FFFD FFFD FFFD "A"},
      {"end \xF0\x9F\x98", "end " FFFD},
      {"end \xC3", "end " FFFD},
      {std::string("nul\0x", 5), std::string("nul\0x", 5)},
  };
  for (const auto& [bytes, text] : cases) {
    for (const size_t portion : {1u, 2u, 3u, 4u, 5u, 1000u}) {
      CAPTURE(portion);
      CHECK(in_portions(bytes, portion) == text);
    }
  }
}

TEST_CASE("utf8: a stream holds back at most three bytes and starts afresh") {
  Utf8Stream stream;
  CHECK(stream.push("\xF0").empty());
  CHECK(stream.push("\x9F").empty());
  CHECK(stream.push("\x98").empty());
  CHECK(stream.push("\x80!") == "\xF0\x9F\x98\x80!");
  CHECK(stream.push("\xE4\xBD").empty());
  CHECK(stream.finish() == FFFD);
  CHECK(stream.finish().empty());
  CHECK(stream.push("a") == "a");
  CHECK(stream.push("").empty());
}

TEST_CASE("utf8: every code point, written and read") {
  for (char32_t cp = 0; cp <= 0x10FFFF; ++cp) {
    if (cp >= 0xD800 && cp <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, cp);
    const Utf8Step step = utf8_step(text);
    if (!step.valid || step.length != text.size()) {
      CAPTURE(static_cast<uint32_t>(cp));
      FAIL("not read back");
    }
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const Utf8Step part = utf8_step(std::string_view(text).substr(0, cut));
      if (!part.incomplete || part.valid || part.length != cut) FAIL("not seen as incomplete");
    }
  }
}

}  // namespace nibble::test
