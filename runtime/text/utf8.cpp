// UTF-8 steps by the table of well-formed sequences (Unicode 15, table 3-7), and the stream that
// turns token bytes into whole code points.
#include "runtime/text/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "runtime/text/tokenizer.h"

namespace nibble {
namespace {

struct Lead {
  size_t length;      // 0: no lead byte
  uint8_t low, high;  // range of the second byte
};

Lead lead_of(uint8_t byte) noexcept {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Utf8Step utf8_step(std::string_view text) noexcept {
  const Lead lead = lead_of(static_cast<uint8_t>(text[0]));
  if (lead.length == 1) return {1, true, false};
  if (lead.length == 0) return {1, false, false};
  size_t at = 1;
  for (; at < lead.length && at < text.size(); ++at) {
    const auto byte = static_cast<uint8_t>(text[at]);
    const uint8_t low = at == 1 ? lead.low : uint8_t{0x80};
    const uint8_t high = at == 1 ? lead.high : uint8_t{0xBF};
    if (byte < low || byte > high) return {at, false, false};
  }
  const bool whole = at == lead.length;
  return {at, whole, !whole};
}

size_t utf8_valid_prefix(std::string_view text) noexcept {
  size_t at = 0;
  while (at < text.size()) {
    // ASCII goes eight bytes at a time.
    uint64_t chunk = 0;
    while (text.size() - at >= sizeof chunk) {
      std::memcpy(&chunk, text.data() + at, sizeof chunk);
      if ((chunk & 0x8080808080808080u) != 0) break;
      at += sizeof chunk;
    }
    if (at == text.size()) break;
    const Utf8Step step = utf8_step(text.substr(at));
    if (!step.valid) return at;
    at += step.length;
  }
  return at;
}

void append_utf8(std::string& to, char32_t cp) {
  const auto put = [&to](char32_t byte) { to += static_cast<char>(static_cast<uint8_t>(byte)); };
  if (cp < 0x80) {
    put(cp);
  } else if (cp < 0x800) {
    put(0xC0 | cp >> 6);
    put(0x80 | (cp & 0x3F));
  } else if (cp < 0x10000) {
    put(0xE0 | cp >> 12);
    put(0x80 | (cp >> 6 & 0x3F));
    put(0x80 | (cp & 0x3F));
  } else {
    put(0xF0 | cp >> 18);
    put(0x80 | (cp >> 12 & 0x3F));
    put(0x80 | (cp >> 6 & 0x3F));
    put(0x80 | (cp & 0x3F));
  }
}

std::string Utf8Stream::push(std::string_view bytes) {
  std::string joined;
  if (!pending_.empty()) {
    joined = pending_;
    joined += bytes;
    bytes = joined;
    pending_.clear();
  }
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const size_t valid = utf8_valid_prefix(bytes);
    out += bytes.substr(0, valid);
    bytes.remove_prefix(valid);
    if (bytes.empty()) break;
    const Utf8Step step = utf8_step(bytes);
    if (step.incomplete) {
      pending_ = bytes;
      break;
    }
    out += kUtf8Replacement;
    bytes.remove_prefix(step.length);
  }
  return out;
}

std::string Utf8Stream::finish() {
  if (pending_.empty()) return {};
  pending_.clear();
  return std::string(kUtf8Replacement);
}

}  // namespace nibble
