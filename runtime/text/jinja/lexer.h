#pragma once
// Template source to tokens, as jinja2's lexer does it with trim_blocks and lstrip_blocks set (the
// way chat templates are written for): one newline after a block tag goes, white space before a
// block tag at the start of a line goes, `-` strips to the next text, `+` keeps.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace nibble::jinja {

enum class TokenKind : uint8_t {
  data,  // text between tags
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,  // text: with its escapes replaced
  integer,
  real,
  op,  // text: the operator
  end,
};

struct Token {
  TokenKind kind = TokenKind::end;
  int32_t line = 1;
  int32_t column = 1;
  std::string text;
  int64_t integer = 0;
  double real = 0;

  bool is(TokenKind k) const noexcept { return kind == k; }
  bool is_op(std::string_view s) const noexcept { return kind == TokenKind::op && text == s; }
  bool is_name(std::string_view s) const noexcept { return kind == TokenKind::name && text == s; }
};

class Lexer;

/// Reads on demand, so that a parser that gives up has not paid for the rest.
class Tokens {
 public:
  explicit Tokens(std::string_view source);  // which must outlive it
  ~Tokens();
  /// At the end `end`, again and again. Errors: bad_file with line and column.
  Token next();

 private:
  std::unique_ptr<Lexer> lexer_;
};

/// Newlines as \n, without the last one: what lines and columns count in.
std::string normalize_newlines(std::string_view source);

}  // namespace nibble::jinja
