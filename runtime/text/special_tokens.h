#pragma once
// Tokens that are recognised by their text before anything else splits it: user-defined tokens
// everywhere, control and unknown tokens only where a span asks for it. The leftmost match wins,
// among those the longest.
//
// The texts are kept sorted; a match narrows the range of candidates byte by byte. A step costs a
// binary search, and the number of steps at one position is bounded by kMaxSpecialBytes.
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/vocab.h"

namespace nibble {

inline constexpr size_t kMaxSpecialBytes = 1024;

struct SpecialToken {
  std::string_view text;
  int32_t id = -1;
  bool user_defined = false;  // recognised everywhere
  bool eats_left = false;     // white space before it belongs to it
  bool eats_right = false;    // white space behind it belongs to it
};

class SpecialTokens {
 public:
  /// vocab must outlive it. Error: bad_file for a text over kMaxSpecialBytes.
  SpecialTokens(const Metadata& meta, const Vocab& vocab);

  /// Longest token that starts at text[at]; nullptr if none. Tokens that are not user-defined must
  /// end at or before special_end (pass `at` to allow none).
  const SpecialToken* match(std::string_view text, size_t at, size_t special_end) const noexcept;

  /// May a token start with this byte?
  bool starts(char first) const noexcept {
    const auto byte = static_cast<uint8_t>(first);
    return first_[byte] != first_[byte + size_t{1}];
  }

 private:
  void set_spaces(const Metadata& meta);

  std::vector<SpecialToken> tokens_;      // sorted by text, texts differ
  std::array<uint32_t, 257> first_ = {};  // tokens that start with byte b: [first_[b], first_[b+1])
};

/// The spans of a prompt as one text, and where in it special tokens are parsed.
class JoinedText {
 public:
  /// Of one span a view is kept, else a copy. Error: bad_argument for more than 2^31 - 2 bytes.
  explicit JoinedText(std::span<const TextSpan> spans);
  JoinedText(const JoinedText&) = delete;
  JoinedText& operator=(const JoinedText&) = delete;

  std::string_view text() const noexcept { return text_; }

  /// Cuts the text at special tokens, in order: on_text(string_view) for what lies
  /// between (never empty), on_token(id) for each token.
  template <typename OnText, typename OnToken>
  void cut(const SpecialTokens& specials, const OnText& on_text, const OnToken& on_token) const {
    size_t begin = 0;   // of text not handed out yet
    size_t region = 0;  // first region that does not end before `at`
    for (size_t at = 0; at < text_.size(); ++at) {
      if (!specials.starts(text_[at])) continue;
      while (region < regions_.size() && regions_[region].end <= at) ++region;
      const bool inside = region < regions_.size() && regions_[region].begin <= at;
      const SpecialToken* token = specials.match(text_, at, inside ? regions_[region].end : at);
      if (token == nullptr) continue;
      size_t end = at;
      while (token->eats_left && end > begin && is_white(text_[end - 1])) --end;
      if (end > begin) on_text(text_.substr(begin, end - begin));
      on_token(token->id);
      begin = at + token->text.size();
      while (token->eats_right && begin < text_.size() && is_white(text_[begin])) ++begin;
      at = begin - 1;
    }
    if (begin < text_.size()) on_text(text_.substr(begin));
  }

 private:
  struct Region {
    size_t begin = 0, end = 0;
  };
  static bool is_white(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

  std::string joined_;
  std::string_view text_;
  std::vector<Region> regions_;  // where special tokens are parsed: ascending, apart
};

}  // namespace nibble
