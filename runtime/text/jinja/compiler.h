#pragma once
// One pass from tokens to code: a parser by precedence that emits as it reads. Where the source
// says a part before the part that must run first (`x if c`, `for x in xs`), the code read so far
// is cut off and appended again later. Recursion is bounded by kMaxParseDepth.
#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "formats/io/error.h"
#include "runtime/text/jinja/lexer.h"
#include "runtime/text/jinja/program.h"

namespace nibble::jinja {

class Compiler {
 public:
  Compiler(std::string_view source, Program& program)
      : tokens_(source), p_(program), code_(program.code) {
    advance();
    advance();
  }
  void run();

 private:
  using Code = std::vector<Instr>;
  using Names = std::initializer_list<std::string_view>;

  // Tokens.
  const Token& token() const noexcept { return token_; }
  const Token& look() const noexcept { return next_; }
  void advance() {
    token_ = std::move(next_);
    next_ = tokens_.next();
  }
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  void expect_block_end();
  std::string any_name();  // of a token that is a name; advances
  [[noreturn]] void fail_here(std::string_view what, ErrorCode code = ErrorCode::bad_file) const;
  [[noreturn]] void fail_unexpected() const;

  // Code.
  void emit(Op op, int32_t a = 0, int32_t b = 0);
  int32_t emit_jump(Op op, int32_t a = 0);  // to be patched
  void land(int32_t jump);                  // it goes to what comes next
  void jump_back(int32_t to);
  int32_t here() const noexcept { return static_cast<int32_t>(code_.size()); }
  Code cut(int32_t from);
  void append(const Code& code);
  void constant(Value v);

  // Depth of recursion, for as long as it lives.
  class Depth {
   public:
    explicit Depth(Compiler& c) : c_(c) {
      if (++c_.depth_ > kMaxParseDepth) c_.fail_depth();
    }
    ~Depth() { --c_.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;

   private:
    Compiler& c_;
  };
  [[noreturn]] void fail_depth() const;

  // Expressions: each leaves one value. Levels are those of the table in compile_expression.cpp.
  void expression();
  void expression_without_if() { operators(kLowest); }
  void conditional(int32_t begin);
  void operators(int level);
  void comparison();
  void concatenation();
  void operand(bool with_filters);
  void primary();
  void name_or_constant();
  void string_literal();
  void postfix();
  void filters_and_tests();
  void attribute();
  void subscript();
  int32_t arguments();  // "(" ... ")": index of the CallSpec
  void one_argument(CallSpec& spec);
  void call();
  void filter();  // "|" and what follows
  void filter_name();
  void test();
  void test_call(std::string_view name);
  /// One value, or a tuple if there are commas. ends: names before which a tuple may end.
  void tuple(bool with_if, Names ends, bool in_parentheses = false);
  void list();
  void dict();
  void native(Op op, const Native* found, std::string_view kind, std::string_view name,
              int32_t call);
  void load(std::string_view name);

  // Statements.
  void body(Names ends);  // up to a tag with one of these names, which is the present token then
  void statement();
  void if_statement();
  void for_statement();
  void loop_filter(const Code& target);
  void set_statement();
  void with_statement();
  void macro_statement();
  void call_statement();
  void filter_statement();
  void block_statement();
  void print_statement();
  void captured_body(std::string_view end);
  void scoped_statement(std::string_view end);
  void break_statement(bool is_break);
  void macro_parameters(int32_t macro, std::vector<Code>& defaults);
  void macro_body(int32_t macro, const std::vector<Code>& defaults, std::string_view end);
  Code target(Names ends, bool attributes);  // code that stores the value on the stack
  void one_target(Code& out, bool attributes);
  void tuple_target(Code& out, Names ends, bool attributes, bool in_parentheses);
  bool at_filter_pipe() const { return token().is_op("|"); }
  int32_t& scopes();  // open in the innermost loop's body
  int32_t& captures();

  struct LoopState {
    int32_t begin;             // of loop_next
    int32_t scopes, captures;  // open inside the body
    std::vector<int32_t> breaks;
  };

  static constexpr int kLowest = 1;

  Tokens tokens_;
  Token token_, next_;
  Program& p_;
  Code& code_;
  int depth_ = 0;
  int conditional_ = 0;  // inside a part that may not run
  std::vector<LoopState> loops_;
  int32_t landing_ = -1;         // where the latest patched jump goes
  int32_t unused_ = 0;           // counts what is outside of every loop
  std::vector<int32_t> macros_;  // that are being compiled
};

}  // namespace nibble::jinja
