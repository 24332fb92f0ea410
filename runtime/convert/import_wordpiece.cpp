// tokenizer.json of WordPiece to tokenizer.ggml.*. GGUF marks the pieces that start a word (U+2581
// before them) where the source marks the others ("##").
#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "runtime/convert/import_tokenizer.h"

namespace nibble {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581
constexpr std::string_view kContinues = "##";

[[noreturn]] void refuse(const std::string& file, std::string_view what, std::string_view expected,
                         std::string_view got) {
  fail(ErrorCode::unsupported, "{}: {}: expected {}, got {}", file, what, expected, quoted(got));
}

void import_normalizer(JsonValue normalizer, const std::string& file, GgufHeader& header) {
  const std::string_view type = normalizer.find("type").text().value_or("none");
  if (type != "BertNormalizer") refuse(file, "normalizer", "BertNormalizer", type);
  for (const char* key : {"clean_text", "handle_chinese_chars"}) {
    if (!normalizer.find(key).boolean().value_or(true)) {
      refuse(file, "normalizer", std::string("BertNormalizer with ") + key, "one without");
    }
  }
  const bool lower = normalizer.find("lowercase").boolean().value_or(true);
  const bool strip = normalizer.find("strip_accents").boolean().value_or(lower);
  header.set("tokenizer.ggml.normalizer.lowercase", lower);
  header.set("tokenizer.ggml.normalizer.strip_accents", strip);
}

}  // namespace

void import_wordpiece(const TokenizerFiles& files, ImportVocab& vocab, GgufHeader& header) {
  const std::string file = files.tokenizer_path();
  const JsonValue model = files.tokenizer.find("model");
  const std::string_view prefix = model.find("continuing_subword_prefix").text().value_or("##");
  if (prefix != kContinues) refuse(file, "model: continuing_subword_prefix", "##", prefix);
  const int64_t most = model.find("max_input_chars_per_word").integer().value_or(100);
  if (most != 100) {
    refuse(file, "model: max_input_chars_per_word", "100", std::to_string(most));
  }
  if (!model.find("vocab").is(JsonType::object)) {
    fail(ErrorCode::bad_file, "{}: model: expected vocab", file);
  }
  const JsonValue pre = files.tokenizer.find("pre_tokenizer");
  const std::string_view pre_type = pre.find("type").text().value_or("none");
  if (pre_type != "BertPreTokenizer") refuse(file, "pre_tokenizer", "BertPreTokenizer", pre_type);
  header.set_string("tokenizer.ggml.model", "bert");
  header.set_string("tokenizer.ggml.pre", "default");
  import_normalizer(files.tokenizer.find("normalizer"), file, header);
  const std::string_view unk = model.find("unk_token").text().value_or("[UNK]");
  for (auto i = model.find("vocab").walk(); i.next();) {
    const std::string_view text = i.key();
    if (text == unk) {
      vocab.add(i.value().integer().value_or(-1), text, TokenType::unknown, 0);
      continue;
    }
    const bool continues = text.starts_with(kContinues) && text.size() > kContinues.size();
    // With U+2581 before more text it would read as the start of a word: such a piece keeps its
    // number only.
    const std::string_view rest = text.substr(continues ? kContinues.size() : 0);
    const bool lost = continues && rest.starts_with(kMark) && rest != kMark;
    std::string spelled(text);
    if (continues && !lost) spelled = rest;
    if (!continues) spelled.insert(0, kMark);
    vocab.add(i.value().integer().value_or(-1), spelled,
              lost ? TokenType::unused : TokenType::normal, 0);
  }
}

}  // namespace nibble
