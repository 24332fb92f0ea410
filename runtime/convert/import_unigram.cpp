// Unigram vocabularies to tokenizer.ggml.*: tokenizer.json whose model is Unigram, and what
// tokenizer.model says about normalizing. What a tokenizer.json does to characters and spaces must
// be what SentencePiece does; anything else is refused by its name.
#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "formats/sentencepiece_model.h"
#include "runtime/convert/base64.h"
#include "runtime/convert/import_tokenizer.h"
#include "runtime/text/vocab.h"

namespace nibble {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581 stands for a space

/// The normalizer and the pre-tokenizer of a tokenizer.json, step by step.
class Steps {
 public:
  explicit Steps(const std::string& file) : file_(file) {}

  void normalizer(JsonValue step) {
    if (!step.exists() || step.is(JsonType::null)) return;
    const std::string_view type = step.find("type").text().value_or("");
    if (type == "Precompiled" && chars_map.empty()) {
      const auto text = step.find("precompiled_charsmap").text().value_or("");
      auto bytes = decode_base64(text);
      if (!bytes) fail(ErrorCode::bad_file, "{}: normalizer: expected Base64, got no such", file_);
      chars_map = std::move(*bytes);
    } else if (type == "Replace" && step.find("pattern").find("Regex").text() == " {2,}" &&
               is_space(step.find("content").text().value_or(""))) {
      joins_spaces_ = true;
    } else if (type == "Strip" && !step.find("strip_left").boolean().value_or(false)) {
      strips_end_ = step.find("strip_right").boolean().value_or(false);
    } else {
      refuse("normalizer", "Precompiled, Replace of spaces by one or Strip at the end", type);
    }
  }

  void pre_tokenizer(JsonValue step) {
    const std::string_view type = step.find("type").text().value_or("none");
    if (type == "WhitespaceSplit") {
      splits_ = true;
    } else if (type == "Metaspace" && step.find("replacement").text() == kMark) {
      has_marks_ = true;
      const auto scheme = step.find("prepend_scheme").text();
      prefix = scheme ? *scheme != "never" : step.find("add_prefix_space").boolean().value_or(true);
    } else {
      refuse("pre_tokenizer", "Metaspace, WhitespaceSplit or both", type);
    }
  }

  /// After all steps. Does it remove extra spaces?
  bool finish(std::vector<std::string>& notes) const {
    if (!has_marks_) refuse("pre_tokenizer", "Metaspace", "none");
    if (splits_ && chars_map.empty()) {
      refuse("normalizer", "Precompiled beside WhitespaceSplit", "none");
    }
    if (strips_end_ && !joins_spaces_ && !splits_) {
      refuse("normalizer", "Strip beside a Replace of spaces by one", "Strip alone");
    }
    if (joins_spaces_ && !strips_end_ && !splits_) {
      notes.emplace_back(
          "the tokenizer keeps a space at the end of a text, which GGUF cannot say beside joining "
          "spaces: it is dropped");
    }
    return joins_spaces_ || splits_;
  }

  std::string chars_map;
  bool prefix = false;

 private:
  static bool is_space(std::string_view text) { return text == " " || text == kMark; }
  [[noreturn]] void refuse(const char* what, const char* expected, std::string_view got) const {
    fail(ErrorCode::unsupported, "{}: {}: expected {}, got {}", file_, what, expected, quoted(got));
  }

  const std::string& file_;
  bool joins_spaces_ = false, strips_end_ = false, splits_ = false, has_marks_ = false;
};

void add_pieces(JsonValue model, const std::string& file, ImportVocab& vocab) {
  const int64_t unk = model.find("unk_id").integer().value_or(-1);
  const bool bytes = model.find("byte_fallback").boolean().value_or(false);
  if (!model.find("vocab").is(JsonType::array)) {
    fail(ErrorCode::bad_file, "{}: model: expected vocab, a list of pieces with scores", file);
  }
  int64_t id = 0;
  for (auto i = model.find("vocab").walk(); i.next(); ++id) {
    auto part = i.value().walk();
    const auto text = part.next() ? part.value().text() : std::nullopt;
    const auto score = part.next() ? part.value().number() : std::nullopt;
    if (!text || !score) {
      fail(ErrorCode::bad_file, "{}: model: piece {}: expected a text and a score", file, id);
    }
    TokenType type = TokenType::normal;
    if (id == unk) type = TokenType::unknown;
    if (bytes && parse_byte_token(*text)) type = TokenType::byte;
    vocab.add(id, *text, type, static_cast<float>(*score));
  }
}

}  // namespace

void write_unigram(GgufHeader& header, bool space_prefix, bool remove_spaces,
                   std::span<const std::byte> chars_map) {
  header.set_string("tokenizer.ggml.model", "t5");
  header.set_string("tokenizer.ggml.pre", "default");
  header.set("tokenizer.ggml.add_space_prefix", space_prefix);
  header.set("tokenizer.ggml.remove_extra_whitespaces", remove_spaces);
  if (chars_map.empty()) return;
  const auto* bytes = reinterpret_cast<const uint8_t*>(chars_map.data());
  header.set_array<uint8_t>("tokenizer.ggml.precompiled_charsmap", {bytes, chars_map.size()});
}

void import_unigram(const TokenizerFiles& files, ImportVocab& vocab, GgufHeader& header,
                    std::vector<std::string>& notes) {
  const std::string file = files.tokenizer_path();
  Steps steps(file);
  const JsonValue normalizer = files.tokenizer.find("normalizer");
  if (normalizer.find("type").text() == "Sequence") {
    for (auto i = normalizer.find("normalizers").walk(); i.next();) steps.normalizer(i.value());
  } else {
    steps.normalizer(normalizer);
  }
  const JsonValue pre = files.tokenizer.find("pre_tokenizer");
  if (pre.find("type").text() == "Sequence") {
    for (auto i = pre.find("pretokenizers").walk(); i.next();) steps.pre_tokenizer(i.value());
  } else {
    steps.pre_tokenizer(pre);
  }
  const bool remove_spaces = steps.finish(notes);
  add_pieces(files.tokenizer.find("model"), file, vocab);
  write_unigram(header, steps.prefix, remove_spaces,
                std::as_bytes(std::span<const char>(steps.chars_map)));
}

}  // namespace nibble
