#pragma once
// A template as code for a stack machine. It is immutable and may be run by any number of threads.
// Jumps are relative to the next instruction, so that pieces of code can be moved while they are
// put together; nesting exists only while parsing, so running needs no recursion.
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/text/jinja/builtins.h"

namespace nibble::jinja {

enum class Op : uint8_t {
  constant,       // push constants[a]
  load,           // push the variable names[a]
  get_attribute,  // v -> v.names[a]
  get_item,       // v, key -> v[key]
  get_slice,      // v, start, stop, step -> v[start:stop:step]
  binary,         // x, y -> x <BinaryOp a> y
  compare,        // x, y -> x <CompareOp a> y
  compare_chain,  // x, y -> y if the comparison holds; else -> false and jump
  concat,         // a values -> one string
  negate,         // v -> -v (a = 1) or +v
  logical_not,
  jump,
  jump_if_false,       // v ->
  jump_if_false_keep,  // v -> v and jump, or nothing
  jump_if_true_keep,
  duplicate,  // v -> v, v
  make_list,  // a values -> list
  make_tuple,
  make_dict,  // a pairs -> dict
  call,       // callee, arguments as calls[a] says -> result
  filter,     // v, arguments -> natives[b](v, arguments), calls[a]
  test,
  unknown,          // error: constants[a] says what this program does not know
  emit,             // v -> writes str(v)
  emit_data,        // writes constants[a]
  store,            // v -> variable names[a] of the innermost scope
  store_attribute,  // v -> namespace names[a], attribute constants[b]
  unpack,           // v -> its a items, the first on top
  push_scope,
  push_root_scope,  // a scope that sees only what the template's outermost one has
  pop_scope,
  loop_begin,    // iterable ->
  loop_next,     // -> item, in a scope of its own if a = 1; jumps when there is none
  loop_mark,     // the body ran to its end
  loop_end,      // jumps if a body ran to its end
  filter_begin,  // collects for `for x in xs if ...`
  filter_item,   // item, condition -> ; keeps the item if the condition holds
  filter_end,    // -> list of what was kept
  capture_begin,
  capture_end,  // -> what was written since
  drop_capture,
  make_macro,  // -> macros[a], with the present scope
  argument,    // if parameter names[a] was given, jumps; else it becomes undefined
  finish,      // end of a macro or of the template
};

struct Instr {
  Op op = Op::finish;
  int32_t a = 0;
  int32_t b = 0;  // also the distance of a jump
  int32_t line = 0;
};

inline constexpr int32_t kNoArguments = 0;  // calls[0] is the empty one

/// How the arguments of a call lie on the stack: positional, then keyword values.
struct CallSpec {
  int32_t n_args = 0;
  std::vector<int32_t> keywords;  // names
  bool star = false;              // then a list of further arguments
  bool star_star = false;         // then a dict of further keywords
  int32_t on_stack() const noexcept {
    return n_args + static_cast<int32_t>(keywords.size()) + star + star_star;
  }
};

struct MacroSpec {
  std::string_view name;
  std::vector<int32_t> parameters;  // names
  int32_t entry = 0;                // index of its first instruction
  bool wants_varargs = false, wants_kwargs = false, wants_caller = false;
};

struct Program {
  std::string source;  // newlines normalized
  std::vector<Instr> code;
  std::vector<Value> constants;
  std::vector<std::string_view> names;
  std::vector<CallSpec> calls;
  std::vector<const Native*> natives;
  std::deque<MacroSpec> macros;

  // What the above points to. Deques: elements do not move.
  std::deque<std::string> texts;
  std::deque<Str> strs;
  std::deque<Undefined> undefineds;
  std::unordered_map<std::string_view, int32_t> name_ids;

  int32_t name_id(std::string_view name);          // adds it if it is new
  int32_t find_name(std::string_view name) const;  // -1 if the template never mentions it
  int32_t add_text(std::string text);              // a constant
};

/// Errors: bad_file with line and column; unsupported (names the construct).
void compile(std::string_view source, Program& program);

}  // namespace nibble::jinja
