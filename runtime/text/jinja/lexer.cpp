#include "runtime/text/jinja/lexer.h"

#include <algorithm>
#include <charconv>
#include <deque>
#include <utility>

#include "formats/io/error.h"
#include "runtime/text/jinja/text_tools.h"
#include "runtime/text/utf8.h"

namespace nibble::jinja {
namespace {

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<uint8_t>(c) >= 0x80;
}
bool is_name_char(char c) noexcept {
  return is_name_start(c) || is_digit(c);
}

enum class Tag { none, variable, block, comment };

}  // namespace

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Token next() {
    while (ready_.empty()) {
      if (tag_ != Tag::none) {
        tag_token();
      } else if (at_ < source_.size()) {
        text_until_tag();
      } else {
        push(TokenKind::end, at_);
      }
    }
    Token out = std::move(ready_.front());
    ready_.pop_front();
    return out;
  }

 private:
  [[noreturn]] void fail_at(size_t at, std::string_view what) {
    move_to(at);
    fail(ErrorCode::bad_file, "chat template: line {}, column {}: {}", line_, column_, what);
  }

  // Lines are counted forwards only: tokens come in order.
  void move_to(size_t at) {
    for (; counted_ < at; ++counted_) {
      if (source_[counted_] == '\n') {
        ++line_;
        column_ = 1;
      } else if ((static_cast<uint8_t>(source_[counted_]) & 0xC0) != 0x80) {
        ++column_;
      }
    }
  }

  Token& push(TokenKind kind, size_t at, std::string text = {}) {
    move_to(at);
    Token token;
    token.kind = kind;
    token.line = line_;
    token.column = column_;
    token.text = std::move(text);
    ready_.push_back(std::move(token));
    return ready_.back();
  }

  bool starts_with(size_t at, std::string_view s) const {
    return at <= source_.size() && source_.substr(at).substr(0, s.size()) == s;
  }

  size_t skip_space(size_t at) const {
    while (at < source_.size()) {
      const CodePoint c = code_point(source_, static_cast<int64_t>(at));
      if (!is_space(c.cp)) break;
      at += static_cast<size_t>(c.size);
    }
    return at;
  }

  size_t rstrip(size_t begin, size_t end) const {
    const std::string_view text = source_.substr(begin, end - begin);
    return begin + static_cast<size_t>(strip_bounds(text, nullptr, false, true).end);
  }

  // Where the text before a tag ends, after what the tag's sign and lstrip_blocks take from it.
  size_t text_end(size_t begin, size_t tag, char sign, bool lstrips) const {
    if (sign == '-') return rstrip(begin, tag);
    if (sign == '+' || !lstrips) return tag;
    const size_t newline = source_.substr(begin, tag - begin).rfind('\n');
    const size_t line = newline == std::string_view::npos ? begin : begin + newline + 1;
    if (line == begin && !line_starting_) return tag;
    return skip_space(line) >= tag ? line : tag;
  }

  void add_text(size_t begin, size_t end) {
    if (end > begin) push(TokenKind::data, begin, std::string(source_.substr(begin, end - begin)));
  }

  char sign_at(size_t at) const {
    const char c = at < source_.size() ? source_[at] : '\0';
    return c == '-' || c == '+' ? c : '\0';
  }

  void text_until_tag() {
    size_t tag = at_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string_view::npos || tag + 1 >= source_.size()) {
        add_text(at_, source_.size());
        at_ = source_.size();
        return;
      }
      const char next = source_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
    }
    const char sign = sign_at(tag + 2);
    const bool is_variable = source_[tag + 1] == '{';
    add_text(at_, text_end(at_, tag, sign, !is_variable));
    size_t inner = tag + 2 + (sign != '\0' ? 1 : 0);
    if (source_[tag + 1] == '#') return comment(tag, inner);
    if (is_variable) {
      push(TokenKind::variable_begin, tag);
      return begin_tag(Tag::variable, inner);
    }
    if (const size_t body = raw_begin(inner)) return raw(tag, body);
    push(TokenKind::block_begin, tag);
    begin_tag(Tag::block, inner);
  }

  void begin_tag(Tag tag, size_t at) {
    tag_ = tag;
    at_ = tag_begin_ = at;
    open_.clear();
  }

  void end_tag(size_t at) {
    at_ = at;
    line_starting_ = at > 0 && source_[at - 1] == '\n';
  }

  // If a tag of kind `close` ("%}", "}}", "#}") ends at `at`, the place behind it, else 0.
  size_t tag_end(Tag tag, std::string_view close, size_t at) const {
    if (at < source_.size() && source_[at] == '-' && starts_with(at + 1, close)) {
      return skip_space(at + 1 + close.size());
    }
    if (tag != Tag::variable && at < source_.size() && source_[at] == '+' &&
        starts_with(at + 1, close)) {
      return at + 1 + close.size();
    }
    if (!starts_with(at, close)) return 0;
    at += close.size();
    return tag != Tag::variable && at < source_.size() && source_[at] == '\n' ? at + 1 : at;
  }

  void comment(size_t tag, size_t at) {
    for (; at < source_.size(); ++at) {
      if (const size_t end = tag_end(Tag::comment, "#}", at)) return end_tag(end);
    }
    fail_at(tag, "this comment has no end");
  }

  // Where the body of {% raw %} starts, 0 if this is another tag.
  size_t raw_begin(size_t at) const {
    at = skip_space(at);
    if (!starts_with(at, "raw")) return 0;
    at = skip_space(at + 3);
    if (starts_with(at, "-%}")) return skip_space(at + 3);
    return starts_with(at, "%}") ? at + 2 : 0;
  }

  void raw(size_t tag, size_t body) {
    end_tag(body);
    for (size_t at = body; (at = source_.find("{%", at)) != std::string_view::npos; ++at) {
      const char sign = sign_at(at + 2);
      size_t name = skip_space(at + 2 + (sign != '\0' ? 1 : 0));
      if (!starts_with(name, "endraw")) continue;
      const size_t end = tag_end(Tag::block, "%}", skip_space(name + 6));
      if (end == 0) continue;
      add_text(body, text_end(body, at, sign, true));
      return end_tag(end);
    }
    fail_at(tag, "this raw block has no end");
  }

  // One token of the tag that is open, or its end.
  void tag_token() {
    const std::string_view close = tag_ == Tag::variable ? "}}" : "%}";
    while (true) {
      if (open_.empty()) {
        if (const size_t end = tag_end(tag_, close, at_)) {
          push(tag_ == Tag::variable ? TokenKind::variable_end : TokenKind::block_end, at_);
          tag_ = Tag::none;
          return end_tag(end);
        }
      }
      const size_t next = skip_space(at_);
      if (next == at_) break;
      at_ = next;
    }
    if (at_ >= source_.size()) fail_at(tag_begin_, "this tag has no end");
    at_ = token(at_);
  }

  size_t token(size_t at) {
    const char c = source_[at];
    if (is_digit(c)) return number(at);
    if (c == '\'' || c == '"') return string(at);
    if (is_name_start(c)) {
      size_t end = at;
      while (end < source_.size() && is_name_char(source_[end])) ++end;
      push(TokenKind::name, at, std::string(source_.substr(at, end - at)));
      return end;
    }
    static constexpr std::string_view kOps[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    for (const std::string_view op : kOps) {
      if (!starts_with(at, op)) continue;
      if (op == "(") open_ += ')';
      if (op == "[") open_ += ']';
      if (op == "{") open_ += '}';
      if (op == ")" || op == "]" || op == "}") {
        if (open_.empty() || open_.back() != op[0]) {
          fail_at(at, "unexpected '" + std::string(op) + "'");
        }
        open_.pop_back();
      }
      push(TokenKind::op, at, std::string(op));
      return at + op.size();
    }
    const auto step = static_cast<size_t>(code_point(source_, static_cast<int64_t>(at)).size);
    fail_at(at, "unexpected character '" + std::string(source_.substr(at, step)) + "'");
  }

  // Digits with single underscores between them; the place behind.
  template <typename IsDigit>
  size_t digits(size_t at, std::string& out, const IsDigit& is) const {
    while (at < source_.size()) {
      if (is(source_[at])) {
        out += source_[at++];
      } else if (source_[at] == '_' && !out.empty() && at + 1 < source_.size() &&
                 is(source_[at + 1])) {
        ++at;
      } else {
        break;
      }
    }
    return at;
  }

  size_t number(size_t at) {
    const char kind = at + 1 < source_.size() ? static_cast<char>(source_[at + 1] | 0x20) : '\0';
    if (source_[at] == '0' && (kind == 'x' || kind == 'o' || kind == 'b')) {
      const int base = kind == 'x' ? 16 : kind == 'o' ? 8 : 2;
      const auto is = [base](char c) {
        const char low = static_cast<char>(c | 0x20);
        return (is_digit(c) && c - '0' < base) || (base == 16 && low >= 'a' && low <= 'f');
      };
      std::string text;
      size_t from = at + 2;
      if (from < source_.size() && source_[from] == '_') ++from;
      const size_t end = digits(from, text, is);
      if (!text.empty()) return integer(at, end, text, base);
    }
    std::string text;
    size_t end = digits(at, text, is_digit);
    const size_t whole = text.size();
    const bool after_dot = at > 0 && source_[at - 1] == '.';
    bool is_real = false;
    if (!after_dot) {
      if (starts_with(end, ".") && end + 1 < source_.size() && is_digit(source_[end + 1])) {
        text += '.';
        end = digits(end + 1, text, is_digit);
        is_real = true;
      }
      size_t exponent = end;
      if (exponent < source_.size() && (source_[exponent] | 0x20) == 'e') {
        ++exponent;
        const char sign = sign_at(exponent);
        if (sign != '\0') ++exponent;
        if (exponent < source_.size() && is_digit(source_[exponent])) {
          text += 'e';
          if (sign == '-') text += '-';
          end = digits(exponent, text, is_digit);
          is_real = true;
        }
      }
    }
    if (!is_real) {
      // "007" is no number of Python's: zeros alone are.
      if (whole > 1 && text[0] == '0' && text.find_first_not_of('0') != std::string::npos) {
        fail_at(at, "a decimal number must not start with 0");
      }
      return integer(at, end, text, 10);
    }
    push(TokenKind::real, at).real = read_real(text).value_or(0);
    return end;
  }

  size_t integer(size_t at, size_t end, const std::string& text, int base) {
    int64_t value = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), value, base).ec != std::errc()) {
      fail_at(at, "this integer does not fit in 64 bits");
    }
    push(TokenKind::integer, at, text).integer = value;
    return end;
  }

  size_t string(size_t at) {
    const char quote = source_[at];
    std::string text;
    for (size_t i = at + 1; i < source_.size();) {
      if (source_[i] == quote) {
        push(TokenKind::string, at, std::move(text));
        return i + 1;
      }
      if (source_[i] == '\\' && i + 1 < source_.size()) {
        i = escape(i, text);
      } else {
        text += source_[i++];
      }
    }
    fail_at(at, "this string has no end");
  }

  // Python's escapes; one it does not know stays as written.
  size_t escape(size_t at, std::string& out) {
    const char c = source_[at + 1];
    static constexpr std::pair<char, char> kSimple[] = {
        {'\\', '\\'}, {'\'', '\''}, {'"', '"'},  {'a', '\a'}, {'b', '\b'},
        {'f', '\f'},  {'n', '\n'},  {'r', '\r'}, {'t', '\t'}, {'v', '\v'}};
    for (const auto& [name, value] : kSimple) {
      if (c == name) {
        out += value;
        return at + 2;
      }
    }
    if (c == '\n') return at + 2;
    if (c >= '0' && c <= '7') {
      size_t end = at + 1;
      while (end < source_.size() && end < at + 4 && source_[end] >= '0' && source_[end] <= '7') {
        ++end;
      }
      return code(at, at + 1, end, 8, out);
    }
    if (c == 'x') return code(at, at + 2, at + 4, 16, out);
    if (c == 'u') return code(at, at + 2, at + 6, 16, out);
    if (c == 'U') return code(at, at + 2, at + 10, 16, out);
    if (c == 'N') fail_at(at, "character names (\\N) are not supported");
    out += '\\';
    return at + 1;
  }

  size_t code(size_t at, size_t begin, size_t end, int base, std::string& out) {
    uint32_t cp = 0;
    const char* last = source_.data() + std::min(end, source_.size());
    const auto [stop, error] =
        std::from_chars(source_.data() + std::min(begin, source_.size()), last, cp, base);
    if (error != std::errc() || stop != source_.data() + end) fail_at(at, "truncated escape");
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) {
      fail_at(at, "this escape is no Unicode character");
    }
    append_utf8(out, static_cast<char32_t>(cp));
    return end;
  }

  std::string_view source_;
  size_t at_ = 0;
  bool line_starting_ = true;
  size_t counted_ = 0;  // line_ and column_ are those of this byte
  int32_t line_ = 1, column_ = 1;
  Tag tag_ = Tag::none;
  size_t tag_begin_ = 0;
  std::string open_;  // brackets of the tag that wait for their end, innermost last
  std::deque<Token> ready_;
};

Tokens::Tokens(std::string_view source) : lexer_(std::make_unique<Lexer>(source)) {}
Tokens::~Tokens() = default;
Token Tokens::next() {
  return lexer_->next();
}

std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else if (i + 1 >= source.size() || source[i + 1] != '\n') {
      out += '\n';
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

}  // namespace nibble::jinja
