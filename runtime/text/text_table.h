#pragma once
// Token text -> id: one flat open-addressing table over views into the file. Built for every start
// of the program, and fresh memory costs more than the work on it: 4 bytes a slot, in which a piece
// of the hash stands beside the id, so that other texts are hardly ever compared.
//
// With folded spaces (SentencePiece vocabularies) the key of a text is the text with every U+2581
// written as one space: what a user typed is then looked up as it stands, without a copy that is
// three times as long.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tensor_file.h"
#include "runtime/threads/cancel.h"

namespace nibble {

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

class TextTable {
 public:
  /// texts: at most 2^29; their bytes must outlive the table. Of equal texts the last id is kept;
  /// empty texts are in no table. Error: cancelled.
  void build(const StringArray& texts, bool fold_spaces, const CancelToken* cancel);

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
      const uint32_t slot = slots_[at];
      if (slot == kFree) return -1;
      if (!may_be(slot, hash)) continue;
      const int32_t id = id_of(slot);
      if (key_equals(texts_[static_cast<size_t>(id)], key) && accept(id)) return id;
    }
  }

 private:
  static constexpr uint32_t kFree = 0;

  // A slot: id + 1 in the low id_bits_, above them what a hash has there in its upper half (the
  // place in the table comes from the lower half).
  uint32_t slot_of(uint64_t hash, size_t id) const noexcept {
    return static_cast<uint32_t>(hash >> 32) >> id_bits_ << id_bits_ |
           static_cast<uint32_t>(id + 1);
  }
  bool may_be(uint32_t slot, uint64_t hash) const noexcept {
    return (slot ^ static_cast<uint32_t>(hash >> 32)) >> id_bits_ == 0;
  }
  int32_t id_of(uint32_t slot) const noexcept {
    return static_cast<int32_t>(slot & ((uint32_t{1} << id_bits_) - 1)) - 1;
  }

  uint64_t hash_of(std::string_view key) const noexcept;
  void insert(size_t id, uint64_t hash) noexcept;
  int32_t find_hashed(std::string_view text, uint64_t hash) const noexcept;
  uint64_t hash_text(std::string_view text, std::string& scratch) const;
  bool key_equals(std::string_view text, std::string_view key) const noexcept;

  StringArray texts_;
  std::vector<uint32_t> slots_ = {kFree};  // [power of two], at most half full
  uint64_t mask_ = 0;
  uint64_t seed_ = 0;  // differs from run to run, so that no file can be made of colliding texts
  int id_bits_ = 1;
  bool fold_spaces_ = false;
};

/// text with every U+2581 written as a space.
void fold_spaces(std::string_view text, std::string& to);

}  // namespace nibble
