// The hash table of token texts (XXH3, linear probing).
#include "runtime/text/text_table.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <cstring>

namespace nibble {

void fold_spaces(std::string_view text, std::string& to) {
  to.clear();
  for (;;) {
    const size_t at = text.find(kSpaceMark);
    to += text.substr(0, at);
    if (at == std::string_view::npos) return;
    to += ' ';
    text.remove_prefix(at + kSpaceMark.size());
  }
}

uint64_t TextTable::hash_of(std::string_view key) noexcept {
  return XXH3_64bits(key.data(), key.size());
}

uint64_t TextTable::hash_text(std::string_view text, std::string& scratch) const {
  if (!fold_spaces_ || std::memchr(text.data(), kSpaceMark[0], text.size()) == nullptr) {
    return hash_of(text);
  }
  fold_spaces(text, scratch);
  return hash_of(scratch);
}

bool TextTable::key_equals(std::string_view text, std::string_view key) const noexcept {
  if (!fold_spaces_) return text == key;
  // A space of the key stands for U+2581 or for itself.
  size_t t = 0;
  for (const char c : key) {
    if (t == text.size()) return false;
    if (c == ' ' && text[t] == kSpaceMark[0]) {
      if (text.substr(t, kSpaceMark.size()) != kSpaceMark) return false;
      t += kSpaceMark.size();
    } else {
      if (text[t] != c) return false;
      ++t;
    }
  }
  return t == text.size();
}

void TextTable::build(std::span<const std::string_view> texts, bool fold_spaces) {
  texts_ = texts;
  fold_spaces_ = fold_spaces;
  slots_.assign(std::bit_ceil(2 * texts.size() + 1), Slot{});
  mask_ = slots_.size() - 1;
  std::string scratch;
  for (size_t id = 0; id < texts.size(); ++id) {
    if (texts[id].empty()) continue;
    const uint64_t hash = hash_text(texts[id], scratch);
    uint64_t at = hash & mask_;
    while (slots_[at].id >= 0 && (slots_[at].tag != tag_of(hash) ||
                                  texts[static_cast<size_t>(slots_[at].id)] != texts[id])) {
      at = (at + 1) & mask_;
    }
    slots_[at] = {tag_of(hash), static_cast<int32_t>(id)};
  }
}

int32_t TextTable::find(std::string_view text) const {
  if (text.empty()) return -1;

  std::string scratch;
  const uint64_t hash = hash_text(text, scratch);
  for (uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
    const Slot slot = slots_[at];
    if (slot.id < 0) return -1;
    if (slot.tag == tag_of(hash) && texts_[static_cast<size_t>(slot.id)] == text) return slot.id;
  }
}

}  // namespace nibble
