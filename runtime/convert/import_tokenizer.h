#pragma once
// A folder's tokenizer as tokenizer.ggml.*: byte-level BPE (import_bpe.cpp) and WordPiece
// (import_wordpiece.cpp) from tokenizer.json; SentencePiece from tokenizer.model or from a
// tokenizer.json that was made of one (import_spm.cpp; Unigram: import_unigram.cpp).
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/gguf.h"
#include "formats/hf_folder.h"
#include "runtime/model/hf_config.h"
#include "runtime/text/tokenizer.h"

namespace nibble {

/// The files of a folder that say how text becomes tokens. Absent files are absent values.
struct TokenizerFiles {
  std::string folder;  // for messages
  JsonValue tokenizer, tokenizer_config, generation_config, added_tokens;
  bool has_model = false;
  std::span<const std::byte> model = {};  // tokenizer.model
  std::string_view chat_template = {};

  static TokenizerFiles of(const HfFolder& folder);
  std::string tokenizer_path() const { return folder + "/tokenizer.json"; }
  std::string model_path() const { return folder + "/tokenizer.model"; }
};

/// A vocabulary as it grows: one slot a token, empty ones become "[PADn]".
class ImportVocab {
 public:
  /// file: for messages.
  ImportVocab(int64_t n_vocab, std::string file);

  /// A token of the model. Error: bad_file for an id that is out of range or taken by another text.
  void add(int64_t id, std::string_view text, TokenType type, float score);
  /// An added token, which replaces what is there.
  void replace(int64_t id, std::string_view text, TokenType type);
  /// -1 if there is none.
  int64_t find(std::string_view text) const;
  bool has(int64_t id) const noexcept;
  int64_t size() const noexcept { return static_cast<int64_t>(texts_.size()); }
  const std::string& text(int64_t id) const noexcept { return texts_[static_cast<size_t>(id)]; }
  TokenType type(int64_t id) const noexcept {
    return static_cast<TokenType>(types_[static_cast<size_t>(id)]);
  }
  /// tokenizer.ggml.tokens, token_type and, where wanted, scores.
  void write(GgufHeader& header, bool with_scores);

 private:
  void check(int64_t id, std::string_view text) const;

  std::string file_;
  std::vector<std::string> texts_;
  std::vector<int32_t> types_;  // 0: an empty slot
  std::vector<float> scores_;
  std::unordered_map<std::string, int64_t> ids_;
};

/// What the importer of a model found besides its vocabulary.
struct ImportedModel {
  bool has_scores = false;
  bool adds_bos = false, adds_eos = false;  // if no file says whether
  int64_t unk = -1, bos = -1, eos = -1;     // if no config names them
};

/// All of tokenizer.*. n_vocab: rows of the embedding; notes: a sentence each for what GGUF cannot
/// say. Errors: bad_file, unsupported (a model, normalizer or pre-tokenizer, by name), not_found.
void import_tokenizer(const TokenizerFiles& files, const HfConfig& config, int64_t n_vocab,
                      GgufHeader& header, std::vector<std::string>& notes);

/// tokenizer.json whose model is byte-level BPE.
bool is_byte_level(JsonValue tokenizer) noexcept;
void import_bpe(const TokenizerFiles& files, ImportVocab& vocab, GgufHeader& header,
                std::vector<std::string>& notes);
ImportedModel import_spm_model(const TokenizerFiles& files, ImportVocab& vocab, GgufHeader& header);
void import_spm_json(const TokenizerFiles& files, ImportVocab& vocab, GgufHeader& header,
                     std::vector<std::string>& notes);
void import_wordpiece(const TokenizerFiles& files, ImportVocab& vocab, GgufHeader& header);
void import_unigram(const TokenizerFiles& files, ImportVocab& vocab, GgufHeader& header,
                    std::vector<std::string>& notes);

/// The keys of a Unigram model besides its vocabulary. chars_map: empty for none.
void write_unigram(GgufHeader& header, bool space_prefix, bool remove_spaces,
                   std::span<const std::byte> chars_map);

}  // namespace nibble
