#pragma once
// Byte-level byte-pair encoding (GPT-2 and its descendants): text is cut into words by the
// pre-type's patterns, each word's bytes are merged in the order of the merge list. Any bytes can
// be encoded and come back the same, as long as the vocabulary has a token for each byte; a byte
// without one is encoded as U+FFFD.
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/bpe_merges.h"
#include "runtime/text/pre_types.h"
#include "runtime/text/special_tokens.h"
#include "runtime/text/splitter.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/vocab.h"

namespace nibble {

class BpeTokenizer final : public Tokenizer {
 public:
  /// Errors: see Tokenizer::from_metadata.
  BpeTokenizer(const Metadata& meta, const PreType& pre, const CancelToken* cancel);

  std::vector<int32_t> encode(std::span<const TextSpan> spans, bool add_special) const override;
  std::string piece(int32_t id, bool special) const override;
  std::string decode(std::span<const int32_t> ids, bool special) const override;
  std::string_view token_text(int32_t id) const override { return vocab_.text(id); }
  TokenType token_type(int32_t id) const override { return vocab_.type(id); }
  int32_t find(std::string_view text) const override { return vocab_.table.find(text); }
  using Tokenizer::encode;

 private:
  struct Scratch;
  void find_bytes();
  void encode_text(std::string_view text, Scratch& scratch, std::vector<int32_t>& out) const;
  void encode_word(std::string_view word, Scratch& scratch, std::vector<int32_t>& out) const;
  void merge_short(std::string_view word, std::vector<int32_t>& out) const;
  void merge_long(std::string_view word, Scratch& scratch, std::vector<int32_t>& out) const;
  int32_t whole_word(std::string_view word, Scratch& scratch) const;
  void emit(int32_t symbol, std::vector<int32_t>& out) const;
  void append_piece(std::string& to, int32_t id, bool special) const;

  Vocab vocab_;
  BpeMerges merges_;
  SpecialTokens specials_;
  Splitter splitter_;
  bool ignore_merges_;
  bool has_all_bytes_ = true;
  std::array<int32_t, 256> byte_ids_ = {};  // -1: no token
};

}  // namespace nibble
