// Equality, order, membership and search.
#include <cstring>

#include "formats/io/error.h"
#include "runtime/text/jinja/operations.h"

namespace nibble::jinja {
namespace {

// Exact for every int64 and double where long double has 64 bits of mantissa (x86); elsewhere
// integers above 2^53 compare as doubles.
int compare_numbers(const Value& a, const Value& b) noexcept {
  if (a.is_integral() && b.is_integral()) {
    return a.as_int() < b.as_int() ? -1 : a.as_int() > b.as_int();
  }
  const auto wide = [](const Value& v) {
    return v.is(Kind::real) ? static_cast<long double>(v.real)
                            : static_cast<long double>(v.as_int());
  };
  const long double x = wide(a), y = wide(b);
  return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;  // 2: NaN
}

bool equal_dicts(Heap& heap, const Dict& a, const Dict& b, int depth) {
  if (a.count != b.count) return false;
  for (const Entry& entry : a.span()) {
    const Value* other = find_key(heap, b, entry.key);
    if (other == nullptr || !equals(heap, entry.value, *other, depth + 1)) return false;
  }
  return true;
}

bool equal_ranges(const Range& a, const Range& b) noexcept {
  if (a.count != b.count) return false;
  if (a.count == 0) return true;
  return a.start == b.start && (a.count == 1 || a.step == b.step);
}

bool equal_strs(Heap& heap, const Str* a, const Str* b) {
  if (a == b) return true;
  if (a->size != b->size) return false;
  heap.step(a->size);
  return joined(heap, a)->view() == joined(heap, b)->view();
}

[[noreturn]] void fail_order(CompareOp op, const Value& a, const Value& b) {
  static constexpr std::string_view kNames[] = {"==", "!=", "<", "<=", ">", ">="};
  fail(ErrorCode::bad_file, "'{}' not supported between instances of '{}' and '{}'",
       kNames[static_cast<size_t>(op)], type_name(a), type_name(b));
}

// -1, 0, 1, or 2 if neither is smaller (NaN).
int order(Heap& heap, CompareOp op, const Value& a, const Value& b, int depth) {
  heap.step();
  check_defined(a);
  check_defined(b);
  if (a.is_number() && b.is_number()) return compare_numbers(a, b);
  if (a.is(Kind::string) && b.is(Kind::string)) {
    heap.step(std::min(a.str->size, b.str->size));
    const int c = joined(heap, a.str)->view().compare(joined(heap, b.str)->view());
    return c < 0 ? -1 : c > 0;
  }
  if (a.is(Kind::sequence) && b.is(Kind::sequence) && a.seq->flavour == b.seq->flavour &&
      a.seq->flavour <= Flavour::tuple && depth < kMaxValueDepth) {
    const std::span<const Value> x = a.seq->span(), y = b.seq->span();
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (!equals(heap, x[i], y[i])) return order(heap, op, x[i], y[i], depth + 1);
    }
    return x.size() < y.size() ? -1 : x.size() > y.size();
  }
  fail_order(op, a, b);
}

}  // namespace

bool equals(Heap& heap, const Value& a, const Value& b, int depth) {
  heap.step();
  if (depth > kMaxValueDepth) fail(ErrorCode::bad_file, "the template nests values too deeply");
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::string:
      return equal_strs(heap, a.str, b.str);
    case Kind::dict:
      return a.dict == b.dict || equal_dicts(heap, *a.dict, *b.dict, depth);
    case Kind::range:
      return equal_ranges(*a.range, *b.range);
    case Kind::sequence: {
      if (a.seq == b.seq) return true;
      if (a.seq->flavour != b.seq->flavour || a.seq->count != b.seq->count ||
          a.seq->flavour == Flavour::generator) {
        return false;
      }
      for (int64_t i = 0; i < a.seq->count; ++i) {
        if (!equals(heap, a.seq->items[i], b.seq->items[i], depth + 1)) return false;
      }
      return true;
    }
    case Kind::method:
      return a.method->function == b.method->function &&
             equals(heap, a.method->self, b.method->self, depth + 1);
    default:
      return a.loop == b.loop;  // identity of whatever it points to
  }
}

bool compare(Heap& heap, CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::eq:
      return equals(heap, a, b);
    case CompareOp::ne:
      return !equals(heap, a, b);
    case CompareOp::lt:
      return order(heap, op, a, b, 0) == -1;
    case CompareOp::gt:
      return order(heap, op, a, b, 0) == 1;
    case CompareOp::le: {
      const int c = order(heap, op, a, b, 0);
      return c == -1 || c == 0;
    }
    case CompareOp::ge: {
      const int c = order(heap, op, a, b, 0);
      return c == 1 || c == 0;
    }
    case CompareOp::in:
      return contains(heap, b, a);
    case CompareOp::not_in:
      return !contains(heap, b, a);
  }
  return false;
}

bool contains(Heap& heap, const Value& container, const Value& item) {
  if (container.is(Kind::string)) {
    if (!item.is(Kind::string)) {
      fail(ErrorCode::bad_file, "'in <string>' requires string as left operand, not {}",
           type_name(item));
    }
    const std::string_view needle = joined(heap, item.str)->view();
    const std::string_view text = joined(heap, container.str)->view();
    return find_text(heap, text, needle, 0, container.str->size) >= 0;
  }
  if (container.is(Kind::dict)) return find_key(heap, *container.dict, item) != nullptr;
  if (container.is(Kind::range) && item.is_integral()) {
    const Range& r = *container.range;
    if (r.count == 0) return false;
    const int64_t last = r.start + (r.count - 1) * r.step;
    const int64_t i = item.as_int();
    return i >= std::min(r.start, last) && i <= std::max(r.start, last) &&
           (i - r.start) % r.step == 0;
  }
  if (!is_iterable(container)) {
    fail(ErrorCode::bad_file, "argument of type '{}' is not iterable", type_name(container));
  }
  Cursor cursor(heap, container);
  for (Value candidate; cursor.next(heap, candidate);) {
    if (equals(heap, candidate, item)) return true;
  }
  return false;
}

int64_t find_text(Heap& heap, std::string_view text, std::string_view needle, int64_t begin,
                  int64_t end) {
  if (begin > end) return -1;
  if (needle.empty()) return begin;
  // memmem is linear in both lengths (two-way search); string_view::find is not.
  const void* found =
      memmem(text.data() + begin, static_cast<size_t>(end - begin), needle.data(), needle.size());
  const int64_t at = found == nullptr ? -1 : static_cast<const char*>(found) - text.data();
  heap.step((at < 0 ? end : at) - begin + static_cast<int64_t>(needle.size()));
  return at;
}

int64_t rfind_text(Heap& heap, std::string_view text, std::string_view needle, int64_t begin,
                   int64_t end) {
  if (begin > end) return -1;
  if (needle.empty()) return end;
  const auto size = static_cast<int64_t>(needle.size());
  for (int64_t at = end - size; at >= begin; --at) {
    if (text[static_cast<size_t>(at)] != needle[0]) continue;
    heap.step(size);
    if (text.substr(static_cast<size_t>(at), needle.size()) == needle) return at;
  }
  heap.step(end - begin);
  return -1;
}

}  // namespace nibble::jinja
