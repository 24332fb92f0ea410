#pragma once
// Small vocabularies in memory: metadata as a file would give it, with any part replaced or left
// out.
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "formats/tensor_file.h"

namespace nibble::test {

/// Metadata and the memory that its views point into.
class ToyMetadata {
 public:
  ToyMetadata() { meta_.set_file("toy.gguf"); }
  const Metadata& get() const { return meta_; }

  void add_text(const std::string& key, const std::string& text) {
    MetaValue value = make(key, MetaType::string);
    value.text = keep(text);
    meta_.add(std::move(value));
  }
  void add_number(const std::string& key, int64_t number) {
    MetaValue value = make(key, MetaType::i64);
    value.bits = static_cast<uint64_t>(number);
    meta_.add(std::move(value));
  }
  void add_bool(const std::string& key, bool flag) {
    MetaValue value = make(key, MetaType::boolean);
    value.bits = flag ? 1 : 0;
    meta_.add(std::move(value));
  }
  void add_texts(const std::string& key, const std::vector<std::string>& texts) {
    std::string bytes;
    std::vector<uint32_t> offsets;
    for (const std::string& text : texts) {
      offsets.push_back(static_cast<uint32_t>(bytes.size()));
      const uint64_t size = text.size();
      bytes.append(reinterpret_cast<const char*>(&size), sizeof size).append(text);
    }
    offsets.push_back(static_cast<uint32_t>(bytes.size()));
    MetaValue value = make(key, MetaType::array);
    value.item_type = MetaType::string;
    value.count = texts.size();
    value.strings = StringArray(reinterpret_cast<const std::byte*>(keep(bytes).data()), offsets);
    meta_.add(std::move(value));
  }
  template <typename T>
  void add_numbers(const std::string& key, MetaType type, const std::vector<T>& numbers) {
    std::string bytes(numbers.size() * sizeof(T), '\0');
    if (!numbers.empty()) std::memcpy(bytes.data(), numbers.data(), bytes.size());
    MetaValue value = make(key, MetaType::array);
    value.item_type = type;
    value.count = numbers.size();
    value.items = std::as_bytes(std::span<const char>(keep(bytes)));
    meta_.add(std::move(value));
  }

 private:
  static MetaValue make(const std::string& key, MetaType type) {
    MetaValue value;
    value.key = "tokenizer.ggml." + key;
    value.type = type;
    return value;
  }
  const std::string& keep(std::string bytes) { return kept_.emplace_back(std::move(bytes)); }

  std::deque<std::string> kept_;
  Metadata meta_;
};

/// What a vocabulary consists of; tests change a field and look what happens.
struct ToyVocab {
  std::string model, pre;
  std::string chars_map;  // bytes of tokenizer.ggml.precompiled_charsmap; empty: no such key
  std::vector<std::string> tokens, merges;
  std::vector<float> scores;
  std::vector<int32_t> types;
  std::vector<std::pair<std::string, int64_t>> ids;

  std::unique_ptr<ToyMetadata> metadata() const {
    auto meta = std::make_unique<ToyMetadata>();
    meta->add_text("model", model);
    if (!pre.empty()) meta->add_text("pre", pre);
    meta->add_texts("tokens", tokens);
    if (!merges.empty()) meta->add_texts("merges", merges);
    if (!scores.empty()) meta->add_numbers("scores", MetaType::f32, scores);
    if (!types.empty()) meta->add_numbers("token_type", MetaType::i32, types);
    if (!chars_map.empty()) {
      meta->add_numbers("precompiled_charsmap", MetaType::u8,
                        std::vector<uint8_t>(chars_map.begin(), chars_map.end()));
    }
    for (const auto& [key, id] : ids) meta->add_number(key, id);
    return meta;
  }
  void add(const std::string& text, int32_t type = 1, float score = 0) {
    tokens.push_back(text);
    types.push_back(type);
    scores.push_back(score);
  }
};

/// Byte-level BPE: an end token, the 256 bytes, a few merges.
inline ToyVocab toy_bpe() {
  ToyVocab vocab;
  vocab.model = "gpt2";
  vocab.pre = "gpt-2";
  vocab.add("<|end|>", 3);
  int other = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool itself = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    const int c = itself ? byte : other++;
    vocab.add(c < 0x80 ? std::string(1, static_cast<char>(c))
                       : std::string{static_cast<char>(0xC0 | c >> 6),
                                     static_cast<char>(0x80 | (c & 0x3F))});
  }
  for (const char* text : {"ab", "abc", "cd",
                           "\xC4\xA0"
                           "a"})
    vocab.add(text);
  vocab.merges = {"a b", "ab c", "c d", "\xC4\xA0 a"};
  vocab.ids = {{"bos_token_id", 0}, {"eos_token_id", 0}};
  return vocab;
}

/// SentencePiece: unknown, begin, end, the 256 bytes, a few pieces.
inline ToyVocab toy_spm() {
  ToyVocab vocab;
  vocab.model = "llama";
  vocab.add("<unk>", 2);
  vocab.add("<s>", 3);
  vocab.add("</s>", 3);
  for (int byte = 0; byte < 256; ++byte) {
    constexpr const char* kHex = "0123456789ABCDEF";
    vocab.add(std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">", 6);
  }
  float score = 0;
  for (const char* text : {"ab", "abc", "cd",
                           "\xE2\x96\x81"
                           "a",
                           "a", "b", "c", "d", "\xE2\x96\x81"}) {
    vocab.add(text, 1, score--);
  }
  vocab.ids = {{"bos_token_id", 1}, {"eos_token_id", 2}, {"unknown_token_id", 0}};
  return vocab;
}

/// Unigram: unknown, begin, end, a few pieces with scores; bytes: the 256 bytes too.
inline ToyVocab toy_unigram(bool bytes = false) {
  ToyVocab vocab;
  vocab.model = "t5";
  vocab.add("<unk>", 2);
  vocab.add("<s>", 3);
  vocab.add("</s>", 3);
  float score = -1;
  for (const char* text : {"\xE2\x96\x81", "a", "b", "c", "ab", "abc",
                           "\xE2\x96\x81"
                           "a",
                           "bb", "A"}) {
    vocab.add(text, 1, score);
    score -= 0.75f;
  }
  for (int byte = 0; bytes && byte < 256; ++byte) {
    constexpr const char* kHex = "0123456789ABCDEF";
    vocab.add(std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">", 6);
  }
  vocab.ids = {{"bos_token_id", 1}, {"eos_token_id", 2}, {"unknown_token_id", 0}};
  return vocab;
}

/// WordPiece: the roles, letters that start a word and letters inside one.
inline ToyVocab toy_wordpiece() {
  ToyVocab vocab;
  vocab.model = "bert";
  for (const char* text : {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}) vocab.add(text, 3);
  for (const char* text : {"a", "b", "ab", "!", "\xE4\xBD\xA0", "7"}) {
    vocab.add(std::string("\xE2\x96\x81") + text);
    vocab.add(text);
  }
  vocab.ids = {{"cls_token_id", 2}, {"seperator_token_id", 3}, {"unknown_token_id", 1}};
  return vocab;
}

}  // namespace nibble::test
