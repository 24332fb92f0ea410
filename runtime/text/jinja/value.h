#pragma once
// What a template computes with: Python's types as jinja2 sees them. A Value is a tag and a word;
// whatever does not fit lives in the Heap of the render (or in the Program, for literals) and is
// never freed on its own. Lists and dicts are immutable, as in jinja2's ImmutableSandbox; only
// namespaces, loops, cyclers and joiners change.
#include <cstdint>
#include <span>
#include <string_view>

namespace nibble::jinja {

struct Str;
struct Undefined;
struct Seq;
struct Dict;
struct Range;
struct Namespace;
struct Macro;
struct Native;
struct Method;
struct Loop;
struct Cycler;
struct Joiner;

enum class Kind : uint8_t {
  missing,  // an argument that was not given; templates never see it
  undefined,
  none,
  boolean,
  integer,
  real,
  string,
  sequence,
  dict,
  range,
  name_space,
  macro,
  function,
  method,
  loop,
  cycler,
  joiner,
};

struct Value {
  Kind kind = Kind::missing;
  union {
    bool boolean;
    int64_t integer = 0;
    double real;
    const Str* str;
    const Undefined* undefined;
    const Seq* seq;
    const Dict* dict;
    const Range* range;
    Namespace* name_space;
    const Macro* macro;
    const Native* function;
    const Method* method;
    Loop* loop;
    Cycler* cycler;
    Joiner* joiner;
  };

  Value() = default;
  explicit Value(bool b) : kind(Kind::boolean) { boolean = b; }
  explicit Value(int64_t i) : kind(Kind::integer) { integer = i; }
  explicit Value(double d) : kind(Kind::real) { real = d; }
  explicit Value(const Str* s) : kind(Kind::string) { str = s; }
  explicit Value(const Undefined* u) : kind(Kind::undefined) { undefined = u; }
  explicit Value(const Seq* s) : kind(Kind::sequence) { seq = s; }
  explicit Value(const Dict* d) : kind(Kind::dict) { dict = d; }
  explicit Value(const Range* r) : kind(Kind::range) { range = r; }
  explicit Value(Namespace* n) : kind(Kind::name_space) { name_space = n; }
  explicit Value(const Macro* m) : kind(Kind::macro) { macro = m; }
  explicit Value(const Native* f) : kind(Kind::function) { function = f; }
  explicit Value(const Method* m) : kind(Kind::method) { method = m; }
  explicit Value(Loop* l) : kind(Kind::loop) { loop = l; }
  explicit Value(Cycler* c) : kind(Kind::cycler) { cycler = c; }
  explicit Value(Joiner* j) : kind(Kind::joiner) { joiner = j; }
  static Value none() noexcept {
    Value v;
    v.kind = Kind::none;
    return v;
  }

  bool is(Kind k) const noexcept { return kind == k; }
  /// int or bool: what Python accepts as an integer.
  bool is_integral() const noexcept { return is(Kind::integer) || is(Kind::boolean); }
  bool is_number() const noexcept { return is_integral() || is(Kind::real); }
  int64_t as_int() const noexcept { return is(Kind::boolean) ? int64_t{boolean} : integer; }
  double as_real() const noexcept { return is(Kind::real) ? real : static_cast<double>(as_int()); }
};

/// Why a value is undefined, for the message when somebody uses it.
struct Undefined {
  std::string_view hint;       // the whole message, if not empty
  std::string_view name;       // else: 'name' is undefined, or
  Kind owner = Kind::missing;  // 'list object' has no attribute 'name', if set
  std::string_view owner_name;
};

enum class Flavour : uint8_t { list, tuple, keys, values, items, generator };

struct Seq {
  Flavour flavour = Flavour::list;
  int32_t depth = 1;  // of nesting: 1 if no item is a container
  int64_t count = 0;
  const Value* items = nullptr;  // [count]
  mutable int64_t position = 0;  // of a generator: items before it are used up

  std::span<const Value> span() const noexcept {
    const int64_t from = flavour == Flavour::generator ? position : 0;
    return {items + from, static_cast<size_t>(count - from)};
  }
};

struct Entry {
  Value key, value;
};

struct Dict {
  int32_t depth = 1;
  int64_t count = 0;
  const Entry* entries = nullptr;  // [count], keys differ, in order of insertion

  std::span<const Entry> span() const noexcept { return {entries, static_cast<size_t>(count)}; }
};

struct Range {
  int64_t start = 0, stop = 0, step = 1;
  int64_t count = 0;
};

struct Namespace {
  struct Attribute {
    const Str* name;
    Value value;
  };
  Attribute* attributes = nullptr;  // [capacity], of which count are set
  int64_t count = 0, capacity = 0;

  std::span<Attribute> span() const noexcept { return {attributes, static_cast<size_t>(count)}; }
};

struct MacroSpec;
struct Scope;

struct Macro {
  const MacroSpec* spec = nullptr;
  Scope* closure = nullptr;
};

struct Method {
  Value self;
  const Native* function = nullptr;
};

struct Cycler {
  const Seq* items = nullptr;  // at least one
  int64_t position = 0;
};

struct Joiner {
  const Str* separator = nullptr;
  bool used = false;
};

}  // namespace nibble::jinja
