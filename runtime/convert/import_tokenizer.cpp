// What all tokenizers have: added tokens, tokens with a role, whether a text is framed, the chat
// template.
#include "runtime/convert/import_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "formats/io/error.h"
#include "formats/io/quote.h"

namespace nibble {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";

std::string key_of(std::string_view name) {
  return std::string(kPrefix).append(name);
}

/// Tokens that are control tokens whatever their file calls them: "<|im_end|>" and its kin.
bool looks_special(std::string_view text) {
  constexpr std::string_view kBar = "\xEF\xBD\x9C";  // U+FF5C
  if (text.size() < 5 || text.front() != '<' || text.back() != '>') return false;
  text = text.substr(1, text.size() - 2);
  return (text.starts_with('|') && text.ends_with('|')) ||
         (text.starts_with(kBar) && text.ends_with(kBar));
}

/// A space stands for itself in a token that is found by its text.
std::string with_spaces(std::string_view text) {
  constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (text.substr(at).starts_with(kMark)) {
      out += ' ';
      at += kMark.size();
    } else {
      out += text[at++];
    }
  }
  return out;
}

void add_token(ImportVocab& vocab, int64_t id, JsonValue token, int64_t& n_stripping) {
  const auto text = token.find("content").text();
  if (!text || text->empty()) return;
  const bool special = token.find("special").boolean().value_or(false) || looks_special(*text);
  for (const char* side : {"lstrip", "rstrip"}) {
    n_stripping += token.find(side).boolean().value_or(false) ? 1 : 0;
  }
  // The unknown token of SentencePiece and its byte tokens keep their types.
  if (vocab.has(id) && vocab.text(id) == *text &&
      (vocab.type(id) == TokenType::unknown || vocab.type(id) == TokenType::byte)) {
    return;
  }
  if (special) {
    vocab.replace(id, *text, TokenType::control);
  } else {
    vocab.replace(id, with_spaces(*text), TokenType::user_defined);
  }
}

void import_added_tokens(const TokenizerFiles& files, ImportVocab& vocab,
                         std::vector<std::string>& notes) {
  int64_t n_stripping = 0;
  for (auto i = files.added_tokens.walk(); i.next();) {
    const auto id = i.value().integer();
    if (id && !files.tokenizer.exists()) {
      vocab.replace(*id, with_spaces(i.key()), TokenType::user_defined);
    }
  }
  if (files.tokenizer.exists()) {
    for (auto i = files.tokenizer.find("added_tokens").walk(); i.next();) {
      add_token(vocab, i.value().find("id").integer().value_or(-1), i.value(), n_stripping);
    }
  } else {
    for (auto i = files.tokenizer_config.find("added_tokens_decoder").walk(); i.next();) {
      int64_t id = -1;
      const std::string_view key = i.key();
      std::from_chars(key.data(), key.data() + key.size(), id);
      add_token(vocab, id, i.value(), n_stripping);
    }
  }
  if (n_stripping > 0) {
    notes.push_back(fmt::format(
        "{} added tokens take the white space beside them, which GGUF cannot say", n_stripping));
  }
}

/// A token of the framing: named by text in tokenizer_config.json or by number in the configs.
class SpecialIds {
 public:
  SpecialIds(const TokenizerFiles& files, const HfConfig& config, const ImportVocab& vocab)
      : files_(files), config_(config), vocab_(vocab) {}

  /// name: "bos". -1: none.
  int64_t find(const std::string& name) const {
    const JsonValue token = files_.tokenizer_config.find(name + "_token");
    const auto text = token.is(JsonType::object) ? token.find("content").text() : token.text();
    if (text) {
      const int64_t id = vocab_.find(*text);
      if (id >= 0) return id;
    }
    for (const JsonValue from : {generation(name), config_.find(name + "_token_id")}) {
      JsonValue value = from;
      if (value.is(JsonType::array)) {
        auto i = value.walk();
        if (i.next()) value = i.value();
      }
      const auto id = value.integer();
      if (id && *id >= 0 && *id < vocab_.size()) return *id;
    }
    return -1;
  }

  /// Further ends of a generation, besides eos.
  std::vector<int64_t> more_ends(int64_t eos) const {
    std::vector<int64_t> out;
    for (const JsonValue from : {generation("eos"), config_.find("eos_token_id")}) {
      const auto add = [&](JsonValue value) {
        const auto id = value.integer();
        if (!id || *id < 0 || *id >= vocab_.size() || *id == eos) return;
        if (std::find(out.begin(), out.end(), *id) == out.end()) out.push_back(*id);
      };
      add(from);
      if (from.is(JsonType::array)) {
        for (auto i = from.walk(); i.next();) add(i.value());
      }
    }
    return out;
  }

 private:
  JsonValue generation(const std::string& name) const {
    return files_.generation_config.find(name + "_token_id");
  }

  const TokenizerFiles& files_;
  const HfConfig& config_;
  const ImportVocab& vocab_;
};

/// Which tokens the post-processor puts around a text.
struct Framing {
  bool known = false;
  std::string first, last;  // their texts; empty: none
};

// "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]
void read_template(JsonValue processor, const std::string& file, Framing& out) {
  out.known = true;
  bool seen_text = false;
  for (auto i = processor.find("single").walk(); i.next();) {
    const auto token = i.value().find("SpecialToken").find("id").text();
    if (!token) {
      seen_text = true;
      continue;
    }
    std::string& to = seen_text ? out.last : out.first;
    if (!to.empty()) {
      fail(ErrorCode::unsupported,
           "{}: post_processor: expected at most one token before a text and one behind, got {} "
           "and {}",
           file, quoted(to), quoted(*token));
    }
    to = *token;
  }
}

/// ["[CLS]", 101]
std::string first_text(JsonValue pair) {
  auto i = pair.walk();
  return std::string(i.next() ? i.value().text().value_or("") : "");
}

Framing read_framing(const TokenizerFiles& files) {
  Framing out;
  const JsonValue all = files.tokenizer.find("post_processor");
  const auto read = [&](JsonValue processor) {
    const std::string_view type = processor.find("type").text().value_or("");
    if (type == "TemplateProcessing") {
      read_template(processor, files.tokenizer_path(), out);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      out = {true, first_text(processor.find("cls")), first_text(processor.find("sep"))};
    } else if (type != "ByteLevel" && type != "Sequence") {
      fail(ErrorCode::unsupported,
           "{}: post_processor: expected TemplateProcessing, BertProcessing, RobertaProcessing or "
           "ByteLevel, got {}",
           files.tokenizer_path(), quoted(type));
    }
  };
  if (all.is(JsonType::object)) read(all);
  for (auto i = all.find("processors").walk(); i.next();) read(i.value());
  return out;
}

ImportedModel import_model(const TokenizerFiles& files, ImportVocab& vocab, GgufHeader& header,
                           std::vector<std::string>& notes) {
  const bool has_json = files.tokenizer.exists();
  ImportedModel scored;
  scored.has_scores = true;
  const JsonValue json = files.tokenizer.find("model");
  const std::string_view type = json.find("type").text().value_or("BPE");
  if (has_json && type == "BPE" && is_byte_level(files.tokenizer)) {
    import_bpe(files, vocab, header, notes);
    return {};
  }
  if (has_json && type == "WordPiece") {
    import_wordpiece(files, vocab, header);
    ImportedModel out;
    out.unk = vocab.find(json.find("unk_token").text().value_or("[UNK]"));
    return out;
  }
  // Before tokenizer.model: some families number the pieces anew (XLM-RoBERTa).
  if (has_json && type == "Unigram") {
    import_unigram(files, vocab, header, notes);
    scored.unk = json.find("unk_id").integer().value_or(-1);
    return scored;
  }
  if (files.has_model) return import_spm_model(files, vocab, header);
  if (type != "BPE") {
    fail(ErrorCode::unsupported, "{}: model: expected BPE, Unigram or WordPiece, got {}",
         files.tokenizer_path(), quoted(type));
  }
  import_spm_json(files, vocab, header, notes);
  return scored;
}

void write_framing(const TokenizerFiles& files, const ImportVocab& vocab, const SpecialIds& ids,
                   const ImportedModel& model, GgufHeader& header) {
  const auto find_id = [&](const char* name, int64_t otherwise) {
    const int64_t id = ids.find(name);
    return id < 0 && vocab.has(otherwise) ? otherwise : id;
  };
  int64_t bos = find_id("bos", model.bos);
  int64_t eos = find_id("eos", model.eos);
  const Framing framing = read_framing(files);
  const auto added = [&](const std::string& text, const char* name, int64_t& id, bool otherwise) {
    if (!framing.known) {
      const std::string key = std::string("add_") + name + "_token";
      return files.tokenizer_config.find(key).boolean().value_or(otherwise) && id >= 0;
    }
    if (text.empty()) return false;
    const int64_t named = vocab.find(text);
    if (id < 0) id = named;
    if (named == id && id >= 0) return true;
    fail(ErrorCode::unsupported, "{}: post_processor: expected {}_token, got {}",
         files.tokenizer_path(), name, quoted(text));
  };
  const bool add_bos = added(framing.first, "bos", bos, model.adds_bos);
  const bool add_eos = added(framing.last, "eos", eos, model.adds_eos);
  const auto set_id = [&](const char* name, int64_t id) {
    if (id >= 0) header.set(key_of(name), static_cast<uint32_t>(id));
  };
  set_id("bos_token_id", bos);
  set_id("eos_token_id", eos);
  set_id("unknown_token_id", find_id("unk", model.unk));
  set_id("padding_token_id", ids.find("pad"));
  set_id("cls_token_id", ids.find("cls"));
  set_id("seperator_token_id", ids.find("sep"));  // spelled so in GGUF
  set_id("mask_token_id", ids.find("mask"));
  const std::vector<int64_t> ends = ids.more_ends(eos);
  if (!ends.empty()) set_id("eot_token_id", ends[0]);
  if (ends.size() > 1) set_id("eom_token_id", ends[1]);
  header.set(key_of("add_bos_token"), add_bos);
  header.set(key_of("add_eos_token"), add_eos);
}

}  // namespace

TokenizerFiles TokenizerFiles::of(const HfFolder& folder) {
  TokenizerFiles out{folder.path(), folder.tokenizer(), folder.tokenizer_config(),
                     folder.generation_config(), folder.added_tokens()};
  if (const MappedFile* model = folder.tokenizer_model()) {
    out.has_model = true;
    out.model = model->bytes();
  }
  out.chat_template = folder.chat_template();
  return out;
}

ImportVocab::ImportVocab(int64_t n_vocab, std::string file)
    : file_(std::move(file)),
      texts_(static_cast<size_t>(n_vocab)),
      types_(texts_.size()),
      scores_(texts_.size()) {}

void ImportVocab::check(int64_t id, std::string_view text) const {
  if (id >= 0 && id < size()) return;
  fail(ErrorCode::bad_file,
       "{}: token {}: expected an id below {}, the rows of the embedding, got {}", file_,
       quoted(text), size(), id);
}

bool ImportVocab::has(int64_t id) const noexcept {
  return id >= 0 && id < size() && types_[static_cast<size_t>(id)] != 0;
}

void ImportVocab::add(int64_t id, std::string_view text, TokenType type, float score) {
  check(id, text);
  const auto at = static_cast<size_t>(id);
  if (types_[at] != 0) {
    fail(ErrorCode::bad_file, "{}: token {}: expected one text, got {} and {}", file_, id,
         quoted(texts_[at]), quoted(text));
  }
  texts_[at] = text;
  types_[at] = static_cast<int32_t>(type);
  scores_[at] = score;
  ids_.try_emplace(texts_[at], id);
}

void ImportVocab::replace(int64_t id, std::string_view text, TokenType type) {
  check(id, text);
  const auto at = static_cast<size_t>(id);
  if (texts_[at] != text) {
    const auto old = ids_.find(texts_[at]);
    if (old != ids_.end() && old->second == id) ids_.erase(old);
    texts_[at] = text;
    ids_.try_emplace(texts_[at], id);
  }
  if (types_[at] == 0) scores_[at] = -1000;
  types_[at] = static_cast<int32_t>(type);
}

int64_t ImportVocab::find(std::string_view text) const {
  const auto at = ids_.find(std::string(text));
  return at == ids_.end() ? -1 : at->second;
}

void ImportVocab::write(GgufHeader& header, bool with_scores) {
  for (size_t i = 0; i < texts_.size(); ++i) {
    if (types_[i] != 0) continue;
    texts_[i] = fmt::format("[PAD{}]", i);
    types_[i] = static_cast<int32_t>(TokenType::unused);
    scores_[i] = -10000;
  }
  const std::vector<std::string_view> views(texts_.begin(), texts_.end());
  header.set_strings(key_of("tokens"), views);
  if (with_scores) header.set_array<float>(key_of("scores"), scores_);
  header.set_array<int32_t>(key_of("token_type"), types_);
}

bool is_byte_level(JsonValue tokenizer) noexcept {
  const auto is = [](JsonValue v) { return v.find("type").text() == "ByteLevel"; };
  bool found = false;
  for (const char* part : {"pre_tokenizer", "decoder"}) {
    const JsonValue value = tokenizer.find(part);
    found = found || is(value);
    for (auto i = value.find("pretokenizers").walk(); i.next();) found = found || is(i.value());
    for (auto i = value.find("decoders").walk(); i.next();) found = found || is(i.value());
  }
  return found;
}

void import_tokenizer(const TokenizerFiles& files, const HfConfig& config, int64_t n_vocab,
                      GgufHeader& header, std::vector<std::string>& notes) {
  constexpr int64_t kMostTokens = 1 << 24;
  if (n_vocab > kMostTokens) {
    fail(ErrorCode::unsupported, "{}: expected an embedding of at most {} tokens, got {}",
         files.folder, kMostTokens, n_vocab);
  }
  if (!files.tokenizer.exists() && !files.has_model) {
    fail(ErrorCode::not_found, "{}: expected tokenizer.json or tokenizer.model, got neither",
         files.folder);
  }
  ImportVocab vocab(n_vocab, files.folder);
  const ImportedModel model = import_model(files, vocab, header, notes);
  import_added_tokens(files, vocab, notes);
  const SpecialIds ids(files, config, vocab);
  write_framing(files, vocab, ids, model, header);
  vocab.write(header, model.has_scores);
  if (!files.chat_template.empty()) {
    header.set_string("tokenizer.chat_template", files.chat_template);
  }
}

}  // namespace nibble
