#pragma once
// SentencePiece BPE (tokenizer.ggml.model "llama"): no words, the whole text between special tokens
// is merged; of all pairs that make a token the one with the highest score goes first. Spaces are
// spelled U+2581 in the vocabulary; characters without a token become the tokens of their bytes.
// Kudo and Richardson, "SentencePiece" (2018), and the reference's bpe_model.cc for the order.
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/merge.h"
#include "runtime/text/score_ranks.h"
#include "runtime/text/special_tokens.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/vocab.h"

namespace nibble {

class SpmTokenizer final : public Tokenizer {
 public:
  /// Errors: see Tokenizer::from_metadata.
  SpmTokenizer(const Metadata& meta, const CancelToken* cancel);

  std::vector<int32_t> encode(std::span<const TextSpan> spans, bool add_special) const override;
  std::string piece(int32_t id, bool special) const override;
  std::string decode(std::span<const int32_t> ids, bool special) const override;
  std::string_view token_text(int32_t id) const override { return vocab_.text(id); }
  TokenType token_type(int32_t id) const override { return vocab_.type(id); }
  int32_t find(std::string_view text) const override { return vocab_.table.find(text); }
  using Tokenizer::encode;

 private:
  struct Rule;
  struct Scratch {
    std::vector<MergeSymbol> symbols;
    std::string normalized;
  };
  void set_defaults();
  void find_bytes();
  std::string_view normalize(std::string_view text, std::string& to) const;
  void encode_text(std::string_view text, Scratch& scratch, std::vector<int32_t>& out) const;
  void merge(std::string_view text, size_t max_bytes, std::vector<MergeSymbol>& symbols) const;
  void emit(std::string_view text, int32_t id, std::vector<int32_t>& out) const;
  void emit_character(std::string_view text, std::vector<int32_t>& out) const;
  int32_t find_mergeable(std::string_view text) const noexcept;

  Vocab vocab_;
  SpecialTokens specials_;
  ScoreRanks ranks_;
  bool add_space_prefix_ = true;
  bool remove_extra_spaces_ = false;
  std::array<int32_t, 256> byte_ids_ = {};  // -1: no token
};

}  // namespace nibble
