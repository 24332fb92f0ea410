// Reading and checking tokenizer.ggml.*; which tokens end a generation.
#include "runtime/text/vocab.h"

#include <algorithm>
#include <limits>

#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "formats/tensor_file.h"

namespace nibble {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";

std::string key_of(std::string_view name) {
  return std::string(kPrefix).append(name);
}

// Texts that end a generation whatever key names them: files often name only one of their end
// tokens. Plain: so unmistakable that they count even where the file forgot to call them control
// tokens. "</s>" and "<eos>" count only as control tokens: "</s>" is HTML in Gemma's vocabulary.
struct EndText {
  std::string_view text;
  bool plain;
};
constexpr EndText kEndTexts[] = {
    {"<|im_end|>", true},
    {"<|eot_id|>", true},
    {"<|eom_id|>", true},
    {"<|end|>", true},
    {"<|endoftext|>", true},
    {"<|end_of_text|>", true},
    {"<|return|>", true},
    {"<|call|>", true},
    {"<|calls|>", true},
    {"<|flush|>", true},
    {"<|EOT|>", true},
    {"<end_of_turn>", true},
    {"<end_of_utterance>", true},
    {"<turn|>", true},
    {"<|tool_response>", true},
    {"<\xEF\xBD\x9C"
     "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
     true},
    {"[e~[", false},
    {"<EOT>", false},
    {"_<EOT>", false},
    {"[EOT]", false},
    {"[EOS]", false},
    {"<eos>", false},
    {"</s>", false},
};

const StringArray& read_texts(const Metadata& meta) {
  const std::string key = key_of("tokens");
  const StringArray* texts = meta.get_strings(key);
  if (texts == nullptr) {
    fail(ErrorCode::bad_file, "{}: metadata key {}: expected the vocabulary, got no such key",
         meta.file(), quoted(key));
  }
  if (texts->size() == 0) {
    fail(ErrorCode::bad_file, "{}: metadata key {}: expected at least one token, got none",
         meta.file(), quoted(key));
  }
  if (texts->size() > static_cast<size_t>(std::numeric_limits<int32_t>::max() / 4)) {
    fail(ErrorCode::bad_file, "{}: metadata key {}: expected less than 2^29 tokens, got {}",
         meta.file(), quoted(key), texts->size());
  }
  return *texts;
}

std::vector<TokenType> read_types(const Metadata& meta, size_t n_vocab) {
  const std::string key = key_of("token_type");
  const MetaValue* value = meta.find(key);
  if (value == nullptr) return std::vector<TokenType>(n_vocab, TokenType::normal);
  if (value->type == MetaType::array) check_array_length(meta, *value, n_vocab);
  std::vector<TokenType> types(n_vocab);
  const auto check = [&](size_t i, int64_t item) {
    if (item >= 0 && item <= 6) return;
    fail(ErrorCode::bad_file, "{}: metadata key {}: item {}: expected 0..6, got {}", meta.file(),
         quoted(key), i, item);
  };
  // The usual case without a detour over 8-byte integers.
  if (value->type == MetaType::array && value->item_type == MetaType::i32) {
    for (size_t i = 0; i < n_vocab; ++i) {
      const auto item = load_le<int32_t>(value->items.data() + i * sizeof(int32_t));
      check(i, item);
      types[i] = static_cast<TokenType>(item);
    }
    return types;
  }
  const std::optional<std::vector<int64_t>> items = meta.get_ints(key);
  for (size_t i = 0; i < n_vocab; ++i) {
    check(i, (*items)[i]);
    types[i] = static_cast<TokenType>((*items)[i]);
  }
  return types;
}

void check_byte_tokens(const Metadata& meta, const Vocab& vocab) {
  for (int32_t id = 0; id < vocab.size(); ++id) {
    if (vocab.type(id) != TokenType::byte || parse_byte_token(vocab.text(id))) continue;
    fail(ErrorCode::bad_file, "{}: byte token {}: expected <0xHH>, got {}", meta.file(), id,
         quoted(vocab.text(id)));
  }
}

void find_end_tokens(const Metadata& meta, Vocab& vocab) {
  std::vector<int32_t>& eog = vocab.eog;
  for (const std::string_view name : {"eot_token_id", "eom_token_id"}) {
    eog.push_back(read_token_id(meta, name, vocab.size()));
  }
  eog.push_back(vocab.eos);
  bool returns = false, calls = false, flushes = false;
  for (const EndText& end : kEndTexts) {
    const int32_t id = vocab.table.find(end.text);
    if (id < 0 || !(end.plain || vocab.type(id) == TokenType::control)) continue;
    eog.push_back(id);
    vocab.types[static_cast<size_t>(id)] = TokenType::control;
    returns = returns || end.text == "<|return|>";
    calls = calls || end.text == "<|call|>" || end.text == "<|calls|>";
    flushes = flushes || end.text == "<|flush|>";
  }
  // In the formats that have <|return|> or <|flush|>, <|end|> only ends a message.
  if (calls && (returns || flushes)) std::erase(eog, vocab.table.find("<|end|>"));
  std::erase(eog, -1);
  std::sort(eog.begin(), eog.end());
  eog.erase(std::unique(eog.begin(), eog.end()), eog.end());
}

}  // namespace

int32_t read_token_id(const Metadata& meta, std::string_view name, int32_t n_vocab) {
  const std::string key = key_of(name);
  const std::optional<int64_t> id = meta.get_int(key);
  if (!id || *id == -1 || *id == std::numeric_limits<uint32_t>::max()) return -1;
  if (*id < 0 || *id >= n_vocab) {
    fail(ErrorCode::bad_file, "{}: metadata key {}: expected a token id below {}, got {}",
         meta.file(), quoted(key), n_vocab, *id);
  }
  return static_cast<int32_t>(*id);
}

void check_array_length(const Metadata& meta, const MetaValue& array, size_t n_vocab) {
  if (array.count == n_vocab) return;
  fail(ErrorCode::bad_file, "{}: metadata key {}: expected {} items, one a token, got {}",
       meta.file(), quoted(array.key), n_vocab, array.count);
}

std::optional<uint8_t> parse_byte_token(std::string_view text) noexcept {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    int digit = 0;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (c >= 'A' && c <= 'F') {
      digit = c - 'A' + 10;
    } else if (c >= 'a' && c <= 'f') {
      digit = c - 'a' + 10;
    } else {
      return std::nullopt;
    }
    value = value * 16 + digit;
  }
  return static_cast<uint8_t>(value);
}

Vocab read_vocab(const Metadata& meta, bool fold_spaces, const CancelToken* cancel) {
  const StringArray& texts = read_texts(meta);
  Vocab vocab;
  vocab.types = read_types(meta, texts.size());
  vocab.texts = texts;
  for (size_t i = 0; i < texts.size(); ++i) {
    vocab.max_text_bytes = std::max(vocab.max_text_bytes, texts[i].size());
  }
  vocab.table.build(texts, fold_spaces, cancel);
  check_byte_tokens(meta, vocab);
  vocab.bos = read_token_id(meta, "bos_token_id", vocab.size());
  vocab.eos = read_token_id(meta, "eos_token_id", vocab.size());
  vocab.unk = read_token_id(meta, "unknown_token_id", vocab.size());
  vocab.add_bos = meta.get_bool(key_of("add_bos_token"));
  vocab.add_eos = meta.get_bool(key_of("add_eos_token"));
  find_end_tokens(meta, vocab);
  return vocab;
}

}  // namespace nibble
