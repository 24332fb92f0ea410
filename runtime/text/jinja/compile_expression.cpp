// Expressions. Precedence, loosest first, as jinja2 has it (`**` too groups from the left):
//   1 or   2 and   3 not   4 == != < <= > >= in, not in   5 + -   6 ~   7 * / // %   8 **
// then signs, then filters and tests, then attributes, subscripts and calls.
#include <algorithm>
#include <optional>

#include "formats/io/error.h"
#include "runtime/text/jinja/compiler.h"

namespace nibble::jinja {
namespace {

constexpr int kOr = 1, kAnd = 2, kNot = 3, kCompare = 4, kSum = 5, kConcat = 6, kProduct = 7,
              kPower = 8;

struct BinaryRow {
  std::string_view op;
  int level;
  BinaryOp operation;
};
constexpr BinaryRow kBinary[] = {
    {"+", kSum, BinaryOp::add},           {"-", kSum, BinaryOp::sub},
    {"*", kProduct, BinaryOp::mul},       {"/", kProduct, BinaryOp::div},
    {"//", kProduct, BinaryOp::floordiv}, {"%", kProduct, BinaryOp::mod},
    {"**", kPower, BinaryOp::pow},
};

struct CompareRow {
  std::string_view op;
  CompareOp operation;
};
constexpr CompareRow kCompareOps[] = {
    {"==", CompareOp::eq}, {"!=", CompareOp::ne}, {"<", CompareOp::lt},
    {"<=", CompareOp::le}, {">", CompareOp::gt},  {">=", CompareOp::ge},
};

std::optional<CompareOp> compare_op(const Token& token, const Token& next) {
  for (const CompareRow& row : kCompareOps) {
    if (token.is_op(row.op)) return row.operation;
  }
  if (token.is_name("in")) return CompareOp::in;
  if (token.is_name("not") && next.is_name("in")) return CompareOp::not_in;
  return std::nullopt;
}

const BinaryRow* binary_op(const Token& token) {
  for (const BinaryRow& row : kBinary) {
    if (token.is_op(row.op)) return &row;
  }
  return nullptr;
}

}  // namespace

void Compiler::expression() {
  const int32_t begin = here();
  operators(kOr);
  // Each one is nested in the next, as the code that is moved about shows.
  for (int chained = 0; token().is_name("if"); ++chained) {
    if (depth_ + chained >= kMaxParseDepth) fail_depth();
    conditional(begin);
  }
}

// `value if condition [else other]`, where the code of value begins at `begin`.
void Compiler::conditional(int32_t begin) {
  const Depth depth(*this);
  advance();
  const Code value = cut(begin);
  operators(kOr);
  const int32_t otherwise = emit_jump(Op::jump_if_false);
  append(value);
  const int32_t end = emit_jump(Op::jump);
  land(otherwise);
  ++conditional_;
  if (skip_name("else")) {
    expression();
  } else {
    Undefined& u = p_.undefineds.emplace_back();
    u.hint = "the inline if-expression evaluated to false and no else section was defined.";
    constant(Value(static_cast<const Undefined*>(&u)));
  }
  --conditional_;
  land(end);
}

void Compiler::operators(int level) {
  const Depth depth(*this);
  if (level <= kNot && token().is_name("not")) {
    advance();
    operators(kNot);
    emit(Op::logical_not);
  } else {
    operand(true);
  }
  while (true) {
    if (const BinaryRow* row = binary_op(token())) {
      if (row->level < level) return;
      advance();
      operators(row->level + 1);
      emit(Op::binary, static_cast<int32_t>(row->operation));
    } else if (token().is_op("~")) {
      if (kConcat < level) return;
      concatenation();
    } else if (compare_op(token(), look())) {
      if (kCompare < level) return;
      comparison();
    } else if (token().is_name("and") || token().is_name("or")) {
      const int own = token().is_name("and") ? kAnd : kOr;
      if (own < level) return;
      advance();
      const int32_t end = emit_jump(own == kAnd ? Op::jump_if_false_keep : Op::jump_if_true_keep);
      operators(own + 1);
      land(end);
    } else {
      return;
    }
  }
}

// The left side is on the stack: `< b < c ...`.
void Compiler::comparison() {
  std::vector<int32_t> ends;
  std::optional<CompareOp> op = compare_op(token(), look());
  while (op) {
    if (*op == CompareOp::not_in) advance();
    advance();
    operators(kSum);
    const std::optional<CompareOp> next = compare_op(token(), look());
    if (next) {
      ends.push_back(emit_jump(Op::compare_chain, static_cast<int32_t>(*op)));
    } else {
      emit(Op::compare, static_cast<int32_t>(*op));
    }
    op = next;
  }
  for (const int32_t end : ends) land(end);
}

void Compiler::concatenation() {
  int32_t count = 1;
  while (skip_op("~")) {
    operators(kProduct);
    ++count;
  }
  emit(Op::concat, count);
}

void Compiler::operand(bool with_filters) {
  if (token().is_op("-") || token().is_op("+")) {
    const Depth depth(*this);
    const bool minus = token().is_op("-");
    advance();
    operand(false);
    emit(Op::negate, minus ? 1 : 0);
  } else {
    primary();
  }
  postfix();
  if (with_filters) filters_and_tests();
}

void Compiler::primary() {
  const Token& t = token();
  if (t.is(TokenKind::name)) return name_or_constant();
  if (t.is(TokenKind::string)) return string_literal();
  if (t.is(TokenKind::integer)) {
    constant(Value(t.integer));
    return advance();
  }
  if (t.is(TokenKind::real)) {
    constant(Value(t.real));
    return advance();
  }
  if (skip_op("(")) {
    tuple(true, {}, true);
    return expect_op(")");
  }
  if (t.is_op("[")) return list();
  if (t.is_op("{")) return dict();
  fail_unexpected();
}

void Compiler::name_or_constant() {
  const std::string& name = token().text;
  if (name == "true" || name == "True") {
    constant(Value(true));
  } else if (name == "false" || name == "False") {
    constant(Value(false));
  } else if (name == "none" || name == "None") {
    constant(Value::none());
  } else {
    load(name);
  }
  advance();
}

void Compiler::load(std::string_view name) {
  if (!macros_.empty()) {
    MacroSpec& macro = p_.macros[static_cast<size_t>(macros_.back())];
    macro.wants_varargs |= name == "varargs";
    macro.wants_kwargs |= name == "kwargs";
    macro.wants_caller |= name == "caller";
  }
  emit(Op::load, p_.name_id(name));
}

void Compiler::string_literal() {
  std::string text;
  for (; token().is(TokenKind::string); advance()) text += token().text;
  emit(Op::constant, p_.add_text(std::move(text)));
}

void Compiler::tuple(bool with_if, Names ends, bool in_parentheses) {
  const auto at_end = [&] {
    const Token& t = token();
    return t.is(TokenKind::variable_end) || t.is(TokenKind::block_end) || t.is_op(")") ||
           std::any_of(ends.begin(), ends.end(), [&](auto name) { return t.is_name(name); });
  };
  int32_t count = 0;
  bool is_tuple = false;
  while (!at_end()) {
    if (with_if) {
      expression();
    } else {
      expression_without_if();
    }
    ++count;
    if (!skip_op(",")) break;
    is_tuple = true;
  }
  if (is_tuple || (count == 0 && in_parentheses)) {
    emit(Op::make_tuple, count);
  } else if (count == 0) {
    fail_unexpected();
  }
}

void Compiler::list() {
  expect_op("[");
  int32_t count = 0;
  while (!token().is_op("]")) {
    expression();
    ++count;
    if (!skip_op(",")) break;
  }
  expect_op("]");
  emit(Op::make_list, count);
}

void Compiler::dict() {
  expect_op("{");
  int32_t count = 0;
  while (!token().is_op("}")) {
    expression();
    expect_op(":");
    expression();
    ++count;
    if (!skip_op(",")) break;
  }
  expect_op("}");
  emit(Op::make_dict, count);
}

void Compiler::postfix() {
  while (true) {
    if (token().is_op(".")) {
      attribute();
    } else if (token().is_op("[")) {
      subscript();
    } else if (token().is_op("(")) {
      call();
    } else {
      return;
    }
  }
}

void Compiler::filters_and_tests() {
  while (true) {
    if (token().is_op("|")) {
      filter();
    } else if (token().is_name("is")) {
      test();
    } else if (token().is_op("(")) {
      call();
    } else {
      return;
    }
  }
}

void Compiler::attribute() {
  expect_op(".");
  if (token().is(TokenKind::integer)) {
    constant(Value(token().integer));
    emit(Op::get_item);
    return advance();
  }
  if (!token().is(TokenKind::name)) fail_here("expected a name or a number after '.'");
  emit(Op::get_attribute, p_.name_id(any_name()));
}

void Compiler::subscript() {
  expect_op("[");
  int32_t count = 0;
  bool is_slice = false;
  while (!token().is_op("]")) {
    if (is_slice)
      fail_here("a slice beside other subscripts is not supported", ErrorCode::unsupported);
    const auto part = [&] {  // of a slice; none where nothing stands
      if (token().is_op(":") || token().is_op("]") || token().is_op(",")) {
        constant(Value::none());
      } else {
        expression();
      }
    };
    part();
    if (skip_op(":")) {
      if (count > 0)
        fail_here("a slice beside other subscripts is not supported", ErrorCode::unsupported);
      is_slice = true;
      part();
      if (skip_op(":")) {
        part();
      } else {
        constant(Value::none());
      }
    }
    ++count;
    if (!skip_op(",")) break;
  }
  expect_op("]");
  if (is_slice) return emit(Op::get_slice);
  if (count != 1) emit(Op::make_tuple, count);
  emit(Op::get_item);
}

void Compiler::one_argument(CallSpec& spec) {
  const auto ensure = [&](bool holds) {
    if (!holds) fail_here("this argument cannot stand here");
  };
  if (skip_op("*")) {
    ensure(!spec.star && !spec.star_star);
    spec.star = true;
    return expression();
  }
  if (skip_op("**")) {
    ensure(!spec.star_star);
    spec.star_star = true;
    return expression();
  }
  if (token().is(TokenKind::name) && look().is_op("=")) {
    // Keyword values lie before those of *args on the stack.
    if (spec.star)
      fail_here("a keyword argument after *args is not supported", ErrorCode::unsupported);
    ensure(!spec.star_star);
    spec.keywords.push_back(p_.name_id(any_name()));
    advance();
    return expression();
  }
  ensure(!spec.star && !spec.star_star && spec.keywords.empty());
  expression();
  ++spec.n_args;
}

int32_t Compiler::arguments() {
  CallSpec spec;
  expect_op("(");
  while (!token().is_op(")")) {
    one_argument(spec);
    if (!skip_op(",")) break;
  }
  expect_op(")");
  p_.calls.push_back(std::move(spec));
  return static_cast<int32_t>(p_.calls.size() - 1);
}

void Compiler::call() {
  emit(Op::call, arguments());
}

void Compiler::native(Op op, const Native* found, std::string_view kind, std::string_view name,
                      int32_t call) {
  if (found != nullptr) {
    p_.natives.push_back(found);
    return emit(op, call, static_cast<int32_t>(p_.natives.size() - 1));
  }
  std::string message = "there is no " + std::string(kind) + " '" + std::string(name) + "'";
  // As in jinja2: one that stands where it may never be reached is looked for when it is.
  if (conditional_ == 0) fail_here(message, ErrorCode::unsupported);
  emit(Op::unknown, p_.add_text(std::move(message)));
}

void Compiler::filter() {
  expect_op("|");
  filter_name();
}

void Compiler::filter_name() {
  if (!token().is(TokenKind::name)) fail_here("expected the name of a filter");
  const std::string name = any_name();
  const int32_t call = token().is_op("(") ? arguments() : kNoArguments;
  native(Op::filter, find_filter(name), "filter", name, call);
}

void Compiler::test() {
  expect_name("is");
  const bool negated = skip_name("not");
  if (!token().is(TokenKind::name)) fail_here("expected the name of a test");
  test_call(any_name());
  if (negated) emit(Op::logical_not);
}

void Compiler::test_call(std::string_view name) {
  int32_t call = kNoArguments;
  const Token& t = token();
  const bool starts_value =
      t.is(TokenKind::string) || t.is(TokenKind::integer) || t.is(TokenKind::real) ||
      t.is_op("[") || t.is_op("{") ||
      (t.is(TokenKind::name) && !t.is_name("else") && !t.is_name("or") && !t.is_name("and"));
  if (t.is_op("(")) {
    call = arguments();
  } else if (starts_value) {
    if (t.is_name("is")) fail_here("tests cannot be chained with is");
    primary();
    postfix();
    p_.calls.emplace_back().n_args = 1;
    call = static_cast<int32_t>(p_.calls.size() - 1);
  }
  native(Op::test, find_test(name), "test", name, call);
}

}  // namespace nibble::jinja
