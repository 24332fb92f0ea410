#pragma once
// tokenizer.model, the file of SentencePiece: a protocol buffer (sentencepiece_model.proto). Only
// the fields that a tokenizer needs are read, all others are stepped over by their length:
//
//   1: piece, repeated { 1: text, 2: float score, 3: type }
//   2: trainer  { 3: model type, 24: spaces as suffix, 40-43: ids of unknown, begin, end, padding }
//   3: normalizer { 1: name, 2: compiled character map, 3: dummy prefix, 4: remove extra spaces,
//                   5: escape spaces }
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

struct SentencePiece {
  std::string_view text;  // into the file
  float score = 0;
  int32_t type = 1;  // 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte: as GGUF's
};

struct SentencePieceModel {
  enum class Kind : int32_t { unigram = 1, bpe = 2, word = 3, character = 4 };
  std::vector<SentencePiece> pieces;
  Kind kind = Kind::unigram;
  int32_t unk = 0, bos = 1, eos = 2, pad = -1;  // the format's defaults
  std::string_view normalizer;                  // "identity", "nmt_nfkc" ...
  std::span<const std::byte> chars_map;         // into the file; empty: only spaces change
  bool escapes_spaces = true;                   // a space becomes U+2581
  bool space_behind = false;                    // a word's space stands behind it
  bool add_dummy_prefix = true;
  bool remove_extra_spaces = true;
};

/// Texts are views into bytes, which must outlive the result; name is used in messages. Error:
/// bad_file.
SentencePieceModel read_sentencepiece_model(std::span<const std::byte> bytes,
                                            const std::string& name);

}  // namespace nibble
