// tokenizer.json of byte-level BPE to tokenizer.ggml.*. GGUF names a pre-tokenizer instead of
// spelling it; which name it is follows from the patterns in the file, compared with those of
// runtime/text/pre_types.cpp.
#include <fmt/format.h>

#include <algorithm>

#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "runtime/convert/import_tokenizer.h"
#include "runtime/text/pre_types.h"
#include "runtime/text/utf8.h"

namespace nibble {
namespace {

/// What ByteLevel does by itself: the pattern of the row "gpt-2".
std::string gpt2_pattern() {
  return std::string(find_pre_type("gpt-2")->patterns[0]);
}

/// The way the table writes characters beyond ASCII: \x{4E00}; \u4e00 too.
std::string as_in_table(std::string_view pattern) {
  std::string out;
  for (size_t at = 0; at < pattern.size();) {
    const std::string_view rest = pattern.substr(at);
    const Utf8Step step = utf8_step(rest);
    if (step.length == 1) {
      out += rest[0];
      ++at;
      continue;
    }
    auto c = static_cast<uint32_t>(static_cast<uint8_t>(rest[0])) & (0x7Fu >> step.length);
    for (size_t i = 1; i < step.length; ++i) {
      c = c << 6 | (static_cast<uint8_t>(rest[i]) & 0x3Fu);
    }
    out += fmt::format("\\x{{{:X}}}", c);
    at += step.length;
  }
  return out;
}

/// Parts of patterns that checkpoints spell otherwise than the table, which leaves out what means
/// nothing: a set inside a set, groups, a count of one.
struct Spelling {
  std::string_view theirs;
  std::string_view ours;
};
constexpr Spelling kSpellings[] = {
    {R"([^(\s|[.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C}])])",
     R"([^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})])"},  // bloom, viking
    {R"((IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z)", R"(IMGIMG[A-I]{1,4}Z)"},        // chameleon
    {R"(([\t\n]|    |  ))", R"([\t\n]|    |  )"},
    {R"(|\p{N}{1}|)", R"(|\p{N}|)"},  // seed-coder
};

std::string respelled(std::string pattern) {
  for (const Spelling& row : kSpellings) {
    const size_t at = pattern.find(row.theirs);
    if (at != std::string::npos) pattern.replace(at, row.theirs.size(), row.ours);
  }
  return pattern;
}

class PreTokenizer {
 public:
  explicit PreTokenizer(const std::string& file) : file_(file) {}

  void add(JsonValue step) {
    const std::string_view type = step.find("type").text().value_or("");
    if (type == "ByteLevel") {
      if (step.find("add_prefix_space").boolean().value_or(false)) {
        refuse("ByteLevel without add_prefix_space", "one with it");
      }
      if (step.find("use_regex").boolean().value_or(true)) patterns_.push_back(gpt2_pattern());
    } else if (type == "Digits") {
      const bool each = step.find("individual_digits").boolean().value_or(false);
      patterns_.emplace_back(each ? R"(\p{N})" : R"(\p{N}+)");
    } else if (type == "Split") {
      add_split(step);
    } else {
      refuse("Split, Digits or ByteLevel", quoted(type));
    }
  }

  const PreType& find(bool ignore_merges) const {
    for (const PreType& row : pre_types()) {
      if (row.ignore_merges == ignore_merges && std::equal(row.patterns.begin(), row.patterns.end(),
                                                           patterns_.begin(), patterns_.end())) {
        return row;
      }
    }
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: pre_tokenizer: expected the patterns of a known one, got {}{}",
                            file_, quoted(fmt::format("{}", fmt::join(patterns_, " then ")), 400),
                            ignore_merges ? " with ignore_merges" : ""),
                "a new one is a row in runtime/text/pre_types.cpp");
  }

 private:
  // "Removed" and inverted keeps the matches only, of patterns that match everything.
  void add_split(JsonValue step) {
    const auto regex = step.find("pattern").find("Regex").text();
    const std::string_view behavior = step.find("behavior").text().value_or("");
    const bool inverted = step.find("invert").boolean().value_or(false);
    if (!regex) refuse("Split by a Regex", "another");
    if (!(behavior == "Isolated" && !inverted) && !(behavior == "Removed" && inverted)) {
      refuse("Split that is Isolated", quoted(behavior));
    }
    patterns_.push_back(respelled(as_in_table(*regex)));
  }
  [[noreturn]] void refuse(std::string_view expected, std::string_view got) const {
    fail(ErrorCode::unsupported, "{}: pre_tokenizer: expected {}, got {}", file_, expected, got);
  }

  const std::string& file_;
  std::vector<std::string> patterns_;
};

const PreType& find_pre(JsonValue tokenizer, const std::string& file) {
  const JsonValue step = tokenizer.find("pre_tokenizer");
  const JsonValue model = tokenizer.find("model");
  PreTokenizer pre(file);
  if (step.find("type").text() == "Sequence") {
    for (auto i = step.find("pretokenizers").walk(); i.next();) pre.add(i.value());
  } else {
    pre.add(step);
  }
  return pre.find(model.find("ignore_merges").boolean().value_or(false));
}

void check_normalizer(JsonValue normalizer, const std::string& file,
                      std::vector<std::string>& notes) {
  const std::string_view type = normalizer.find("type").text().value_or("");
  if (type == "NFC") {
    notes.push_back("the tokenizer normalizes text to NFC, which GGUF cannot say");
  } else if (type == "Sequence" && normalizer.find("normalizers").size() == 0) {
    return;
  } else if (normalizer.exists() && !normalizer.is(JsonType::null)) {
    fail(ErrorCode::unsupported, "{}: normalizer: expected none or NFC, got {}", file,
         quoted(type));
  }
}

void check_model(JsonValue model, const std::string& file) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const auto text = model.find(key).text(); text && !text->empty()) {
      fail(ErrorCode::unsupported, "{}: model: {}: expected none, got {}", file, key,
           quoted(*text));
    }
  }
  if (!model.find("vocab").is(JsonType::object) || !model.find("merges").is(JsonType::array)) {
    fail(ErrorCode::bad_file, "{}: model: expected vocab and merges", file);
  }
}

/// "a b", as the file may spell it too.
std::string merge_text(JsonValue merge, const std::string& file) {
  if (const auto text = merge.text()) return std::string(*text);
  std::string out;
  int n = 0;
  for (auto i = merge.walk(); i.next(); ++n) {
    const auto part = i.value().text();
    if (!part || part->empty() || part->find(' ') != std::string_view::npos) break;
    out += n == 0 ? "" : " ";
    out += *part;
  }
  if (n != 2 || merge.size() != 2) {
    fail(ErrorCode::bad_file, "{}: model: a merge: expected two texts without spaces", file);
  }
  return out;
}

}  // namespace

void import_bpe(const TokenizerFiles& files, ImportVocab& vocab, GgufHeader& header,
                std::vector<std::string>& notes) {
  const std::string file = files.tokenizer_path();
  const JsonValue tokenizer = files.tokenizer;
  const JsonValue model = tokenizer.find("model");
  check_model(model, file);
  check_normalizer(tokenizer.find("normalizer"), file, notes);
  const PreType& pre = find_pre(tokenizer, file);
  for (auto i = model.find("vocab").walk(); i.next();) {
    vocab.add(i.value().integer().value_or(-1), i.key(), TokenType::normal, 0);
  }
  std::vector<std::string> merges;
  merges.reserve(model.find("merges").size());
  for (auto i = model.find("merges").walk(); i.next();) {
    merges.push_back(merge_text(i.value(), file));
  }
  header.set_string("tokenizer.ggml.model", "gpt2");
  header.set_string("tokenizer.ggml.pre", pre.name);
  const std::vector<std::string_view> views(merges.begin(), merges.end());
  header.set_strings("tokenizer.ggml.merges", views);
}

}  // namespace nibble
