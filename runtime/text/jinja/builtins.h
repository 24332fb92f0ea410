#pragma once
// The functions templates can call, as tables: filters, tests, global functions, and the methods of
// each type. A row says name, parameters and code; what is in no table does not exist for a
// template, so nothing of the host can be reached from one.
#include <array>
#include <span>
#include <string>
#include <string_view>

#include "runtime/text/jinja/operations.h"
#include "runtime/text/jinja/value.h"

namespace nibble::jinja {

/// What a render lends to the functions.
struct Context {
  Heap& heap;
  std::string date;  // for strftime_now: YYYY-MM-DD, with " HH:MM:SS" or without; empty: now, UTC
  int depth = 0;     // functions that call functions (map, select)
};

struct Keyword {
  std::string_view name;
  Value value;
};

/// One call: arguments already bound to the row's parameters.
struct Call {
  Context& context;
  Heap& heap;
  const Native& native;
  Value self;                   // what is filtered or tested; the object of a method
  std::array<Value, 6> given;   // [parameters]; Kind::missing where nothing was given
  std::span<const Value> args;  // as written; for rows whose parameters are "*"
  std::span<const Keyword> named;

  bool has(size_t i) const noexcept { return !given[i].is(Kind::missing); }
  bool truth_or(size_t i, bool otherwise) const noexcept;
  int64_t int_or(size_t i, int64_t otherwise) const;  // error: not an integer
  /// The string given, written out. Error: not a string.
  const Str* text(size_t i) const;
  const Str* self_str() const;  // str(self), written out
};

struct Native {
  std::string_view name;
  /// Names in order, separated by spaces; "!" behind a name: required. "*": any arguments.
  std::string_view parameters;
  Value (*run)(Call&);
};

std::span<const Native> text_filters() noexcept;
std::span<const Native> sequence_filters() noexcept;
std::span<const Native> value_filters() noexcept;
std::span<const Native> tests() noexcept;
std::span<const Native> functions() noexcept;
std::span<const Native> str_methods() noexcept;
std::span<const Native> object_methods(const Value& v) noexcept;  // of what is not a str

const Native* find_filter(std::string_view name) noexcept;
const Native* find_test(std::string_view name) noexcept;
const Native* find_function(std::string_view name) noexcept;
const Native* find_method(const Value& v, std::string_view name) noexcept;

/// Binds the arguments and runs. Errors: bad_file (arguments that do not fit; what run says).
Value invoke(Context& context, const Native& native, const Value& self, std::span<const Value> args,
             std::span<const Keyword> named);

/// jinja2's obj.name, obj[key] and obj[start:stop:step]. Undefined where there is no such thing.
Value get_attribute(Context& context, const Value& v, std::string_view name);
Value get_item(Context& context, const Value& v, const Value& key);
Value get_slice(Context& context, const Value& v, const Value& start, const Value& stop,
                const Value& step);
/// The item that a dotted path leads to: "function.name", "0.x", or an integer.
Value get_path(Context& context, const Value& v, const Value& path);

/// json.dumps. indent: spaces, or none.
struct JsonStyle {
  bool ascii = false;
  const Str* indent = nullptr;  // null: on one line
  std::string_view item_separator = ", ", key_separator = ": ";
  bool sort_keys = false;
};
void append_json(TextBuilder& out, Heap& heap, const Value& v, const JsonStyle& style);
/// JSON text as values; its strings are the user's. Error: bad_argument naming `what`.
Value parse_json(Heap& heap, std::string_view json, std::string_view what);

/// datetime.strftime in English.
std::string format_time(std::string_view date, std::string_view format);

/// str.format.
Value format_braces(Call& call);

}  // namespace nibble::jinja
