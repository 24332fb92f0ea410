#pragma once
// The compiled character map of SentencePiece's normalizer (nmt_nfkc and the like), as a model's
// file carries it: which characters, alone or in a row, become which text. Layout: bytes of the
// trie (u32), the trie (a double array of u32 units, little-endian), then the texts, each ended by
// a zero byte; the trie's values are offsets into them.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

class CharsMap {
 public:
  /// No map: every text stays.
  CharsMap() = default;
  /// Views into bytes, which must outlive the map. file: for messages. Error: bad_file.
  CharsMap(std::span<const std::byte> bytes, const std::string& file);

  struct Match {
    size_t length = 0;      // bytes of the text that the map replaces; 0: it has nothing for them
    std::string_view text;  // by this
  };
  /// The longest entry that text starts with. Bounded by the longest entry, 64 bytes.
  Match match(std::string_view text) const noexcept;

 private:
  std::vector<uint32_t> units_;
  std::string_view texts_;
};

}  // namespace nibble
