// The byte alphabet, as two small tables made at compile time.
#include "runtime/text/byte_level.h"

#include <array>

#include "runtime/text/utf8.h"

namespace nibble {
namespace {

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr int kFirstOther = 0x100;
constexpr int kOthers = 68;

struct Tables {
  std::array<uint16_t, 256> character = {};
  std::array<int16_t, kFirstOther + kOthers> byte = {};
};

constexpr Tables kTables = [] {
  Tables tables;
  tables.byte.fill(-1);
  int next = kFirstOther;
  for (int b = 0; b < 256; ++b) {
    const int c = stands_for_itself(b) ? b : next++;
    tables.character[static_cast<size_t>(b)] = static_cast<uint16_t>(c);
    tables.byte[static_cast<size_t>(c)] = static_cast<int16_t>(b);
  }
  return tables;
}();

}  // namespace

char32_t byte_level_char(uint8_t byte) noexcept {
  return kTables.character[byte];
}

int byte_level_byte(char32_t character) noexcept {
  return character < kTables.byte.size() ? kTables.byte[character] : -1;
}

void append_byte_level(std::string& to, std::string_view bytes) {
  for (const char c : bytes) append_utf8(to, byte_level_char(static_cast<uint8_t>(c)));
}

void append_from_byte_level(std::string& to, std::string_view spelling) {
  while (!spelling.empty()) {
    const Utf8Step step = utf8_step(spelling);
    int byte = -1;
    const auto lead = static_cast<uint8_t>(spelling[0]);
    if (step.valid && step.length == 1) {
      byte = byte_level_byte(lead);
    } else if (step.valid && step.length == 2) {
      const auto tail = static_cast<uint8_t>(spelling[1]);
      byte = byte_level_byte(static_cast<char32_t>((lead & 0x1F) << 6 | (tail & 0x3F)));
    }
    if (byte >= 0) {
      to += static_cast<char>(static_cast<uint8_t>(byte));
    } else {
      to += spelling.substr(0, step.length);
    }
    spelling.remove_prefix(step.length);
  }
}

}  // namespace nibble
