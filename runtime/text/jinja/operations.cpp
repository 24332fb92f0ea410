// Arithmetic, containers and iteration.
#include "runtime/text/jinja/operations.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/io/error.h"

namespace nibble::jinja {

void fail_undefined(const Undefined& u) {
  if (!u.hint.empty()) fail(ErrorCode::bad_file, "{}", u.hint);
  if (u.owner == Kind::missing) fail(ErrorCode::bad_file, "'{}' is undefined", u.name);
  fail(ErrorCode::bad_file, "'{} object' has no attribute '{}'", u.owner_name, u.name);
}

void check_defined(const Value& v) {
  if (v.is(Kind::undefined)) fail_undefined(*v.undefined);
}

void fail_type(std::string_view wanted, const Value& got) {
  check_defined(got);
  fail(ErrorCode::bad_file, "expected {}, got {}", wanted, type_name(got));
}

namespace {

constexpr std::string_view kOpNames[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

[[noreturn]] void fail_operands(BinaryOp op, const Value& a, const Value& b) {
  if (op == BinaryOp::add && a.is(Kind::string)) {
    fail(ErrorCode::bad_file, "can only concatenate str (not \"{}\") to str", type_name(b));
  }
  fail(ErrorCode::bad_file, "unsupported operand type(s) for {}: '{}' and '{}'",
       kOpNames[static_cast<size_t>(op)], type_name(a), type_name(b));
}

[[noreturn]] void fail_overflow() {
  fail(ErrorCode::bad_file, "the template computes an integer of more than 64 bits");
}

[[noreturn]] void fail_zero() {
  fail(ErrorCode::bad_file, "division by zero");
}

int64_t power(int64_t base, int64_t exponent) {
  int64_t out = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(out, base, &out)) fail_overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_overflow();
  }
  return out;
}

Value integer_op(BinaryOp op, int64_t a, int64_t b) {
  int64_t out = 0;
  switch (op) {
    case BinaryOp::add:
      if (__builtin_add_overflow(a, b, &out)) fail_overflow();
      return Value(out);
    case BinaryOp::sub:
      if (__builtin_sub_overflow(a, b, &out)) fail_overflow();
      return Value(out);
    case BinaryOp::mul:
      if (__builtin_mul_overflow(a, b, &out)) fail_overflow();
      return Value(out);
    case BinaryOp::div:
      if (b == 0) fail_zero();
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case BinaryOp::floordiv:
    case BinaryOp::mod: {
      if (b == 0) fail_zero();
      if (b == -1) {  // INT64_MIN / -1 traps
        if (op == BinaryOp::mod) return Value(int64_t{0});
        if (__builtin_sub_overflow(int64_t{0}, a, &out)) fail_overflow();
        return Value(out);
      }
      const bool rounds = a % b != 0 && (a < 0) != (b < 0);
      return Value(op == BinaryOp::mod ? a % b + (rounds ? b : 0) : a / b - (rounds ? 1 : 0));
    }
    case BinaryOp::pow:
      if (b < 0) {
        if (a == 0) fail_zero();
        return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
      }
      return Value(power(a, b));
  }
  return Value(out);
}

Value real_op(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::add:
      return Value(a + b);
    case BinaryOp::sub:
      return Value(a - b);
    case BinaryOp::mul:
      return Value(a * b);
    case BinaryOp::pow:
      if (a == 0 && b < 0) fail_zero();
      if (a < 0 && std::floor(b) != b) {
        fail(ErrorCode::bad_file, "the template computes a complex number");
      }
      return Value(std::pow(a, b));
    default:
      break;
  }
  if (b == 0) fail_zero();
  if (op == BinaryOp::div) return Value(a / b);
  double rest = std::fmod(a, b);
  if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
  if (op == BinaryOp::mod) return Value(rest == 0 ? std::copysign(0.0, b) : rest);
  const double quotient = (a - rest) / b;
  const double floor = std::floor(quotient);
  return Value(quotient - floor > 0.5 ? floor + 1 : floor);
}

Value repeat(Heap& heap, const Value& v, int64_t times) {
  times = std::max<int64_t>(times, 0);
  if (v.is(Kind::string)) {
    const Str* s = joined(heap, v.str);
    if (times == 1) return v;
    if (s->size > 0 && times > kMaxTextBytes / s->size) {
      fail(ErrorCode::bad_file, "the template makes a text of more than {} bytes", kMaxTextBytes);
    }
    TextBuilder out;
    heap.step(times * s->size);
    for (int64_t i = 0; s->size > 0 && i < times; ++i) out.add(*s);
    return Value(out.finish(heap));
  }
  const Seq& seq = *v.seq;
  if (seq.count > 0) heap.check_count(times, sizeof(Value) * static_cast<size_t>(seq.count));
  Value* items = heap.make_array<Value>(seq.count > 0 ? seq.count * times : 0);
  heap.step(seq.count * times * static_cast<int64_t>(sizeof(Value)));
  for (int64_t i = 0; seq.count > 0 && i < seq.count * times; ++i) {
    items[i] = seq.items[i % seq.count];
  }
  return Value(
      heap.make<Seq>(Seq{seq.flavour, seq.depth, seq.count > 0 ? seq.count * times : 0, items, 0}));
}

bool is_plain_seq(const Value& v) noexcept {
  return v.is(Kind::sequence) && v.seq->flavour <= Flavour::tuple;
}

int32_t depth_of(const Value& v) noexcept {
  if (v.is(Kind::sequence)) return v.seq->depth;
  return v.is(Kind::dict) ? v.dict->depth : 0;
}

int32_t depth_over(int32_t depth) {
  if (depth >= kMaxValueDepth) fail(ErrorCode::bad_file, "the template nests values too deeply");
  return depth + 1;
}

}  // namespace

Value binary(Heap& heap, BinaryOp op, const Value& a, const Value& b) {
  heap.step();
  if (op == BinaryOp::mod && a.is(Kind::string)) return format_percent(heap, a.str, b);
  check_defined(a);
  check_defined(b);
  if (a.is_integral() && b.is_integral()) return integer_op(op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return real_op(op, a.as_real(), b.as_real());
  if (op == BinaryOp::add) {
    if (a.is(Kind::string) && b.is(Kind::string)) return Value(concat(heap, a.str, b.str));
    if (is_plain_seq(a) && is_plain_seq(b) && a.seq->flavour == b.seq->flavour) {
      std::vector<Value> items(a.seq->span().begin(), a.seq->span().end());
      heap.check_count(a.seq->count + b.seq->count, sizeof(Value));
      items.insert(items.end(), b.seq->span().begin(), b.seq->span().end());
      return make_seq(heap, a.seq->flavour, items);
    }
  }
  if (op == BinaryOp::mul) {
    const auto repeats = [](const Value& v) { return v.is(Kind::string) || is_plain_seq(v); };
    if (repeats(a) && b.is_integral()) return repeat(heap, a, b.as_int());
    if (repeats(b) && a.is_integral()) return repeat(heap, b, a.as_int());
  }
  fail_operands(op, a, b);
}

Value negate(const Value& v, bool minus) {
  check_defined(v);
  if (v.is(Kind::real)) return Value(minus ? -v.real : v.real);
  if (!v.is_integral()) {
    fail(ErrorCode::bad_file, "bad operand type for unary {}: '{}'", minus ? '-' : '+',
         type_name(v));
  }
  return minus ? integer_op(BinaryOp::sub, 0, v.as_int()) : Value(v.as_int());
}

Value make_seq(Heap& heap, Flavour flavour, std::span<const Value> items) {
  heap.step(static_cast<int64_t>(items.size_bytes()));
  int32_t depth = 0;
  for (const Value& item : items) depth = std::max(depth, depth_of(item));
  const int32_t own = depth_over(depth);
  return Value(
      heap.make<Seq>(Seq{flavour, own, static_cast<int64_t>(items.size()), heap.copy(items), 0}));
}

Value make_dict(Heap& heap, std::span<const Entry> entries) {
  heap.step(static_cast<int64_t>(entries.size_bytes()));
  Entry* kept = heap.make_array<Entry>(static_cast<int64_t>(entries.size()));
  Dict* dict = heap.make<Dict>();
  dict->entries = kept;
  int32_t depth = 0;
  for (const Entry& entry : entries) {
    if (const Value* old = find_key(heap, *dict, entry.key)) {
      *const_cast<Value*>(old) = entry.value;
    } else {
      kept[dict->count++] = entry;
    }
    depth = std::max({depth, depth_of(entry.key), depth_of(entry.value)});
  }
  dict->depth = depth_over(depth);
  return Value(dict);
}

const Value* find_key(Heap& heap, const Dict& dict, const Value& key) {
  const bool hashable =
      !(key.is(Kind::dict) || (key.is(Kind::sequence) && key.seq->flavour != Flavour::tuple));
  if (!hashable) fail(ErrorCode::bad_file, "unhashable type: '{}'", type_name(key));
  if (key.is(Kind::string)) return find_key(heap, dict, joined(heap, key.str)->view());
  for (const Entry& entry : dict.span()) {
    if (equals(heap, entry.key, key)) return &entry.value;
  }
  return nullptr;
}

const Value* find_key(Heap& heap, const Dict& dict, std::string_view key) {
  heap.step(dict.count * 16);
  for (const Entry& entry : dict.span()) {
    if (!entry.key.is(Kind::string) || entry.key.str->size != static_cast<int64_t>(key.size())) {
      continue;
    }
    heap.step(entry.key.str->size);
    if (joined(heap, entry.key.str)->view() == key) return &entry.value;
  }
  return nullptr;
}

void set_attribute(Heap& heap, Namespace& ns, const Str* name, const Value& v) {
  const std::string_view text = joined(heap, name)->view();
  if (const Value* old = find_attribute(heap, ns, text)) {
    *const_cast<Value*>(old) = v;
    return;
  }
  if (ns.count == ns.capacity) {
    const int64_t capacity = std::max<int64_t>(8, ns.capacity * 2);
    auto* grown = heap.make_array<Namespace::Attribute>(capacity);
    std::copy(ns.span().begin(), ns.span().end(), grown);
    ns.attributes = grown;
    ns.capacity = capacity;
  }
  ns.attributes[ns.count++] = {name, v};
}

const Value* find_attribute(Heap& heap, const Namespace& ns, std::string_view name) {
  heap.step(ns.count * 16);
  for (const Namespace::Attribute& attribute : ns.span()) {
    if (joined(heap, attribute.name)->view() == name) return &attribute.value;
  }
  return nullptr;
}

bool is_iterable(const Value& v) noexcept {
  return v.is(Kind::string) || v.is(Kind::sequence) || v.is(Kind::dict) || v.is(Kind::range) ||
         v.is(Kind::undefined);
}

Cursor::Cursor(Heap& heap, const Value& v) : source_(v) {
  if (v.is(Kind::string)) joined(heap, v.str);
  if (!is_iterable(v)) {
    fail(ErrorCode::bad_file, "'{}' object is not iterable", type_name(v));
  }
}

bool Cursor::next(Heap& heap, Value& item) {
  heap.step();
  switch (source_.kind) {
    case Kind::string: {
      const Str* s = source_.str;
      if (at_ >= s->size) return false;
      const int64_t size = code_point(s->view(), at_).size;
      item = Value(substr(heap, s, at_, at_ + size));
      at_ += size;
      return true;
    }
    case Kind::sequence: {
      const Seq& seq = *source_.seq;
      if (seq.flavour == Flavour::generator) {
        if (seq.position >= seq.count) return false;
        item = seq.items[seq.position++];
        return true;
      }
      if (at_ >= seq.count) return false;
      item = seq.items[at_++];
      return true;
    }
    case Kind::dict:
      if (at_ >= source_.dict->count) return false;
      item = source_.dict->entries[at_++].key;
      return true;
    case Kind::range:
      if (at_ >= source_.range->count) return false;
      item = Value(source_.range->start + at_++ * source_.range->step);
      return true;
    default:
      return false;
  }
}

int64_t Cursor::remaining(Heap& heap) const {
  switch (source_.kind) {
    case Kind::string:
      return length(heap, substr(heap, source_.str, at_, source_.str->size));
    case Kind::sequence:
      return source_.seq->flavour == Flavour::generator ? source_.seq->count - source_.seq->position
                                                        : source_.seq->count - at_;
    case Kind::dict:
      return source_.dict->count - at_;
    case Kind::range:
      return source_.range->count - at_;
    default:
      return 0;
  }
}

std::span<const Value> all_items(Heap& heap, const Value& v) {
  Cursor cursor(heap, v);
  if (v.is(Kind::sequence)) {
    const std::span<const Value> items = v.seq->span();
    if (v.seq->flavour == Flavour::generator) v.seq->position = v.seq->count;
    heap.step(static_cast<int64_t>(items.size()));
    return items;
  }
  const int64_t count = cursor.remaining(heap);
  Value* items = heap.make_array<Value>(count);
  for (int64_t i = 0; i < count; ++i) cursor.next(heap, items[i]);
  return {items, static_cast<size_t>(count)};
}

}  // namespace nibble::jinja
