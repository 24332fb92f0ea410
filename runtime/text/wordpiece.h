#pragma once
// WordPiece (tokenizer.ggml.model "bert"): text is normalized (accents and capitals may go), cut at
// white space, punctuation and CJK characters, and each word is covered by the longest pieces from
// its start on. In the file a piece that starts a word has U+2581 before it, any other stands bare.
// Devlin et al., "BERT" (2018). Lossy by design: decode() gives the words of the text, not its
// bytes.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/special_tokens.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/vocab.h"

namespace nibble {

class WordPieceTokenizer final : public Tokenizer {
 public:
  /// Errors: see Tokenizer::from_metadata.
  WordPieceTokenizer(const Metadata& meta, const CancelToken* cancel);

  std::vector<int32_t> encode(std::span<const TextSpan> spans, bool add_special) const override;
  std::string piece(int32_t id, bool special) const override;
  std::string decode(std::span<const int32_t> ids, bool special) const override;
  std::string_view token_text(int32_t id) const override { return vocab_.text(id); }
  TokenType token_type(int32_t id) const override { return vocab_.type(id); }
  int32_t find(std::string_view text) const override { return vocab_.table.find(text); }
  using Tokenizer::encode;

 private:
  struct Words;
  void set_roles(const Metadata& meta);
  void encode_text(std::string_view text, std::vector<int32_t>& out) const;
  void encode_word(std::string_view word, std::vector<int32_t>& out) const;
  int32_t longest(std::string_view rest, size_t shortest, size_t& length) const noexcept;

  Vocab vocab_;
  SpecialTokens specials_;
  bool lowercase_ = true;
  bool strip_accents_ = true;
};

}  // namespace nibble
