#pragma once
// The table of pre-tokenizers: how a byte-level BPE model cuts text into words before merging.
// GGUF names the row in tokenizer.ggml.pre; the patterns are those of the models' tokenizer.json.
#include <span>
#include <string_view>

namespace nibble {

struct PreType {
  std::string_view name;
  /// Applied one after the other, each to the pieces that the one before left: a match is a piece,
  /// and so is the text between two matches. \s means Unicode's White_Space.
  std::span<const std::string_view> patterns;
  bool ignore_merges;  // a word that is a token is taken as it is
  bool add_bos;        // if the file does not say
};

std::span<const PreType> pre_types() noexcept;

/// nullptr if there is no row of this name. A file without tokenizer.ggml.pre means "default".
const PreType* find_pre_type(std::string_view name) noexcept;

}  // namespace nibble
