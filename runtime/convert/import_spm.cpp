// SentencePiece vocabularies to tokenizer.ggml.*: tokenizer.model as it is; or the tokenizer.json
// that transformers makes of one, whose merges are in the order of the scores.
#include <fmt/format.h>

#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "formats/sentencepiece_model.h"
#include "runtime/convert/import_tokenizer.h"
#include "runtime/text/vocab.h"

namespace nibble {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581 stands for a space

void set_model(GgufHeader& header, bool add_space_prefix) {
  header.set_string("tokenizer.ggml.model", "llama");
  header.set_string("tokenizer.ggml.pre", "default");
  header.set("tokenizer.ggml.add_space_prefix", add_space_prefix);
}

/// What a tokenizer.json does to spaces; anything else it does is refused.
class Spaces {
 public:
  explicit Spaces(const std::string& file) : file_(file) {}

  void normalizer(JsonValue step) {
    if (!step.exists() || step.is(JsonType::null)) return;
    const std::string_view type = step.find("type").text().value_or("");
    if (type == "Prepend" && step.find("prepend").text() == kMark) {
      prefix_ = true;
    } else if (type == "Replace" && step.find("content").text() == kMark &&
               step.find("pattern").find("String").text() == " ") {
      marked_ = true;
    } else {
      refuse("normalizer", "Prepend and Replace of spaces by U+2581", type);
    }
  }

  void pre_tokenizer(JsonValue step) {
    if (!step.exists() || step.is(JsonType::null)) return;
    const std::string_view type = step.find("type").text().value_or("");
    if (type == "Metaspace" && step.find("replacement").text() == kMark &&
        !step.find("split").boolean().value_or(true)) {
      marked_ = true;
      prefix_ = step.find("prepend_scheme").text().value_or("always") != "never";
    } else if (type == "Split" && marked_ && step.find("pattern").find("String").text() == " ") {
      // No spaces are left to split at.
    } else {
      refuse("pre_tokenizer", "none or Metaspace that does not split", type);
    }
  }

  bool prefix() const {
    if (!marked_) refuse("normalizer", "spaces to become U+2581", "none");
    return prefix_;
  }

 private:
  [[noreturn]] void refuse(const char* what, const char* expected, std::string_view got) const {
    fail(ErrorCode::unsupported, "{}: {}: expected {}, got {}", file_, what, expected, quoted(got));
  }

  const std::string& file_;
  bool marked_ = false;
  bool prefix_ = false;
};

bool read_spaces(JsonValue tokenizer, const std::string& file) {
  Spaces spaces(file);
  const JsonValue normalizer = tokenizer.find("normalizer");
  if (normalizer.find("type").text() == "Sequence") {
    for (auto i = normalizer.find("normalizers").walk(); i.next();) spaces.normalizer(i.value());
  } else {
    spaces.normalizer(normalizer);
  }
  spaces.pre_tokenizer(tokenizer.find("pre_tokenizer"));
  return spaces.prefix();
}

/// Ranks of the tokens that merges make, by text.
std::unordered_map<std::string, int64_t> merge_ranks(JsonValue merges, const std::string& file,
                                                     std::vector<std::string>& notes) {
  std::unordered_map<std::string, int64_t> ranks;
  std::string last;
  int64_t n_apart = 0;
  for (auto i = merges.walk(); i.next();) {
    std::string joined;
    if (const auto text = i.value().text()) {
      const size_t space = text->find(' ', 1);
      if (space == std::string_view::npos) {
        fail(ErrorCode::bad_file, "{}: model: a merge: expected two texts, got {}", file,
             quoted(*text));
      }
      joined = std::string(text->substr(0, space)) + std::string(text->substr(space + 1));
    } else {
      for (auto part = i.value().walk(); part.next();) {
        joined += part.value().text().value_or("");
      }
    }
    const auto rank = static_cast<int64_t>(ranks.size());
    const bool fresh = ranks.try_emplace(joined, rank).second;
    n_apart += fresh || joined == last ? 0 : 1;
    last = std::move(joined);
  }
  if (n_apart > 0) {
    notes.push_back(fmt::format(
        "{} merges do not stand beside others that make the same token; scores cannot say that",
        n_apart));
  }
  return ranks;
}

}  // namespace

ImportedModel import_spm_model(const TokenizerFiles& files, ImportVocab& vocab,
                               GgufHeader& header) {
  const std::string file = files.model_path();
  const SentencePieceModel model = read_sentencepiece_model(files.model, file);
  const bool unigram = model.kind == SentencePieceModel::Kind::unigram;
  if (!unigram && model.kind != SentencePieceModel::Kind::bpe) {
    fail(ErrorCode::unsupported, "{}: expected a model of Unigram (1) or BPE (2), got kind {}",
         file, static_cast<int32_t>(model.kind));
  }
  if (unigram && (model.space_behind || !model.escapes_spaces)) {
    fail(ErrorCode::unsupported, "{}: expected U+2581 for a space, before a word, got {}", file,
         model.space_behind ? "treat_whitespace_as_suffix" : "no escape_whitespaces");
  }
  if (!unigram && !model.chars_map.empty()) {
    fail(ErrorCode::unsupported, "{}: normalizer: expected identity, got {}", file,
         quoted(model.normalizer));
  }
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const SentencePiece& piece = model.pieces[i];
    const auto type = static_cast<TokenType>(piece.type);
    if (type == TokenType::byte && !parse_byte_token(piece.text)) {
      fail(ErrorCode::bad_file, "{}: piece {}: expected <0xHH>, got {}", file, i,
           quoted(piece.text));
    }
    vocab.add(static_cast<int64_t>(i), piece.text, type, piece.score);
  }
  const bool said =
      files.tokenizer_config.find("add_prefix_space").boolean().value_or(model.add_dummy_prefix);
  if (unigram) {
    write_unigram(header, said, model.remove_extra_spaces, model.chars_map);
    return {true, false, !files.tokenizer.exists(), model.unk, model.bos, model.eos};
  }
  set_model(header, said);
  if (model.remove_extra_spaces) {
    header.set("tokenizer.ggml.remove_extra_whitespaces", true);
  }
  ImportedModel out;
  out.has_scores = true;
  out.adds_bos = !files.tokenizer.exists();
  return out;
}

void import_spm_json(const TokenizerFiles& files, ImportVocab& vocab, GgufHeader& header,
                     std::vector<std::string>& notes) {
  const std::string file = files.tokenizer_path();
  const JsonValue tokenizer = files.tokenizer;
  const JsonValue model = tokenizer.find("model");
  if (!model.find("vocab").is(JsonType::object) || !model.find("merges").is(JsonType::array)) {
    fail(ErrorCode::bad_file, "{}: model: expected vocab and merges", file);
  }
  const bool prefix = read_spaces(tokenizer, file);
  const auto ranks = merge_ranks(model.find("merges"), file, notes);
  const std::string_view unk = model.find("unk_token").text().value_or("");
  const bool bytes = model.find("byte_fallback").boolean().value_or(false);
  const auto behind = -static_cast<float>(ranks.size());
  for (auto i = model.find("vocab").walk(); i.next();) {
    const auto rank = ranks.find(std::string(i.key()));
    const float score = rank == ranks.end() ? behind : -static_cast<float>(rank->second);
    TokenType type = TokenType::normal;
    if (!unk.empty() && i.key() == unk) type = TokenType::unknown;
    if (bytes && parse_byte_token(i.key())) type = TokenType::byte;
    vocab.add(i.value().integer().value_or(-1), i.key(), type, score);
  }
  set_model(header, prefix);
}

}  // namespace nibble
