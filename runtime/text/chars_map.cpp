// Reading and walking the double array. Every index is checked: the array comes from a file.
#include "runtime/text/chars_map.h"

#include <algorithm>

#include "formats/io/bytes.h"
#include "formats/io/error.h"

namespace nibble {
namespace {

// NFKC's longest sequence has 18 code points; a longer walk can only be a file made to be slow.
constexpr size_t kMaxKey = 64;
constexpr size_t kMaxText = 1024;  // bytes; bounds what normalizing can make of a text

// A unit: bit 8 says that a value hangs below it, bit 9 the scale of the offset in bits 10 to 30;
// bits 0 to 7 and bit 31 are the label, which a value has not.
uint32_t offset_of(uint32_t unit) noexcept {
  return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}
bool has_value(uint32_t unit) noexcept {
  return (unit >> 8 & 1u) != 0;
}
uint32_t label_of(uint32_t unit) noexcept {
  return unit & (1u << 31 | 0xFFu);
}

}  // namespace

CharsMap::CharsMap(std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.empty()) return;
  const auto refuse = [&](std::string_view expected, size_t got) {
    fail(ErrorCode::bad_file, "{}: character map: expected {}, got {}", file, expected, got);
  };
  if (bytes.size() < sizeof(uint32_t)) refuse("at least 4 bytes", bytes.size());
  const auto trie_bytes = load_le<uint32_t>(bytes.data());
  bytes = bytes.subspan(sizeof(uint32_t));
  if (trie_bytes > bytes.size() || trie_bytes % sizeof(uint32_t) != 0 || trie_bytes == 0) {
    refuse("a trie of whole units inside it", trie_bytes);
  }
  units_.resize(trie_bytes / sizeof(uint32_t));
  for (size_t i = 0; i < units_.size(); ++i) {
    units_[i] = load_le<uint32_t>(bytes.data() + i * sizeof(uint32_t));
  }
  texts_ = as_text(bytes.subspan(trie_bytes));
  if (!texts_.empty() && texts_.back() != '\0') refuse("a zero byte at its end", texts_.size());
  for (size_t at = 0; at < texts_.size();) {
    const size_t end = texts_.find('\0', at);
    if (end - at > kMaxText) refuse("texts of at most 1024 bytes", end - at);
    at = end + 1;
  }
}

CharsMap::Match CharsMap::match(std::string_view text) const noexcept {
  Match best;
  if (units_.empty()) return best;
  uint32_t at = offset_of(units_[0]);
  const size_t most = std::min(text.size(), kMaxKey);
  for (size_t i = 0; i < most; ++i) {
    const auto byte = static_cast<uint32_t>(static_cast<uint8_t>(text[i]));
    at ^= byte;
    if (at >= units_.size() || label_of(units_[at]) != byte) break;
    const uint32_t unit = units_[at];
    at ^= offset_of(unit);
    if (!has_value(unit) || at >= units_.size()) continue;
    const uint32_t value = units_[at] & ~(1u << 31);
    if (value >= texts_.size()) continue;
    best.length = i + 1;
    best.text = texts_.substr(value, texts_.find('\0', value) - value);
  }
  return best;
}

}  // namespace nibble
