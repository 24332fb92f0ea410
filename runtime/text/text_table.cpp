// The hash table of token texts (XXH3, linear probing).
#include "runtime/text/text_table.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "runtime/text/throw_if_cancelled.h"

namespace nibble {
namespace {

constexpr size_t kBlock = 16;          // look-ups whose cache misses overlap
constexpr size_t kCancelStep = 65536;  // texts between two looks at the token

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

uint64_t TextTable::hash_of(std::string_view key) const noexcept {
  return XXH3_64bits_withSeed(key.data(), key.size(), seed_);
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

void TextTable::build(const StringArray& texts, bool fold_spaces, const CancelToken* cancel) {
  texts_ = texts;
  fold_spaces_ = fold_spaces;
  slots_.assign(std::bit_ceil(std::max<size_t>(2 * texts.size(), 1)), kFree);
  mask_ = slots_.size() - 1;
  seed_ = reinterpret_cast<uintptr_t>(slots_.data());
  id_bits_ = static_cast<int>(std::bit_width(texts.size()));
  std::string scratch;
  std::array<uint64_t, kBlock> hashes = {};
  for (size_t first = 0; first < texts.size(); first += kBlock) {
    if (first % kCancelStep == 0) throw_if_cancelled(cancel);
    const size_t n = std::min(kBlock, texts.size() - first);
    for (size_t i = 0; i < n; ++i) {
      hashes[i] = hash_text(texts[first + i], scratch);
      __builtin_prefetch(&slots_[hashes[i] & mask_], 1);
    }
    for (size_t i = 0; i < n; ++i) insert(first + i, hashes[i]);
  }
}

void TextTable::insert(size_t id, uint64_t hash) noexcept {
  const std::string_view text = texts_[id];
  if (text.empty()) return;
  uint64_t at = hash & mask_;
  for (; slots_[at] != kFree; at = (at + 1) & mask_) {
    if (may_be(slots_[at], hash) && texts_[static_cast<size_t>(id_of(slots_[at]))] == text) break;
  }
  slots_[at] = slot_of(hash, id);
}

int32_t TextTable::find_hashed(std::string_view text, uint64_t hash) const noexcept {
  for (uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
    const uint32_t slot = slots_[at];
    if (slot == kFree) return -1;
    if (may_be(slot, hash) && texts_[static_cast<size_t>(id_of(slot))] == text) return id_of(slot);
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
      const uint32_t slot = slots_[hashes[i] & mask_];
      if (slot != kFree) __builtin_prefetch(texts_[static_cast<size_t>(id_of(slot))].data());
    }
    for (size_t i = 0; i < n; ++i) ids[first + i] = find_hashed(texts[first + i], hashes[i]);
  }
}

}  // namespace nibble
