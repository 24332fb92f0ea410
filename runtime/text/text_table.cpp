// The hash table of token texts (XXH3, linear probing).
#include "runtime/text/text_table.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace nibble {
namespace {

constexpr size_t kBlock = 16;  // look-ups whose cache misses overlap

}  // namespace

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
  std::array<uint64_t, kBlock> hashes = {};
  for (size_t first = 0; first < texts.size(); first += kBlock) {
    const size_t n = std::min(kBlock, texts.size() - first);
    for (size_t i = 0; i < n; ++i) {
      hashes[i] = hash_text(texts[first + i], scratch);
      __builtin_prefetch(&slots_[hashes[i] & mask_], 1);
    }
    for (size_t i = 0; i < n; ++i) {
      const std::string_view text = texts[first + i];
      if (text.empty()) continue;
      uint64_t at = hashes[i] & mask_;
      while (slots_[at].id >= 0 && (slots_[at].tag != tag_of(hashes[i]) ||
                                    texts[static_cast<size_t>(slots_[at].id)] != text)) {
        at = (at + 1) & mask_;
      }
      slots_[at] = {tag_of(hashes[i]), static_cast<int32_t>(first + i)};
    }
  }
}

int32_t TextTable::find_hashed(std::string_view text, uint64_t hash) const noexcept {
  for (uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
    const Slot slot = slots_[at];
    if (slot.id < 0) return -1;
    if (slot.tag == tag_of(hash) && texts_[static_cast<size_t>(slot.id)] == text) return slot.id;
  }
}

int32_t TextTable::find(std::string_view text) const {
  if (text.empty()) return -1;
  std::string scratch;
  return find_hashed(text, hash_text(text, scratch));
}

void TextTable::find_all(std::span<const std::string_view> texts,
                         std::span<int32_t> ids) const noexcept {
  std::array<uint64_t, kBlock> hashes = {};
  for (size_t first = 0; first < texts.size(); first += kBlock) {
    const size_t n = std::min(kBlock, texts.size() - first);
    for (size_t i = 0; i < n; ++i) {
      hashes[i] = hash_of(texts[first + i]);
      __builtin_prefetch(&slots_[hashes[i] & mask_]);
    }
    for (size_t i = 0; i < n; ++i) {
      const Slot slot = slots_[hashes[i] & mask_];
      if (slot.id >= 0) __builtin_prefetch(texts_[static_cast<size_t>(slot.id)].data());
    }
    for (size_t i = 0; i < n; ++i) ids[first + i] = find_hashed(texts[first + i], hashes[i]);
  }
}

}  // namespace nibble
