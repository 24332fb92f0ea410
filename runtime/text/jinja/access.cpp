// Attributes, items and slices of values; calling a row of the tables.
#include <algorithm>
#include <charconv>

#include "formats/io/error.h"
#include "runtime/text/jinja/builtins.h"
#include "runtime/text/jinja/machine.h"

namespace nibble::jinja {
namespace {

Value undefined_attribute(Context& context, const Value& owner, std::string_view name) {
  Undefined* u = context.heap.make<Undefined>();
  u->name = context.heap.copy(name);
  u->owner = owner.kind;
  u->owner_name = type_name(owner);
  return Value(static_cast<const Undefined*>(u));
}

Value undefined_hint(Context& context, std::string_view hint) {
  Undefined* u = context.heap.make<Undefined>();
  u->hint = hint;
  return Value(static_cast<const Undefined*>(u));
}

Value loop_attribute(Context& context, Loop& loop, std::string_view name, bool& found) {
  Heap& heap = context.heap;
  found = true;
  if (name == "index") return Value(loop.index);
  if (name == "index0") return Value(loop.index - 1);
  if (name == "first") return Value(loop.index == 1);
  if (name == "last") return Value(loop.peek(heap).is(Kind::missing));
  if (name == "length") return Value(loop.length(heap));
  if (name == "revindex") return Value(loop.length(heap) - loop.index + 1);
  if (name == "revindex0") return Value(loop.length(heap) - loop.index);
  if (name == "depth") return Value(int64_t{1});
  if (name == "depth0") return Value(int64_t{0});
  if (name == "previtem") {
    return loop.previous.is(Kind::missing) ? undefined_hint(context, "there is no previous item")
                                           : loop.previous;
  }
  if (name == "nextitem") {
    const Value& next = loop.peek(heap);
    return next.is(Kind::missing) ? undefined_hint(context, "there is no next item") : next;
  }
  found = false;
  return Value();
}

Value own_attribute(Context& context, const Value& v, std::string_view name, bool& found) {
  found = true;
  switch (v.kind) {
    case Kind::loop: {
      const Value attribute = loop_attribute(context, *v.loop, name, found);
      if (found) return attribute;
      found = true;
      break;
    }
    case Kind::name_space:
      if (const Value* value = find_attribute(context.heap, *v.name_space, name)) return *value;
      break;
    case Kind::cycler:
      if (name == "current") return v.cycler->items->items[v.cycler->position];
      break;
    case Kind::range:
      if (name == "start") return Value(v.range->start);
      if (name == "stop") return Value(v.range->stop);
      if (name == "step") return Value(v.range->step);
      break;
    case Kind::macro:
      if (name == "name") return Value(make_view(context.heap, v.macro->spec->name, false));
      break;
    default:
      break;
  }
  if (const Native* method = find_method(v, name)) {
    return Value(static_cast<const Method*>(context.heap.make<Method>(Method{v, method})));
  }
  found = false;
  return Value();
}

// Attributes that Python has and jinja2's sandbox refuses.
bool is_refused(const Value& v, std::string_view name) noexcept {
  static constexpr std::string_view kList[] = {"append", "clear",  "pop",    "reverse",
                                               "insert", "extend", "remove", "sort"};
  static constexpr std::string_view kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  const auto in = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  if (name.substr(0, 2) == "__") return true;
  if (v.is(Kind::dict)) return in(kDict);
  return v.is(Kind::sequence) && v.seq->flavour == Flavour::list && in(kList);
}

Value refused(Context& context, const Value& v, std::string_view name) {
  return undefined_hint(
      context, context.heap.copy(fmt::format("access to attribute '{}' of '{}' object is unsafe.",
                                             name, type_name(v))));
}

// v[key] where v has items; missing where it has none of this key.
Value item_of(Context& context, const Value& v, const Value& key) {
  Heap& heap = context.heap;
  if (v.is(Kind::dict)) {
    const bool hashable =
        !key.is(Kind::dict) && !(key.is(Kind::sequence) && key.seq->flavour != Flavour::tuple);
    const Value* found = hashable ? find_key(heap, *v.dict, key) : nullptr;
    return found == nullptr ? Value() : *found;
  }
  if (!key.is_integral()) return Value();
  int64_t index = key.as_int();
  if (v.is(Kind::sequence) && v.seq->flavour <= Flavour::tuple) {
    if (index < 0) index += v.seq->count;
    return index < 0 || index >= v.seq->count ? Value() : v.seq->items[index];
  }
  if (v.is(Kind::range)) {
    if (index < 0) index += v.range->count;
    return index < 0 || index >= v.range->count ? Value()
                                                : Value(v.range->start + index * v.range->step);
  }
  if (v.is(Kind::string)) {
    const Str* s = joined(heap, v.str);
    const int64_t n = length(heap, s);
    if (index < 0) index += n;
    if (index < 0 || index >= n) return Value();
    const int64_t begin = byte_offset(heap, s, index);
    return Value(substr(heap, s, begin, begin + code_point(s->view(), begin).size));
  }
  return Value();
}

}  // namespace

Value get_attribute(Context& context, const Value& v, std::string_view name) {
  check_defined(v);
  bool found = false;
  const Value own = own_attribute(context, v, name, found);
  if (found) return own;
  if (is_refused(v, name)) return refused(context, v, name);
  if (v.is(Kind::dict)) {
    if (const Value* value = find_key(context.heap, *v.dict, name)) return *value;
  }
  return undefined_attribute(context, v, name);
}

Value get_item(Context& context, const Value& v, const Value& key) {
  check_defined(v);
  const Value item = item_of(context, v, key);
  if (!item.is(Kind::missing)) return item;
  if (key.is(Kind::string)) {
    const std::string_view name = joined(context.heap, key.str)->view();
    bool found = false;
    const Value own = own_attribute(context, v, name, found);
    if (found) return own;
    if (is_refused(v, name)) return refused(context, v, name);
    return undefined_attribute(context, v, name);
  }
  TextBuilder repr;
  append_repr(repr, context.heap, key);
  return undefined_hint(context, context.heap.copy(fmt::format("{} object has no element {}",
                                                               type_name(v), repr.bytes())));
}

namespace {

struct SliceBounds {
  int64_t start = 0, step = 1, count = 0;
};

SliceBounds slice_bounds(int64_t n, const Value& start, const Value& stop, const Value& step) {
  const auto index = [](const Value& v, int64_t otherwise) {
    if (v.is(Kind::none)) return otherwise;
    check_defined(v);
    if (!v.is_integral()) fail(ErrorCode::bad_file, "slice indices must be integers or None");
    return v.as_int();
  };
  SliceBounds b;
  b.step = index(step, 1);
  if (b.step == 0) fail(ErrorCode::bad_file, "slice step cannot be zero");
  // -2^63 has no negative; a step that long takes one item either way.
  b.step = std::clamp<int64_t>(b.step, -(int64_t{1} << 62), int64_t{1} << 62);
  const bool forward = b.step > 0;
  const auto clamp = [&](int64_t i) {
    if (i < 0) i = i < -n ? -1 : i + n;
    return forward ? std::clamp<int64_t>(i, 0, n) : std::clamp<int64_t>(i, -1, n - 1);
  };
  b.start = start.is(Kind::none) ? (forward ? 0 : n - 1) : clamp(index(start, 0));
  const int64_t end = stop.is(Kind::none) ? (forward ? n : -1) : clamp(index(stop, 0));
  const int64_t distance = forward ? end - b.start : b.start - end;
  const int64_t stride = forward ? b.step : -b.step;
  b.count = distance <= 0 ? 0 : (distance - 1) / stride + 1;
  return b;
}

Value slice_str(Heap& heap, const Str* s, const Value& start, const Value& stop,
                const Value& step) {
  joined(heap, s);
  const SliceBounds b = slice_bounds(length(heap, s), start, stop, step);
  if (b.count == 0) return Value(make_view(heap, "", false));
  if (b.step == 1) {
    const int64_t begin = byte_offset(heap, s, b.start);
    const Str* rest = substr(heap, s, begin, s->size);
    return Value(substr(heap, rest, 0, byte_offset(heap, rest, b.count)));
  }
  std::vector<int64_t> starts;  // of every code point
  heap.check_count(s->size, sizeof(int64_t));
  heap.step(s->size * 8);
  for (int64_t at = 0; at < s->size; at += code_point(s->view(), at).size) starts.push_back(at);
  TextBuilder out;
  for (int64_t i = 0; i < b.count; ++i) {
    const int64_t at = starts[static_cast<size_t>(b.start + i * b.step)];
    out.add(*s, at, at + code_point(s->view(), at).size);
  }
  return Value(out.finish(heap));
}

}  // namespace

Value get_slice(Context& context, const Value& v, const Value& start, const Value& stop,
                const Value& step) {
  Heap& heap = context.heap;
  check_defined(v);
  if (v.is(Kind::string)) return slice_str(heap, v.str, start, stop, step);
  if (v.is(Kind::sequence) && v.seq->flavour <= Flavour::tuple) {
    const SliceBounds b = slice_bounds(v.seq->count, start, stop, step);
    if (b.step == 1) {  // shares the items
      return Value(
          heap.make<Seq>(Seq{v.seq->flavour, v.seq->depth, b.count, v.seq->items + b.start, 0}));
    }
    std::vector<Value> items;
    heap.check_count(b.count, sizeof(Value));
    for (int64_t i = 0; i < b.count; ++i) items.push_back(v.seq->items[b.start + i * b.step]);
    return make_seq(heap, v.seq->flavour, items);
  }
  if (v.is(Kind::range)) {
    const SliceBounds b = slice_bounds(v.range->count, start, stop, step);
    Range* out = heap.make<Range>();
    out->start = v.range->start + b.start * v.range->step;
    out->step = b.count > 1 ? b.step * v.range->step : 1;
    out->count = b.count;
    out->stop = out->start + b.count * out->step;
    return Value(static_cast<const Range*>(out));
  }
  fail(ErrorCode::bad_file, "'{}' object is not subscriptable", type_name(v));
}

Value get_path(Context& context, const Value& v, const Value& path) {
  if (!path.is(Kind::string)) return get_item(context, v, path);
  const Str* s = joined(context.heap, path.str);
  std::string_view rest = s->view();
  Value out = v;
  while (true) {
    const std::string_view part = rest.substr(0, rest.find('.'));
    int64_t index = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_index =
        !part.empty() && part[0] != '-' && error == std::errc() && end == part.data() + part.size();
    out = get_item(context, out,
                   is_index ? Value(index) : Value(make_view(context.heap, part, s->user)));
    if (part.size() == rest.size()) return out;
    rest.remove_prefix(part.size() + 1);
  }
}

// Tables.

namespace {

const Native* find_in(std::span<const Native> rows, std::string_view name) noexcept {
  for (const Native& row : rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace

const Native* find_filter(std::string_view name) noexcept {
  for (const auto rows : {text_filters(), sequence_filters(), value_filters()}) {
    if (const Native* found = find_in(rows, name)) return found;
  }
  return nullptr;
}

const Native* find_test(std::string_view name) noexcept {
  return find_in(tests(), name);
}
const Native* find_function(std::string_view name) noexcept {
  return find_in(functions(), name);
}
const Native* find_method(const Value& v, std::string_view name) noexcept {
  return find_in(v.is(Kind::string) ? str_methods() : object_methods(v), name);
}

bool Call::truth_or(size_t i, bool otherwise) const noexcept {
  return has(i) ? truth(given[i]) : otherwise;
}

int64_t Call::int_or(size_t i, int64_t otherwise) const {
  if (!has(i)) return otherwise;
  if (!given[i].is_integral()) fail_type("an integer", given[i]);
  return given[i].as_int();
}

const Str* Call::text(size_t i) const {
  if (!given[i].is(Kind::string)) fail_type("a string", given[i]);
  return joined(heap, given[i].str);
}

const Str* Call::self_str() const {
  return joined(heap, to_str(heap, self));
}

namespace {

// Puts the arguments where the row's parameter names say.
void bind(Call& call) {
  std::string_view rest = call.native.parameters;
  size_t used = 0;
  size_t i = 0;
  for (; !rest.empty(); ++i) {
    std::string_view name = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    const bool required = name.back() == '!';
    if (required) name.remove_suffix(1);
    const auto named = std::find_if(call.named.begin(), call.named.end(),
                                    [&](const Keyword& k) { return k.name == name; });
    if (i < call.args.size()) {
      call.given[i] = call.args[i];
      if (named != call.named.end()) {
        fail(ErrorCode::bad_file, "{}: argument '{}' is given twice", call.native.name, name);
      }
    } else if (named != call.named.end()) {
      call.given[i] = named->value;
      ++used;
    } else if (required) {
      fail(ErrorCode::bad_file, "{}: argument '{}' is missing", call.native.name, name);
    }
  }
  if (call.args.size() > i) {
    fail(ErrorCode::bad_file, "{}: expected at most {} arguments, got {}", call.native.name, i,
         call.args.size());
  }
  if (used != call.named.size()) {
    fail(ErrorCode::bad_file, "{}: unexpected keyword argument", call.native.name);
  }
}

}  // namespace

Value invoke(Context& context, const Native& native, const Value& self, std::span<const Value> args,
             std::span<const Keyword> named) {
  context.heap.step();
  Call call{context, context.heap, native, self, {}, args, named};
  if (native.parameters != "*") bind(call);
  if (++context.depth > kMaxNativeDepth) {
    fail(ErrorCode::bad_file, "filters call each other more than {} deep", kMaxNativeDepth);
  }
  const Value out = native.run(call);
  --context.depth;
  return out;
}

}  // namespace nibble::jinja
