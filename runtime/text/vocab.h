#pragma once
// The vocabulary of a file, checked: texts, types, ids of the tokens with a role. Everything in it
// is in range and of one length, so that the tokenizers need no further checks.
// Texts are views into the file; a token costs its type, its offset and its slots in the table.
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/text_table.h"
#include "runtime/text/tokenizer.h"

namespace nibble {

struct Vocab {
  StringArray texts;             // [n_vocab]
  std::vector<TokenType> types;  // [n_vocab]
  TextTable table;
  size_t max_text_bytes = 0;
  int32_t bos = -1, eos = -1, unk = -1;
  std::optional<bool> add_bos, add_eos;  // as the file says, if it does
  std::vector<int32_t> eog;              // sorted

  int32_t size() const noexcept { return static_cast<int32_t>(texts.size()); }
  std::string_view text(int32_t id) const noexcept { return texts[static_cast<size_t>(id)]; }
  TokenType type(int32_t id) const noexcept { return types[static_cast<size_t>(id)]; }
  /// unk as what stands for text without a token; -1 where the file names a token with another role
  /// (MPT: its end of text), which text must never turn into.
  int32_t fallback() const noexcept {
    const bool ends = std::binary_search(eog.begin(), eog.end(), unk);
    return unk == bos || unk == eos || ends ? -1 : unk;
  }
  /// Shown only when special tokens are wanted, recognised only where they are parsed.
  bool is_hidden(int32_t id) const noexcept {
    return type(id) == TokenType::control || type(id) == TokenType::unknown;
  }
};

/// Reads tokenizer.ggml.{tokens,token_type,*_token_id,add_*}. fold_spaces: see TextTable.
/// Errors: bad_file for lengths that differ, ids out of range, an empty vocabulary, byte tokens
/// that are not <0xHH>; cancelled.
Vocab read_vocab(const Metadata& meta, bool fold_spaces, const CancelToken* cancel);

/// tokenizer.ggml.NAME; -1 if the file says none: absent, -1, or -1 as 32 bits (writers use all).
/// Error: bad_file for an id that is not below n_vocab.
int32_t read_token_id(const Metadata& meta, std::string_view name, int32_t n_vocab);

/// Error: bad_file if an array does not have one item a token.
void check_array_length(const Metadata& meta, const MetaValue& array, size_t n_vocab);

/// Value of a byte token's text "<0xHH>", nullopt if it is anything else.
std::optional<uint8_t> parse_byte_token(std::string_view text) noexcept;

}  // namespace nibble
