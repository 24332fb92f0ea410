#include "runtime/text/jinja/machine.h"

#include <algorithm>

#include "formats/io/error.h"

namespace nibble::jinja {

bool Loop::fetch(Heap& heap, Value& item) {
  if (peeked) {
    peeked = false;
    item = next;
    return !next.is(Kind::missing);
  }
  return cursor.next(heap, item);
}

const Value& Loop::peek(Heap& heap) {
  if (!peeked) {
    peeked = true;
    next = Value();
    if (!cursor.next(heap, next)) next = Value();
  }
  return next;
}

int64_t Loop::length(Heap& heap) {
  if (total < 0) {
    total = index + cursor.remaining(heap) + (peeked && !next.is(Kind::missing) ? 1 : 0);
  }
  return total;
}

Machine::Machine(const Program& program, Context& context)
    : p_(program), context_(context), heap_(context.heap) {
  root_ = scope_ = open_scope(nullptr);
  loop_name_ = p_.find_name("loop");
  captures_.emplace_back();
}

void Machine::define(std::string_view name, const Value& v) {
  const int32_t id = p_.find_name(name);
  if (id >= 0) store(id, v);
}

TextBuilder Machine::run() {
  // The context's variables are the outermost scope, the template's own come above them.
  root_ = scope_ = open_scope(root_);
  try {
    execute();
  } catch (const Error& e) {
    if (e.code() == ErrorCode::bad_argument) {  // raise_exception: the template's own words
      throw Error(e.code(), "chat template: " + e.message(), e.hint());
    }
    const int32_t line = p_.code[pc_ == 0 ? 0 : pc_ - 1].line;
    throw Error(e.code(), fmt::format("chat template: line {}: {}", line, e.message()), e.hint());
  }
  return std::move(captures_.front());
}

void Machine::execute() {
  while (!done_) {
    heap_.step();
    const Instr& in = p_.code[pc_++];
    step(in);
  }
}

Value Machine::pop() {
  const Value v = stack_.back();
  stack_.pop_back();
  return v;
}

std::span<const Value> Machine::top(int32_t n) const {
  return std::span<const Value>(stack_).last(static_cast<size_t>(n));
}

void Machine::step(const Instr& in) {
  switch (in.op) {
    case Op::constant:
      return push(p_.constants[static_cast<size_t>(in.a)]);
    case Op::load:
      return push(load(in.a));
    case Op::get_attribute:
      return push(get_attribute(context_, pop(), p_.names[static_cast<size_t>(in.a)]));
    case Op::get_item: {
      const Value key = pop();
      return push(get_item(context_, pop(), key));
    }
    case Op::get_slice: {
      const std::span<const Value> v = top(4);
      const Value out = get_slice(context_, v[0], v[1], v[2], v[3]);
      drop(4);
      return push(out);
    }
    case Op::binary: {
      const Value right = pop();
      return push(binary(heap_, static_cast<BinaryOp>(in.a), pop(), right));
    }
    case Op::compare: {
      const Value right = pop();
      return push(Value(compare(heap_, static_cast<CompareOp>(in.a), pop(), right)));
    }
    case Op::compare_chain:
      return compare_chain(in);
    case Op::concat: {
      const Str* out = to_str(heap_, top(in.a)[0]);
      for (int32_t i = 1; i < in.a; ++i) {
        out = concat(heap_, out, to_str(heap_, top(in.a)[static_cast<size_t>(i)]));
      }
      drop(in.a);
      return push(Value(out));
    }
    case Op::negate:
      return push(negate(pop(), in.a == 1));
    case Op::logical_not:
      return push(Value(!truth(pop())));
    case Op::jump:
      return jump(in);
    case Op::jump_if_false:
      if (!truth(pop())) jump(in);
      return;
    case Op::jump_if_false_keep:
    case Op::jump_if_true_keep:
      if (truth(stack_.back()) == (in.op == Op::jump_if_true_keep)) return jump(in);
      return drop(1);
    case Op::duplicate:
      return push(Value(stack_.back()));
    case Op::make_list:
    case Op::make_tuple: {
      const Value out =
          make_seq(heap_, in.op == Op::make_list ? Flavour::list : Flavour::tuple, top(in.a));
      drop(in.a);
      return push(out);
    }
    case Op::make_dict:
      return make_dict_of(in.a);
    case Op::call:
      return call(p_.calls[static_cast<size_t>(in.a)]);
    case Op::filter:
      return native_call(in, false);
    case Op::test:
      return native_call(in, true);
    case Op::unknown:
      fail(ErrorCode::unsupported, "{}", p_.constants[static_cast<size_t>(in.a)].str->view());
    default:
      step_statement(in);
  }
}

void Machine::step_statement(const Instr& in) {
  switch (in.op) {
    case Op::emit:
      return emit(pop());
    case Op::emit_data:
      return emit(p_.constants[static_cast<size_t>(in.a)]);
    case Op::store:
      return store(in.a, pop());
    case Op::store_attribute:
      return store_attribute(in);
    case Op::unpack:
      return unpack(in.a);
    case Op::push_scope:
      scope_ = open_scope(scope_);
      return;
    case Op::push_root_scope: {
      Scope* inner = open_scope(root_);
      inner->resume = scope_;
      scope_ = inner;
      return;
    }
    case Op::pop_scope:
      return pop_scope();
    case Op::loop_begin: {
      const Value iterable = pop();
      Loop* loop = heap_.make<Loop>();
      loop->cursor = Cursor(heap_, iterable);
      return loops_.push_back(loop);
    }
    case Op::loop_next:
      return loop_next(in);
    case Op::loop_mark:
      loops_.back()->completed = true;
      return;
    case Op::loop_end:
      if (loops_.back()->completed) jump(in);
      return loops_.pop_back();
    case Op::filter_begin:
      collected_.emplace_back();
      return;
    case Op::filter_item: {
      const bool keep = truth(pop());
      const Value item = pop();
      if (keep) collected_.back().push_back(item);
      heap_.check_count(static_cast<int64_t>(collected_.back().size()), sizeof(Value));
      return;
    }
    case Op::filter_end: {
      const Value out = make_seq(heap_, Flavour::list, collected_.back());
      collected_.pop_back();
      return push(out);
    }
    case Op::capture_begin:
      captures_.emplace_back();
      return;
    case Op::capture_end: {
      const Str* text = captures_.back().finish(heap_);
      captures_.pop_back();
      return push(Value(text));
    }
    case Op::drop_capture:
      captures_.pop_back();
      return;
    case Op::make_macro:
      for (Scope* s = scope_; s != nullptr && !s->captured; s = s->parent) s->captured = true;
      return push(Value(static_cast<const Macro*>(
          heap_.make<Macro>(Macro{&p_.macros[static_cast<size_t>(in.a)], scope_}))));
    case Op::argument:
      return argument(in);
    case Op::finish:
      return finish();
    default:
      fail(ErrorCode::internal, "unknown instruction");
  }
}

void Machine::emit(const Value& v) {
  const int64_t before = captures_.back().size();
  append_str(captures_.back(), heap_, v);
  heap_.spend(captures_.back().size() - before);
}

Value Machine::load(int32_t name) {
  for (const Scope* s = scope_; s != nullptr; s = s->parent) {
    heap_.step(s->count * 8);
    for (int32_t i = 0; i < s->count; ++i) {
      const Scope::Variable& variable = s->variables[i];
      if (variable.name == name && !variable.value.is(Kind::missing)) return variable.value;
    }
  }
  const std::string_view text = p_.names[static_cast<size_t>(name)];
  if (const Native* function = find_function(text)) return Value(function);
  Undefined* u = heap_.make<Undefined>();
  u->name = text;
  return Value(static_cast<const Undefined*>(u));
}

void Machine::store(int32_t name, const Value& v) {
  Scope& s = *scope_;
  heap_.step(s.count * 8);
  for (int32_t i = 0; i < s.count; ++i) {
    if (s.variables[i].name == name) {
      s.variables[i].value = v;
      return;
    }
  }
  if (s.count == s.capacity) {
    const int32_t capacity = std::max(4, s.capacity * 2);
    auto* grown = heap_.make_array<Scope::Variable>(capacity);
    std::copy(s.variables, s.variables + s.count, grown);
    s.variables = grown;
    s.capacity = capacity;
  }
  s.variables[s.count++] = {name, v};
}

Scope* Machine::open_scope(Scope* parent) {
  Scope* s = nullptr;
  if (free_scopes_.empty()) {
    s = heap_.make<Scope>();
  } else {
    s = free_scopes_.back();
    free_scopes_.pop_back();
    s->count = 0;
  }
  s->parent = parent;
  s->resume = parent;
  return s;
}

void Machine::pop_scope() {
  Scope* s = scope_;
  scope_ = s->resume;
  if (!s->captured) free_scopes_.push_back(s);
}

void Machine::compare_chain(const Instr& in) {
  const Value right = pop();
  const Value left = pop();
  if (compare(heap_, static_cast<CompareOp>(in.a), left, right)) return push(right);
  push(Value(false));
  jump(in);
}

void Machine::make_dict_of(int32_t pairs) {
  const std::span<const Value> values = top(pairs * 2);
  std::vector<Entry> entries(static_cast<size_t>(pairs));
  for (size_t i = 0; i < entries.size(); ++i) entries[i] = {values[2 * i], values[2 * i + 1]};
  const Value out = make_dict(heap_, entries);
  drop(pairs * 2);
  push(out);
}

void Machine::unpack(int32_t count) {
  const std::span<const Value> items = all_items(heap_, pop());
  if (items.size() != static_cast<size_t>(count)) {
    fail(ErrorCode::bad_file, "cannot unpack {} values into {} names", items.size(), count);
  }
  stack_.insert(stack_.end(), items.rbegin(), items.rend());
}

void Machine::store_attribute(const Instr& in) {
  const Value v = pop();
  const Value target = load(in.a);
  if (!target.is(Kind::name_space)) {
    fail(ErrorCode::bad_file, "cannot assign attribute on non-namespace object");
  }
  const Str* name = p_.constants[static_cast<size_t>(in.b)].str;
  if (name->view().substr(0, 1) == "_") {
    fail(ErrorCode::bad_file, "cannot assign attribute '{}' of a namespace", name->view());
  }
  set_attribute(heap_, *target.name_space, name, v);
}

void Machine::loop_next(const Instr& in) {
  Loop& loop = *loops_.back();
  Value item;
  if (!loop.fetch(heap_, item)) return jump(in);
  ++loop.index;
  loop.previous = loop.current;
  loop.current = item;
  if (in.a == 1) {
    scope_ = open_scope(scope_);
    if (loop_name_ >= 0) store(loop_name_, Value(&loop));
  }
  push(item);
}

void Machine::argument(const Instr& in) {
  for (int32_t i = 0; i < scope_->count; ++i) {
    Scope::Variable& variable = scope_->variables[i];
    if (variable.name != in.a) continue;
    if (!variable.value.is(Kind::missing)) return jump(in);
    const bool has_default = in.b > 0;
    if (has_default) return;
    Undefined* u = heap_.make<Undefined>();
    u->hint = heap_.copy(
        fmt::format("parameter '{}' was not provided", p_.names[static_cast<size_t>(in.a)]));
    variable.value = Value(static_cast<const Undefined*>(u));
    return;
  }
}

void Machine::finish() {
  if (frames_.empty()) {
    done_ = true;
    return;
  }
  const Frame frame = frames_.back();
  frames_.pop_back();
  const Str* text = captures_.back().finish(heap_);
  captures_.resize(frame.n_captures);
  pop_scope();
  scope_ = frame.scope;
  pc_ = frame.return_to;
  push(Value(text));
}

// Calls.

void Machine::take_arguments(const CallSpec& spec, std::vector<Value>& args,
                             std::vector<Keyword>& named) {
  const std::span<const Value> values = top(spec.on_stack());
  const auto n_args = static_cast<size_t>(spec.n_args);
  args.assign(values.begin(), values.begin() + spec.n_args);
  for (size_t i = 0; i < spec.keywords.size(); ++i) {
    named.push_back({p_.names[static_cast<size_t>(spec.keywords[i])], values[n_args + i]});
  }
  size_t next = n_args + spec.keywords.size();
  if (spec.star) {
    const std::span<const Value> more = all_items(heap_, values[next++]);
    args.insert(args.end(), more.begin(), more.end());
  }
  if (spec.star_star) {
    const Value more = values[next];
    if (!more.is(Kind::dict)) fail_type("a dict behind **", more);
    for (const Entry& entry : more.dict->span()) {
      if (!entry.key.is(Kind::string)) fail(ErrorCode::bad_file, "keywords must be strings");
      named.push_back({joined(heap_, entry.key.str)->view(), entry.value});
    }
  }
  heap_.step(static_cast<int64_t>((args.size() + named.size()) * sizeof(Keyword)));
  drop(spec.on_stack());
}

void Machine::native_call(const Instr& in, bool is_test) {
  const Native& native = *p_.natives[static_cast<size_t>(in.b)];
  std::vector<Value> args;
  std::vector<Keyword> named;
  take_arguments(p_.calls[static_cast<size_t>(in.a)], args, named);
  const Value self = pop();
  const Value out = invoke(context_, native, self, args, named);
  push(is_test ? Value(truth(out)) : out);
}

void Machine::call(const CallSpec& spec) {
  std::vector<Value> args;
  std::vector<Keyword> named;
  take_arguments(spec, args, named);
  const Value callee = pop();
  switch (callee.kind) {
    case Kind::macro:
      return call_macro(*callee.macro, args, named);
    case Kind::function:
      return push(invoke(context_, *callee.function, Value(), args, named));
    case Kind::method:
      return push(invoke(context_, *callee.method->function, callee.method->self, args, named));
    case Kind::joiner: {
      Joiner& joiner = *callee.joiner;
      push(Value(joiner.used ? joiner.separator : make_view(heap_, "", false)));
      joiner.used = true;
      return;
    }
    case Kind::undefined:
      fail_undefined(*callee.undefined);
    default:
      fail(ErrorCode::bad_file, "'{}' object is not callable", type_name(callee));
  }
}

void Machine::call_macro(const Macro& macro, std::span<const Value> args,
                         std::vector<Keyword>& named) {
  const MacroSpec& spec = *macro.spec;
  if (frames_.size() >= static_cast<size_t>(kMaxCallDepth)) {
    fail(ErrorCode::bad_file, "macros call each other more than {} deep", kMaxCallDepth);
  }
  frames_.push_back({pc_, scope_, captures_.size()});
  captures_.emplace_back();
  scope_ = open_scope(macro.closure);
  const auto take = [&](std::string_view name) {
    const auto found =
        std::find_if(named.begin(), named.end(), [&](const Keyword& k) { return k.name == name; });
    if (found == named.end()) return Value();
    const Value v = found->value;
    named.erase(found);
    return v;
  };
  const size_t n = spec.parameters.size();
  for (size_t i = 0; i < n; ++i) {
    const int32_t name = spec.parameters[i];
    store(name, i < args.size() ? args[i] : take(p_.names[static_cast<size_t>(name)]));
  }
  if (spec.wants_caller) {
    const Value caller = take("caller");
    if (!caller.is(Kind::missing)) {
      store(p_.find_name("caller"), caller);
    }
  }
  if (spec.wants_kwargs) {
    std::vector<Entry> entries;
    for (const Keyword& k : named)
      entries.push_back({Value(make_view(heap_, k.name, false)), k.value});
    store(p_.find_name("kwargs"), make_dict(heap_, entries));
  } else if (!named.empty()) {
    fail(ErrorCode::bad_file, "macro '{}' takes no keyword argument '{}'", spec.name,
         named[0].name);
  }
  const std::span<const Value> rest = args.subspan(std::min(n, args.size()));
  if (spec.wants_varargs) {
    store(p_.find_name("varargs"), make_seq(heap_, Flavour::tuple, rest));
  } else if (!rest.empty()) {
    fail(ErrorCode::bad_file, "macro '{}' takes not more than {} argument(s)", spec.name, n);
  }
  pc_ = static_cast<size_t>(spec.entry);
}

}  // namespace nibble::jinja
