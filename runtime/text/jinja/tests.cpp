// What may stand behind `is`, and in select and reject.
#include "formats/io/error.h"
#include "runtime/text/jinja/builtins.h"

namespace nibble::jinja {
namespace {

Value is_kind(Call& c, Kind kind) {
  return Value(c.self.is(kind));
}

Value compared(Call& c, CompareOp op) {
  return Value(compare(c.heap, op, c.self, c.given[0]));
}

Value remainder_is(Call& c, const Value& divisor, int64_t wanted) {
  const Value rest = binary(c.heap, BinaryOp::mod, c.self, divisor);
  return Value(equals(c.heap, rest, Value(wanted)));
}

// Some letter of this case, none of the other.
Value all_case(Call& c, CharClass wanted, CharClass other) {
  const Str* s = c.self_str();
  c.heap.step(s->size * 4);
  bool some = false;
  for (int64_t at = 0; at < s->size;) {
    const CodePoint cp = code_point(s->view(), at);
    if (in_class(cp.cp, other)) return Value(false);
    some |= in_class(cp.cp, wanted);
    at += cp.size;
  }
  return Value(some);
}

Value test_sameas(Call& c) {
  const Value& a = c.self;
  const Value& b = c.given[0];
  if (a.kind != b.kind) return Value(false);
  switch (a.kind) {
    case Kind::none:
      return Value(true);
    case Kind::boolean:
    case Kind::integer:
    case Kind::real:
    case Kind::string:
      return Value(equals(c.heap, a, b));
    default:
      return Value(a.loop == b.loop);
  }
}

Value test_sequence(Call& c) {
  switch (c.self.kind) {
    case Kind::string:
    case Kind::dict:
    case Kind::range:
    case Kind::undefined:
      return Value(true);
    case Kind::sequence:
      return Value(c.self.seq->flavour <= Flavour::tuple);
    default:
      return Value(false);
  }
}

Value test_callable(Call& c) {
  switch (c.self.kind) {
    case Kind::macro:
    case Kind::function:
    case Kind::method:
    case Kind::joiner:
    case Kind::loop:
    case Kind::undefined:
      return Value(true);
    default:
      return Value(false);
  }
}

template <const Native* (*find)(std::string_view) noexcept>
Value is_name_of(Call& c) {
  return Value(c.self.is(Kind::string) && find(joined(c.heap, c.self.str)->view()) != nullptr);
}

constexpr Native kRows[] = {
    {"!=", "b!", [](Call& c) { return compared(c, CompareOp::ne); }},
    {"<", "b!", [](Call& c) { return compared(c, CompareOp::lt); }},
    {"<=", "b!", [](Call& c) { return compared(c, CompareOp::le); }},
    {"==", "b!", [](Call& c) { return compared(c, CompareOp::eq); }},
    {">", "b!", [](Call& c) { return compared(c, CompareOp::gt); }},
    {">=", "b!", [](Call& c) { return compared(c, CompareOp::ge); }},
    {"boolean", "", [](Call& c) { return is_kind(c, Kind::boolean); }},
    {"callable", "", test_callable},
    {"defined", "", [](Call& c) { return Value(!c.self.is(Kind::undefined)); }},
    {"divisibleby", "num!", [](Call& c) { return remainder_is(c, c.given[0], 0); }},
    {"eq", "b!", [](Call& c) { return compared(c, CompareOp::eq); }},
    {"equalto", "b!", [](Call& c) { return compared(c, CompareOp::eq); }},
    {"escaped", "", [](Call&) { return Value(false); }},
    {"even", "", [](Call& c) { return remainder_is(c, Value(int64_t{2}), 0); }},
    {"false", "", [](Call& c) { return Value(c.self.is(Kind::boolean) && !c.self.boolean); }},
    {"filter", "", is_name_of<find_filter>},
    {"float", "", [](Call& c) { return is_kind(c, Kind::real); }},
    {"ge", "b!", [](Call& c) { return compared(c, CompareOp::ge); }},
    {"greaterthan", "b!", [](Call& c) { return compared(c, CompareOp::gt); }},
    {"gt", "b!", [](Call& c) { return compared(c, CompareOp::gt); }},
    {"in", "seq!", [](Call& c) { return Value(contains(c.heap, c.given[0], c.self)); }},
    {"integer", "", [](Call& c) { return is_kind(c, Kind::integer); }},
    {"iterable", "", [](Call& c) { return Value(is_iterable(c.self) || c.self.is(Kind::loop)); }},
    {"le", "b!", [](Call& c) { return compared(c, CompareOp::le); }},
    {"lessthan", "b!", [](Call& c) { return compared(c, CompareOp::lt); }},
    {"lower", "", [](Call& c) { return all_case(c, CharClass::lower, CharClass::upper); }},
    {"lt", "b!", [](Call& c) { return compared(c, CompareOp::lt); }},
    {"mapping", "", [](Call& c) { return is_kind(c, Kind::dict); }},
    {"ne", "b!", [](Call& c) { return compared(c, CompareOp::ne); }},
    {"none", "", [](Call& c) { return is_kind(c, Kind::none); }},
    {"number", "", [](Call& c) { return Value(c.self.is_number()); }},
    {"odd", "", [](Call& c) { return remainder_is(c, Value(int64_t{2}), 1); }},
    {"sameas", "other!", test_sameas},
    {"sequence", "", test_sequence},
    {"string", "", [](Call& c) { return is_kind(c, Kind::string); }},
    {"test", "", is_name_of<find_test>},
    {"true", "", [](Call& c) { return Value(c.self.is(Kind::boolean) && c.self.boolean); }},
    {"undefined", "", [](Call& c) { return is_kind(c, Kind::undefined); }},
    {"upper", "", [](Call& c) { return all_case(c, CharClass::upper, CharClass::lower); }},
};

}  // namespace

std::span<const Native> tests() noexcept {
  return kRows;
}

}  // namespace nibble::jinja
