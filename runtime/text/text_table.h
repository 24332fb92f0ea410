#pragma once
// Token text -> id: one flat open-addressing table over views into the file. Built for every start
// of the program, so it allocates once and touches each text once.
//
// With folded spaces (SentencePiece vocabularies) the key of a text is the text with every U+2581
// written as one space: what a user typed is then looked up as it stands, without a copy that is
// three times as long.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

class TextTable {
 public:
  /// texts: [n_vocab], must outlive the table. Of equal texts the last id is kept; empty texts are
  /// in no table.
  void build(std::span<const std::string_view> texts, bool fold_spaces);

  /// Id of exactly this spelling, -1 if there is none.
  int32_t find(std::string_view text) const;
  /// The same for many texts, for tables without folded spaces: the reads of a block overlap, so
  /// that a big vocabulary is not a chain of cache misses. ids: [texts]
  void find_all(std::span<const std::string_view> texts, std::span<int32_t> ids) const noexcept;

  /// Id of the first token whose key is `key` and for which accept(id) holds, else -1.
  template <typename Accept>
  int32_t find_key(std::string_view key, const Accept& accept) const noexcept {
    const uint64_t hash = hash_of(key);
    for (uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot slot = slots_[at];
      if (slot.id < 0) return -1;
      if (slot.tag == tag_of(hash) && key_equals(texts_[static_cast<size_t>(slot.id)], key) &&
          accept(slot.id)) {
        return slot.id;
      }
    }
  }

 private:
  struct Slot {
    uint32_t tag = 0;
    int32_t id = -1;
  };

  static uint64_t hash_of(std::string_view key) noexcept;
  static uint32_t tag_of(uint64_t hash) noexcept { return static_cast<uint32_t>(hash >> 32); }
  int32_t find_hashed(std::string_view text, uint64_t hash) const noexcept;
  uint64_t hash_text(std::string_view text, std::string& scratch) const;
  bool key_equals(std::string_view text, std::string_view key) const noexcept;

  std::span<const std::string_view> texts_;
  std::vector<Slot> slots_ = std::vector<Slot>(1);  // [power of two], at most half full
  uint64_t mask_ = 0;
  bool fold_spaces_ = false;
};

/// text with every U+2581 written as a space.
void fold_spaces(std::string_view text, std::string& to);

}  // namespace nibble
