#pragma once
// Runs a Program. All state is in vectors here and in the Heap: macros that call macros, loops and
// captured blocks nest without recursion of ours, so the native stack stays flat.
#include <memory>
#include <string_view>
#include <vector>

#include "runtime/text/jinja/program.h"

namespace nibble::jinja {

struct Scope {
  struct Variable {
    int32_t name;
    Value value;
  };
  Scope* parent = nullptr;        // where names are looked up next
  Scope* resume = nullptr;        // what is innermost when this one is closed
  Variable* variables = nullptr;  // [capacity], of which count are set
  int32_t count = 0, capacity = 0;
  bool captured = false;  // a macro refers to it: it cannot be reused
};

struct Loop {
  Cursor cursor;
  int64_t index = 0;              // of the current item, from 1
  int64_t total = -1;             // -1: not asked for yet
  Value previous, current, next;  // missing where there is none
  bool peeked = false;
  bool completed = false;  // a body ran to its end
  Value changed;           // argument of loop.changed, a tuple

  bool fetch(Heap& heap, Value& item);
  /// The item after the current one, missing at the end.
  const Value& peek(Heap& heap);
  int64_t length(Heap& heap);
};

class Machine {
 public:
  Machine(const Program& program, Context& context);
  /// A variable the template sees. Unused names cost nothing.
  void define(std::string_view name, const Value& v);
  /// Runs the template. Errors carry the line.
  TextBuilder run();

 private:
  struct Frame {  // of a macro that runs
    size_t return_to;
    Scope* scope;
    size_t n_captures;
  };

  void execute();
  void step(const Instr& in);
  void step_statement(const Instr& in);
  void jump(const Instr& in) { pc_ = static_cast<size_t>(static_cast<int64_t>(pc_) + in.b); }

  void push(const Value& v) { stack_.push_back(v); }
  Value pop();
  /// The top n values, which stay there; drop(n) removes them.
  std::span<const Value> top(int32_t n) const;
  void drop(int32_t n) { stack_.resize(stack_.size() - static_cast<size_t>(n)); }

  Value load(int32_t name);
  void store(int32_t name, const Value& v);
  Scope* open_scope(Scope* parent);
  void pop_scope();

  void compare_chain(const Instr& in);
  void make_dict_of(int32_t pairs);
  void unpack(int32_t count);
  void store_attribute(const Instr& in);
  void loop_next(const Instr& in);
  void argument(const Instr& in);
  void finish();
  void emit(const Value& v);

  void call(const CallSpec& spec);
  void native_call(const Instr& in, bool is_test);
  /// Takes the arguments that spec describes from the stack.
  void take_arguments(const CallSpec& spec, std::vector<Value>& args, std::vector<Keyword>& named);
  void call_macro(const Macro& macro, std::span<const Value> args, std::vector<Keyword>& named);

  const Program& p_;
  Context& context_;
  Heap& heap_;
  size_t pc_ = 0;
  bool done_ = false;
  std::vector<Value> stack_;
  std::vector<Frame> frames_;
  std::vector<Loop*> loops_;
  std::vector<std::vector<Value>> collected_;  // by `for ... if`
  std::vector<TextBuilder> captures_;          // the last is written to
  std::vector<Scope*> free_scopes_;
  Scope* root_ = nullptr;
  Scope* scope_ = nullptr;
  int32_t loop_name_ = -1;
};

}  // namespace nibble::jinja
