#pragma once
// SentencePiece Unigram (tokenizer.ggml.model "t5"): a text is normalized, and of all ways to cover
// it with pieces the one with the highest sum of scores is taken (Viterbi). A character without a
// piece is the unknown token, runs of them one token, or the tokens of its bytes where the
// vocabulary has those. Kudo, "Subword Regularization" (2018).
//
// Sums are float and compared as the reference's unigram_model.cc does, so that ties fall alike.
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/chars_map.h"
#include "runtime/text/piece_trie.h"
#include "runtime/text/special_tokens.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/vocab.h"

namespace nibble {

class UnigramTokenizer final : public Tokenizer {
 public:
  /// Errors: see Tokenizer::from_metadata; bad_file too for a piece of more than 1024 bytes and for
  /// scores that are no numbers.
  UnigramTokenizer(const Metadata& meta, const CancelToken* cancel);

  std::vector<int32_t> encode(std::span<const TextSpan> spans, bool add_special) const override;
  std::string piece(int32_t id, bool special) const override;
  std::string decode(std::span<const int32_t> ids, bool special) const override;
  std::string_view token_text(int32_t id) const override { return vocab_.text(id); }
  TokenType token_type(int32_t id) const override { return vocab_.type(id); }
  int32_t find(std::string_view text) const override { return vocab_.table.find(text); }
  using Tokenizer::encode;

 private:
  struct Best;
  struct Scratch;
  void read_scores(const Metadata& meta);
  void set_roles();
  void find_bytes();
  std::string_view normalized_front(std::string_view text, size_t& length) const noexcept;
  void normalize(std::string_view text, std::string& to) const;
  void encode_text(std::string_view text, Scratch& scratch, std::vector<int32_t>& out) const;
  void emit_unknown(std::string_view text, bool again, std::vector<int32_t>& out) const;

  Vocab vocab_;
  SpecialTokens specials_;
  CharsMap chars_map_;
  PieceTrie trie_;
  std::vector<float> scores_;  // [n_vocab]
  float unk_score_ = 0;
  bool add_space_prefix_ = true;
  bool remove_extra_spaces_ = true;
  bool has_all_bytes_ = false;
  std::array<int32_t, 256> byte_ids_ = {};
};

}  // namespace nibble
