// Statements, and what both halves of the compiler use.
#include <algorithm>

#include "formats/io/error.h"
#include "runtime/text/jinja/compiler.h"

namespace nibble::jinja {

int32_t Program::name_id(std::string_view name) {
  if (const int32_t id = find_name(name); id >= 0) return id;
  const std::string_view kept = texts.emplace_back(name);
  names.push_back(kept);
  const auto id = static_cast<int32_t>(names.size() - 1);
  name_ids.emplace(kept, id);
  return id;
}

int32_t Program::find_name(std::string_view name) const {
  const auto found = name_ids.find(name);
  return found == name_ids.end() ? -1 : found->second;
}

int32_t Program::add_text(std::string text) {
  const std::string& kept = texts.emplace_back(std::move(text));
  Str& s = strs.emplace_back();
  s.size = static_cast<int64_t>(kept.size());
  s.data = kept.data();
  s.length = 0;  // counted now: programs are shared between threads
  for (int64_t at = 0; at < s.size; ++s.length) at += code_point(kept, at).size;
  constants.push_back(Value(static_cast<const Str*>(&s)));
  return static_cast<int32_t>(constants.size() - 1);
}

void compile(std::string_view source, Program& program) {
  if (static_cast<int64_t>(source.size()) > kMaxSourceBytes) {
    fail(ErrorCode::bad_file, "chat template: expected at most {} bytes, got {}", kMaxSourceBytes,
         source.size());
  }
  program.source = normalize_newlines(source);
  program.calls.emplace_back();
  Compiler(program.source, program).run();
}

void Compiler::run() {
  body({});
  emit(Op::finish);
}

// Tokens.

bool Compiler::skip_op(std::string_view op) {
  if (!token().is_op(op)) return false;
  advance();
  return true;
}

bool Compiler::skip_name(std::string_view name) {
  if (!token().is_name(name)) return false;
  advance();
  return true;
}

void Compiler::expect_op(std::string_view op) {
  if (!skip_op(op)) fail_here("expected '" + std::string(op) + "'");
}

void Compiler::expect_name(std::string_view name) {
  if (!skip_name(name)) fail_here("expected '" + std::string(name) + "'");
}

void Compiler::expect_block_end() {
  if (!token().is(TokenKind::block_end)) fail_unexpected();
  advance();
}

std::string Compiler::any_name() {
  if (!token().is(TokenKind::name)) fail_here("expected a name");
  std::string name = token().text;
  advance();
  return name;
}

void Compiler::fail_here(std::string_view what, ErrorCode code) const {
  fail(code, "chat template: line {}, column {}: {}", token().line, token().column, what);
}

void Compiler::fail_unexpected() const {
  switch (token().kind) {
    case TokenKind::end:
      fail_here("unexpected end of the template");
    case TokenKind::variable_end:
      fail_here("unexpected '}}'");
    case TokenKind::block_end:
      fail_here("unexpected '%}'");
    case TokenKind::string:
      fail_here("unexpected string");
    default:
      fail_here("unexpected '" + token().text + "'");
  }
}

void Compiler::fail_depth() const {
  fail_here("nested too deeply");
}

// Code.

void Compiler::emit(Op op, int32_t a, int32_t b) {
  code_.push_back({op, a, b, token().line});
}

int32_t Compiler::emit_jump(Op op, int32_t a) {
  emit(op, a);
  return here() - 1;
}

void Compiler::land(int32_t jump) {
  code_[static_cast<size_t>(jump)].b = here() - jump - 1;
  landing_ = here();
}

void Compiler::jump_back(int32_t to) {
  emit(Op::jump, 0, to - here() - 1);
}

Compiler::Code Compiler::cut(int32_t from) {
  Code out(code_.begin() + from, code_.end());
  code_.erase(code_.begin() + from, code_.end());
  return out;
}

void Compiler::append(const Code& code) {
  code_.insert(code_.end(), code.begin(), code.end());
}

void Compiler::constant(Value v) {
  p_.constants.push_back(v);
  emit(Op::constant, static_cast<int32_t>(p_.constants.size() - 1));
}

// Statements.

void Compiler::body(Names ends) {
  const Depth depth(*this);
  while (true) {
    if (token().is(TokenKind::data)) {
      emit(Op::emit_data, p_.add_text(token().text));
      advance();
    } else if (token().is(TokenKind::variable_begin)) {
      advance();
      tuple(true, {});
      emit(Op::emit);
      if (!token().is(TokenKind::variable_end)) fail_unexpected();
      advance();
    } else if (token().is(TokenKind::block_begin)) {
      advance();
      if (std::any_of(ends.begin(), ends.end(), [&](auto e) { return token().is_name(e); })) return;
      statement();
      expect_block_end();
    } else if (ends.size() == 0) {
      return;
    } else {
      fail_here("unexpected end of the template: '" + std::string(*(ends.end() - 1)) +
                "' is missing");
    }
  }
}

void Compiler::statement() {
  struct Row {
    std::string_view name;
    void (*parse)(Compiler&);
  };
  static constexpr Row kStatements[] = {
      {"if", [](Compiler& c) { c.if_statement(); }},
      {"for", [](Compiler& c) { c.for_statement(); }},
      {"set", [](Compiler& c) { c.set_statement(); }},
      {"macro", [](Compiler& c) { c.macro_statement(); }},
      {"call", [](Compiler& c) { c.call_statement(); }},
      {"filter", [](Compiler& c) { c.filter_statement(); }},
      {"with", [](Compiler& c) { c.with_statement(); }},
      {"block", [](Compiler& c) { c.block_statement(); }},
      {"print", [](Compiler& c) { c.print_statement(); }},
      {"generation", [](Compiler& c) { c.scoped_statement("endgeneration"); }},
      {"break", [](Compiler& c) { c.break_statement(true); }},
      {"continue", [](Compiler& c) { c.break_statement(false); }},
  };
  const Token& t = token();
  if (!t.is(TokenKind::name)) fail_here("expected the name of a statement");
  for (const Row& row : kStatements) {
    if (t.text != row.name) continue;
    advance();
    return row.parse(*this);
  }
  fail_here("statement '" + t.text + "' is not supported", ErrorCode::unsupported);
}

void Compiler::if_statement() {
  ++conditional_;
  std::vector<int32_t> ends;
  while (true) {
    tuple(false, {});
    skip_op(":");
    expect_block_end();
    const int32_t otherwise = emit_jump(Op::jump_if_false);
    body({"elif", "else", "endif"});
    const bool has_elif = token().is_name("elif");
    const bool has_else = token().is_name("else");
    advance();
    if (!has_elif && !has_else) {
      land(otherwise);
      break;
    }
    ends.push_back(emit_jump(Op::jump));
    land(otherwise);
    if (has_elif) continue;
    skip_op(":");
    expect_block_end();
    body({"endif"});
    advance();
    break;
  }
  for (const int32_t end : ends) land(end);
  --conditional_;
}

void Compiler::for_statement() {
  const Code target_code = target({"in"}, false);
  expect_name("in");
  tuple(false, {"recursive"});
  if (skip_name("if")) loop_filter(target_code);
  if (token().is_name("recursive")) {
    fail_here("recursive loops are not supported", ErrorCode::unsupported);
  }
  skip_op(":");
  expect_block_end();
  emit(Op::loop_begin);
  const int32_t next = emit_jump(Op::loop_next, 1);
  append(target_code);
  ++conditional_;
  loops_.push_back({next, 0, 0, {}});
  body({"else", "endfor"});
  emit(Op::loop_mark);
  emit(Op::pop_scope);
  jump_back(next);
  const std::vector<int32_t> breaks = std::move(loops_.back().breaks);
  loops_.pop_back();
  land(next);
  for (const int32_t jump : breaks) land(jump);
  const bool has_else = token().is_name("else");
  advance();
  const int32_t end = emit_jump(Op::loop_end);
  if (has_else) {
    skip_op(":");
    expect_block_end();
    emit(Op::push_scope);
    ++scopes();
    body({"endfor"});
    --scopes();
    emit(Op::pop_scope);
    advance();
  }
  land(end);
  --conditional_;
}

// `if ...` behind the iterable, which is on the stack: replaces it by a list of what passes.
void Compiler::loop_filter(const Code& target_code) {
  emit(Op::filter_begin);
  emit(Op::loop_begin);
  const int32_t next = emit_jump(Op::loop_next);
  emit(Op::push_scope);
  emit(Op::duplicate);
  append(target_code);
  expression();
  emit(Op::pop_scope);
  emit(Op::filter_item);
  jump_back(next);
  land(next);
  const int32_t end = emit_jump(Op::loop_end);
  land(end);
  emit(Op::filter_end);
}

void Compiler::break_statement(bool is_break) {
  if (loops_.empty()) fail_here("break and continue stand inside loops only");
  LoopState& loop = loops_.back();
  for (int32_t i = 0; i < loop.captures; ++i) emit(Op::drop_capture);
  for (int32_t i = 0; i <= loop.scopes; ++i) emit(Op::pop_scope);  // and the body's own
  if (is_break) {
    loop.breaks.push_back(emit_jump(Op::jump));
  } else {
    jump_back(loop.begin);
  }
}

int32_t& Compiler::scopes() {
  return loops_.empty() ? unused_ : loops_.back().scopes;
}
int32_t& Compiler::captures() {
  return loops_.empty() ? unused_ : loops_.back().captures;
}

// Body up to `end` in a scope of its own; what it writes becomes a value on the stack.
void Compiler::captured_body(std::string_view end) {
  skip_op(":");
  expect_block_end();
  emit(Op::capture_begin);
  emit(Op::push_scope);
  ++scopes();
  ++captures();
  body({end});
  --scopes();
  --captures();
  advance();
  emit(Op::pop_scope);
  emit(Op::capture_end);
}

void Compiler::scoped_statement(std::string_view end) {
  skip_op(":");
  expect_block_end();
  emit(Op::push_scope);
  ++scopes();
  body({end});
  --scopes();
  advance();
  emit(Op::pop_scope);
}

void Compiler::set_statement() {
  const Code target_code = target({}, true);
  if (skip_op("=")) {
    tuple(true, {});
  } else {
    const int32_t begin = here();
    while (at_filter_pipe()) filter();
    const Code filters = cut(begin);
    captured_body("endset");
    append(filters);
  }
  append(target_code);
}

void Compiler::filter_statement() {
  const int32_t begin = here();
  filter_name();
  while (at_filter_pipe()) filter();
  const Code filters = cut(begin);
  captured_body("endfilter");
  append(filters);
  emit(Op::emit);
}

void Compiler::with_statement() {
  std::vector<Code> targets;
  while (!token().is(TokenKind::block_end) && !token().is_op(":")) {
    if (!targets.empty()) expect_op(",");
    targets.push_back(target({}, false));
    expect_op("=");
    expression();
  }
  skip_op(":");
  expect_block_end();
  emit(Op::push_scope);
  std::for_each(targets.rbegin(), targets.rend(), [&](const Code& code) { append(code); });
  ++scopes();
  body({"endwith"});
  --scopes();
  advance();
  emit(Op::pop_scope);
}

void Compiler::block_statement() {
  const std::string name(any_name());
  const bool scoped = skip_name("scoped");
  skip_name("required");
  skip_op(":");
  expect_block_end();
  emit(scoped ? Op::push_scope : Op::push_root_scope);
  ++scopes();
  body({"endblock"});
  --scopes();
  advance();
  skip_name(name);
  emit(Op::pop_scope);
}

void Compiler::print_statement() {
  bool first = true;
  while (!token().is(TokenKind::block_end)) {
    if (!first) expect_op(",");
    first = false;
    expression();
    emit(Op::emit);
  }
}

void Compiler::macro_statement() {
  const std::string_view name = p_.texts.emplace_back(any_name());
  p_.macros.emplace_back().name = name;
  const auto macro = static_cast<int32_t>(p_.macros.size() - 1);
  std::vector<Code> defaults;
  macro_parameters(macro, defaults);
  emit(Op::make_macro, macro);
  emit(Op::store, p_.name_id(name));
  macro_body(macro, defaults, "endmacro");
}

// Defaults are code of the macro: they run when it is called.
void Compiler::macro_parameters(int32_t macro, std::vector<Code>& defaults) {
  macros_.push_back(macro);
  std::vector<int32_t> parameters;
  bool had_default = false;
  expect_op("(");
  while (!token().is_op(")")) {
    if (!parameters.empty()) expect_op(",");
    parameters.push_back(p_.name_id(any_name()));
    const int32_t begin = here();
    if (skip_op("=")) {
      expression();
      had_default = true;
    } else if (had_default) {
      fail_here("a parameter without a default behind one that has one");
    }
    defaults.push_back(cut(begin));
  }
  expect_op(")");
  p_.macros[static_cast<size_t>(macro)].parameters = std::move(parameters);
  macros_.pop_back();
}

void Compiler::macro_body(int32_t macro, const std::vector<Code>& defaults, std::string_view end) {
  skip_op(":");
  expect_block_end();
  const int32_t over = emit_jump(Op::jump);
  MacroSpec& spec = p_.macros[static_cast<size_t>(macro)];
  spec.entry = here();
  for (size_t i = 0; i < defaults.size(); ++i) {
    const int32_t given = emit_jump(Op::argument, spec.parameters[i]);
    if (defaults[i].empty()) {
      land(given);
      continue;
    }
    append(defaults[i]);
    emit(Op::store, spec.parameters[i]);
    land(given);
  }
  macros_.push_back(macro);
  std::vector<LoopState> outer;
  outer.swap(loops_);
  body({end});
  advance();
  outer.swap(loops_);
  macros_.pop_back();
  emit(Op::finish);
  land(over);
}

// `{% call(x) f(y) %}...{% endcall %}`: the body becomes a macro, given to f as `caller`.
void Compiler::call_statement() {
  p_.macros.emplace_back().name = "caller";
  const auto macro = static_cast<int32_t>(p_.macros.size() - 1);
  std::vector<Code> defaults;
  if (token().is_op("(")) macro_parameters(macro, defaults);
  expression();
  const Instr last = code_.back();
  // Behind `a() if b else c()` too stands a call, but jumps lead past it.
  if (last.op != Op::call || landing_ == here()) fail_here("expected a call");
  CallSpec spec = p_.calls[static_cast<size_t>(last.a)];
  if (spec.star || spec.star_star) {
    fail_here("a call block with *args or **kwargs is not supported", ErrorCode::unsupported);
  }
  spec.keywords.push_back(p_.name_id("caller"));
  p_.calls.push_back(std::move(spec));
  code_.pop_back();
  emit(Op::make_macro, macro);
  emit(Op::call, static_cast<int32_t>(p_.calls.size() - 1));
  emit(Op::emit);
  macro_body(macro, defaults, "endcall");
}

// Targets.

Compiler::Code Compiler::target(Names ends, bool attributes) {
  Code out;
  tuple_target(out, ends, attributes, false);
  return out;
}

void Compiler::one_target(Code& out, bool attributes) {
  const Depth depth(*this);
  const int32_t line = token().line;
  if (skip_op("(")) {
    tuple_target(out, {}, attributes, true);
    return expect_op(")");
  }
  if (!token().is(TokenKind::name)) fail_here("cannot assign to this");
  static constexpr std::string_view kReserved[] = {"true",  "True", "false",
                                                   "False", "none", "None"};
  const std::string name = any_name();
  if (std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved)) {
    fail_here("cannot assign to a constant");
  }
  const int32_t id = p_.name_id(name);
  if (attributes && skip_op(".")) {
    out.push_back({Op::store_attribute, id, p_.add_text(std::string(any_name())), line});
  } else {
    out.push_back({Op::store, id, 0, line});
  }
}

void Compiler::tuple_target(Code& out, Names ends, bool attributes, bool in_parentheses) {
  const int32_t line = token().line;
  Code stores;
  int32_t count = 0;
  bool is_tuple = false;
  while (!token().is_op(")") && !token().is_op("=") && !token().is(TokenKind::block_end) &&
         !std::any_of(ends.begin(), ends.end(), [&](auto e) { return token().is_name(e); })) {
    one_target(stores, attributes);
    ++count;
    if (!skip_op(",")) break;
    is_tuple = true;
  }
  if (count == 0 && !in_parentheses) fail_unexpected();
  if (is_tuple || count == 0) out.push_back({Op::unpack, count, 0, line});
  out.insert(out.end(), stores.begin(), stores.end());
}

}  // namespace nibble::jinja
