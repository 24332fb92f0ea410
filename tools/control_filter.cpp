// A UTF-8 walk that lets nothing reach the terminal but printable text, \n and \t.
#include "tools/control_filter.h"

#include <cstdint>

namespace nibble {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

void append_picture(std::string& out, unsigned control) {
  // U+2400 + c, DEL is U+2421: E2 90 80+c
  const unsigned low = control == 0x7F ? 0x21u : control;
  out += "\xE2\x90";
  out += static_cast<char>(0x80u + low);
}

std::string filter(std::string_view text, bool keep_breaks) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<uint8_t>(text[i]);
    if (c == '\n' || c == '\t') {
      out += keep_breaks ? static_cast<char>(c) : ' ';
      ++i;
    } else if (c == '\r') {
      ++i;
    } else if (c < 0x20 || c == 0x7F) {
      append_picture(out, c);
      ++i;
    } else {
      const size_t n = utf8_length(text.substr(i));
      const bool c1 = n == 2 && c == 0xC2 && static_cast<uint8_t>(text[i + 1]) < 0xA0;
      if (n == 0 || c1) {
        out += kReplacement;
        i += n == 0 ? 1 : n;
      } else {
        out += text.substr(i, n);
        i += n;
      }
    }
  }
  return out;
}

}  // namespace

size_t utf8_length(std::string_view s) noexcept {
  const auto byte = [&](size_t i) { return i < s.size() ? static_cast<uint8_t>(s[i]) : 0u; };
  const auto tail = [&](size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  const unsigned a = byte(0), b = byte(1);
  if (a < 0x80) return 1;
  if (a >= 0xC2 && a <= 0xDF) return tail(1) ? 2 : 0;
  if (a >= 0xE0 && a <= 0xEF) {
    if (a == 0xE0 && b < 0xA0) return 0;
    if (a == 0xED && b > 0x9F) return 0;
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (a >= 0xF0 && a <= 0xF4) {
    if (a == 0xF0 && b < 0x90) return 0;
    if (a == 0xF4 && b > 0x8F) return 0;
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

std::string filter_control(std::string_view utf8) {
  return filter(utf8, true);
}
std::string one_line(std::string_view utf8) {
  return filter(utf8, false);
}

}  // namespace nibble
