// Escapes what is not printable UTF-8.
#include "tools/quote_text.h"

#include <fmt/format.h>

#include <cstdint>

#include "tools/control_filter.h"

namespace nibble {

std::string quote_text(std::string_view bytes) {
  std::string out = "'";
  for (size_t i = 0; i < bytes.size();) {
    const char c = bytes[i];
    const size_t n = utf8_length(bytes.substr(i));
    const bool c1 = n == 2 && c == '\xC2' && static_cast<uint8_t>(bytes[i + 1]) < 0xA0;
    switch (c) {
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\'':
        out += "\\'";
        break;
      default:
        if (n == 0 || c1 || static_cast<uint8_t>(c) < 0x20 || c == 0x7F) {
          out += fmt::format("\\x{:02X}", static_cast<uint8_t>(c));
          ++i;
          continue;
        }
        out += bytes.substr(i, n);
    }
    i += n;
  }
  return out + "'";
}

}  // namespace nibble
