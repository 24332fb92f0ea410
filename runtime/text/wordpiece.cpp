// Normalizing, cutting into words and covering them with pieces.
#include "runtime/text/wordpiece.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "formats/tensor_file.h"
#include "runtime/text/utf8.h"

namespace nibble {
namespace {

// A word of more characters is the unknown token: the models were trained so, and it bounds the
// work on a word.
constexpr int64_t kMaxWordChars = 100;

utf8proc_category_t category(char32_t c) noexcept {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool is_white(char32_t c) noexcept {
  if (c < 0x80) return c == ' ' || c == '\t' || c == '\n' || c == '\r';
  const utf8proc_category_t k = category(c);
  return k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

// Characters that are dropped: controls that are no white space, formats, private use.
bool is_dropped(char32_t c) noexcept {
  if (c < 0x80) return c < 0x20 ? !is_white(c) : c == 0x7F;
  if (c == 0xFFFD) return true;
  const utf8proc_category_t k = category(c);
  return k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO;
}

bool is_punctuation(char32_t c) noexcept {
  if (c < 0x80) {
    return (c > 0x20 && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') ||
           (c > 'z' && c < 0x7F);
  }
  const utf8proc_category_t k = category(c);
  return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

// Characters that are words by themselves. U+2B920 is what the reference has; Unicode's block
// starts at U+2B820.
bool is_cjk(char32_t c) noexcept {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

// Precondition: one well-formed code point.
char32_t code_point(std::string_view bytes) noexcept {
  utf8proc_int32_t c = 0;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(bytes.data()),
                   static_cast<utf8proc_ssize_t>(bytes.size()), &c);
  return static_cast<char32_t>(c);
}

// Types that running text may become.
bool takes_part(TokenType type) noexcept {
  return type != TokenType::control && type != TokenType::unknown && type != TokenType::byte;
}

}  // namespace

// The words of one text, as characters come in.
struct WordPieceTokenizer::Words {
  struct Mark {
    char32_t c;
    int order;  // its canonical combining class
  };

  const WordPieceTokenizer& tokenizer;
  std::vector<int32_t>& out;
  std::string word;         // with its leading U+2581; characters beyond the most are not kept
  int64_t n_chars = 0;      // of the word
  std::vector<Mark> marks;  // combining characters that wait for their order

  void add(char32_t c) {
    if (is_dropped(c)) return;
    if (is_white(c)) return end_word();
    const bool alone = is_cjk(c);
    if (alone) end_word();
    if (tokenizer.strip_accents_) {
      decompose(c);
    } else {
      put(c);
    }
    if (alone) end_word();
  }

  void end_word() {
    put_marks();
    end_pieces();
  }

 private:
  // Canonical decomposition (NFD) without its nonspacing marks.
  void decompose(char32_t c) {
    std::array<utf8proc_int32_t, 8> parts = {};  // Unicode's longest has 4
    int last = 0;
    const auto n = utf8proc_decompose_char(
        static_cast<utf8proc_int32_t>(c), parts.data(), parts.size(),
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE), &last);
    for (size_t i = 0;
         i < std::min(static_cast<size_t>(std::max<utf8proc_ssize_t>(n, 0)), parts.size()); ++i) {
      const auto part = static_cast<char32_t>(parts[i]);
      const int order = utf8proc_get_property(parts[i])->combining_class;
      if (order == 0) put_marks();
      if (category(part) == UTF8PROC_CATEGORY_MN) continue;
      if (order == 0) {
        put(part);
      } else {
        marks.push_back({part, order});
      }
    }
  }

  void put_marks() {
    if (marks.empty()) return;
    std::stable_sort(marks.begin(), marks.end(),
                     [](const Mark& a, const Mark& b) { return a.order < b.order; });
    for (const Mark& mark : marks) put(mark.c);
    marks.clear();
  }

  void put(char32_t c) {
    if (!tokenizer.lowercase_) return put_lower(c);
    // The one character whose small form is two characters.
    if (c == 0x130) {
      put_lower('i');
      return put_lower(0x307);
    }
    put_lower(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }

  void put_lower(char32_t c) {
    const bool alone = is_punctuation(c);
    if (alone) end_pieces();
    if (word.empty()) word = kSpaceMark;
    if (n_chars < kMaxWordChars) append_utf8(word, c);
    ++n_chars;
    if (alone) end_pieces();
  }

  void end_pieces() {
    if (n_chars > kMaxWordChars) {
      if (tokenizer.vocab_.fallback() >= 0) out.push_back(tokenizer.vocab_.fallback());
    } else if (n_chars > 0) {
      tokenizer.encode_word(word, out);
    }
    word.clear();
    n_chars = 0;
  }
};

WordPieceTokenizer::WordPieceTokenizer(const Metadata& meta, const CancelToken* cancel)
    : vocab_(read_vocab(meta, false, cancel)), specials_(meta, vocab_) {
  lowercase_ = meta.get_bool("tokenizer.ggml.normalizer.lowercase").value_or(true);
  strip_accents_ = meta.get_bool("tokenizer.ggml.normalizer.strip_accents").value_or(lowercase_);
  set_roles(meta);
}

// The class token stands before a text, the separator behind it. The file's key of the latter is
// spelled "seperator".
void WordPieceTokenizer::set_roles(const Metadata& meta) {
  const auto role = [&](std::string_view key, int32_t id, std::string_view text) {
    const int32_t named = read_token_id(meta, key, vocab_.size());
    if (named >= 0) return named;
    return id >= 0 ? id : vocab_.table.find(text);
  };
  n_vocab_ = vocab_.size();
  vocab_.bos = bos_ = role("cls_token_id", vocab_.bos, "[CLS]");
  vocab_.eos = eos_ = role("seperator_token_id", vocab_.eos, "[SEP]");
  vocab_.unk = unk_ = vocab_.unk >= 0 ? vocab_.unk : vocab_.table.find("[UNK]");
  const auto add_sep = meta.get_bool("tokenizer.ggml.add_sep_token");
  add_bos_ = vocab_.add_bos.value_or(true) && bos_ >= 0;
  add_eos_ = add_sep.value_or(true) && eos_ >= 0;
  eog_ = vocab_.eog;
  if (eos_ >= 0 && !std::binary_search(eog_.begin(), eog_.end(), eos_)) {
    eog_.insert(std::lower_bound(eog_.begin(), eog_.end(), eos_), eos_);
  }
  model_ = "bert";
}

std::vector<int32_t> WordPieceTokenizer::encode(std::span<const TextSpan> spans,
                                                bool add_special) const {
  const JoinedText joined(spans);
  std::vector<int32_t> out;
  out.reserve(joined.text().size() / 4 + 2);
  if (add_special && add_bos_) out.push_back(bos_);
  joined.cut(
      specials_, [&](std::string_view text) { encode_text(text, out); },
      [&](int32_t id) { out.push_back(id); });
  // A text that brings its own class token does not get a second one.
  if (add_special && add_bos_ && out.size() > 1 && out[1] == bos_) out.erase(out.begin());
  if (add_special && add_eos_) out.push_back(eos_);
  return out;
}

void WordPieceTokenizer::encode_text(std::string_view text, std::vector<int32_t>& out) const {
  Words words{*this, out, {}, 0, {}};
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    // What is no UTF-8 goes the way of U+FFFD.
    if (step.valid) words.add(code_point(text.substr(0, step.length)));
    text.remove_prefix(step.length);
  }
  words.end_word();
}

// word: U+2581 and at least one character. All pieces or the unknown token.
void WordPieceTokenizer::encode_word(std::string_view word, std::vector<int32_t>& out) const {
  const size_t first = out.size();
  for (size_t at = 0; at < word.size();) {
    size_t length = 0;
    const std::string_view rest = word.substr(at);
    // Behind the start U+2581 is a character of the text, and only alone a piece of its own: with
    // more behind it the file's spelling would be that of a piece that starts a word.
    const bool mark = at > 0 && rest.starts_with(kSpaceMark);
    const int32_t id = mark ? longest(kSpaceMark, 0, length)
                            : longest(rest, at == 0 ? kSpaceMark.size() : 0, length);
    if (id < 0) {
      out.resize(first);
      if (vocab_.fallback() >= 0) out.push_back(vocab_.fallback());
      return;
    }
    out.push_back(id);
    at += length;
  }
}

// The longest piece that rest starts with, of more than `shortest` bytes; -1: none.
int32_t WordPieceTokenizer::longest(std::string_view rest, size_t shortest,
                                    size_t& length) const noexcept {
  const auto inside = [&](size_t at) {  // of a code point
    return at < rest.size() && (static_cast<uint8_t>(rest[at]) & 0xC0) == 0x80;
  };
  for (length = std::min(rest.size(), vocab_.max_text_bytes); length > shortest; --length) {
    if (inside(length)) continue;
    const int32_t id = vocab_.table.find_key(rest.substr(0, length),
                                             [&](int32_t i) { return takes_part(vocab_.type(i)); });
    if (id >= 0) return id;
  }
  return -1;
}

std::string WordPieceTokenizer::piece(int32_t id, bool special) const {
  const std::string_view text = vocab_.text(id);
  if (vocab_.is_hidden(id)) return special ? std::string(text) : std::string();
  if (!text.starts_with(kSpaceMark)) return std::string(text);
  return std::string(" ").append(text.substr(kSpaceMark.size()));
}

std::string WordPieceTokenizer::decode(std::span<const int32_t> ids, bool special) const {
  std::string out;
  for (const int32_t id : ids) out += piece(id, special);
  if (out.starts_with(' ')) out.erase(0, 1);
  return out;
}

}  // namespace nibble
