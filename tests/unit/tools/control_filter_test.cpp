// Every byte and every code point below U+0800 through the filter: nothing that a terminal acts on
// comes out.
#include "tools/control_filter.h"

#include <string>

#include "tests/support/catch.h"
#include "tools/quote_text.h"

using namespace nibble;

namespace {

bool is_harmless(const std::string& text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\n' || c == '\t') continue;
    if (c < 0x20 || c == 0x7F) return false;
    if (c == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0) return false;  // C1
  }
  return true;
}

}  // namespace

TEST_CASE("single bytes come out harmless") {
  for (int c = 0; c < 256; ++c) {
    const std::string out = filter_control(std::string(1, static_cast<char>(c)));
    INFO("byte " << c);
    CHECK(is_harmless(out));
    if (c >= 0x20 && c < 0x7F) CHECK(out == std::string(1, static_cast<char>(c)));
    if (c >= 0x80) CHECK(out == "\xEF\xBF\xBD");
  }
}

TEST_CASE("two-byte code points: C1 controls are replaced, all others kept") {
  for (int c = 0x80; c < 0x800; ++c) {
    const std::string in = {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
    CHECK(is_harmless(filter_control(in)));
    CHECK((filter_control(in) == in) == (c >= 0xA0));
  }
}

TEST_CASE("escape sequences become visible text") {
  CHECK(filter_control("\033]0;title\007x") == "\xE2\x90\x9B]0;title\xE2\x90\x87x");
  CHECK(filter_control("a\r\nb\tc\x7F") == "a\nb\tc\xE2\x90\xA1");
  CHECK(filter_control("日本語 🙂 é") == "日本語 🙂 é");
  CHECK(filter_control("\xED\xA0\x80") == "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // a surrogate
  CHECK(filter_control("\xC0\x9B") == "\xEF\xBF\xBD\xEF\xBF\xBD");  // an overlong escape
}

TEST_CASE("one line stays one line") {
  CHECK(one_line("a\nb\tc\r\n") == "a b c ");
  CHECK(one_line("\033[2J") == "\xE2\x90\x9B[2J");
}

TEST_CASE("quoted bytes") {
  CHECK(quote_text("it's\n\\\t\r") == "'it\\'s\\n\\\\\\t\\r'");
  CHECK(quote_text(std::string("\0\x1b\x7f\xff", 4)) == "'\\x00\\x1B\\x7F\\xFF'");
  CHECK(quote_text("\xC2\x9B") == "'\\xC2\\x9B'");
  CHECK(quote_text("é 🙂") == "'é 🙂'");
}
