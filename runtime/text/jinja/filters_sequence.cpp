// Filters over sequences. jinja2's generators are made at once here and handed out item by item:
// they too are used up by whoever walks over them, and are true even when empty.
#include <algorithm>

#include "formats/io/error.h"
#include "runtime/text/jinja/builtins.h"

namespace nibble::jinja {
namespace {

Value generator(Call& c, const std::vector<Value>& items) {
  return make_seq(c.heap, Flavour::generator, items);
}

void keep(Call& c, std::vector<Value>& items, const Value& v) {
  items.push_back(v);
  c.heap.check_count(static_cast<int64_t>(items.size()), sizeof(Value));
}

Value undefined_because(Call& c, std::string_view why) {
  Undefined* u = c.heap.make<Undefined>();
  u->hint = why;
  return Value(static_cast<const Undefined*>(u));
}

Value ignore_case(Call& c, const Value& v, bool case_sensitive) {
  if (case_sensitive || !v.is(Kind::string)) return v;
  return Value(change_case(c.heap, v.str, Case::lower));
}

Value filter_first(Call& c) {
  Cursor cursor(c.heap, c.self);
  Value item;
  return cursor.next(c.heap, item) ? item
                                   : undefined_because(c, "No first item, sequence was empty.");
}

Value filter_last(Call& c) {
  if (c.self.is(Kind::sequence) && c.self.seq->flavour == Flavour::generator) {
    fail(ErrorCode::bad_file, "'generator' object is not reversible");
  }
  if (c.self.is(Kind::string)) {
    const Str* s = joined(c.heap, c.self.str);
    if (s->size > 0) return Value(substr(c.heap, s, previous(s->view(), s->size), s->size));
    return undefined_because(c, "No last item, sequence was empty.");
  }
  const std::span<const Value> items = all_items(c.heap, c.self);
  return items.empty() ? undefined_because(c, "No last item, sequence was empty.") : items.back();
}

Value filter_list(Call& c) {
  return make_seq(c.heap, Flavour::list, all_items(c.heap, c.self));
}

Value filter_reverse(Call& c) {
  if (c.self.is(Kind::string)) {
    return get_slice(c.context, c.self, Value::none(), Value::none(), Value(int64_t{-1}));
  }
  const std::span<const Value> items = all_items(c.heap, c.self);
  return generator(c, std::vector<Value>(items.rbegin(), items.rend()));
}

// Sorts indices, so that keys are computed once. Merge sort: comparisons may throw.
std::vector<size_t> sorted(Call& c, const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order(keys.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::vector<size_t> other(order.size());
  for (size_t width = 1; width < order.size(); width *= 2) {
    for (size_t begin = 0; begin < order.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, order.size());
      const size_t end = std::min(begin + 2 * width, order.size());
      size_t left = begin, right = middle;
      for (size_t out = begin; out < end; ++out) {
        const bool take_right =
            right < end &&
            (left >= middle || compare(c.heap, reverse ? CompareOp::gt : CompareOp::lt,
                                       keys[order[right]], keys[order[left]]));
        other[out] = take_right ? order[right++] : order[left++];
      }
    }
    order.swap(other);
  }
  return order;
}

Value pick(Call& c, std::span<const Value> items, const std::vector<size_t>& order) {
  std::vector<Value> out;
  for (const size_t i : order) out.push_back(items[i]);
  return make_seq(c.heap, Flavour::list, out);
}

Value filter_sort(Call& c) {
  const bool reverse = c.truth_or(0, false), case_sensitive = c.truth_or(1, false);
  const std::span<const Value> items = all_items(c.heap, c.self);
  std::vector<Value> keys;
  for (const Value& item : items) {
    if (!c.has(2) || c.given[2].is(Kind::none)) {
      keys.push_back(ignore_case(c, item, case_sensitive));
      continue;
    }
    if (!c.given[2].is(Kind::string)) {
      keys.push_back(ignore_case(c, get_path(c.context, item, c.given[2]), case_sensitive));
      continue;
    }
    std::vector<Value> parts;  // "age,name"
    const Str* paths = c.text(2);
    for (int64_t begin = 0; begin <= paths->size;) {
      int64_t end = find_text(c.heap, paths->view(), ",", begin, paths->size);
      if (end < 0) end = paths->size;
      const Value path(substr(c.heap, paths, begin, end));
      parts.push_back(ignore_case(c, get_path(c.context, item, path), case_sensitive));
      begin = end + 1;
    }
    keys.push_back(make_seq(c.heap, Flavour::list, parts));
  }
  return pick(c, items, sorted(c, keys, reverse));
}

Value filter_dictsort(Call& c) {
  if (!c.self.is(Kind::dict)) fail_type("a dict", c.self);
  const bool case_sensitive = c.truth_or(0, false), reverse = c.truth_or(2, false);
  const std::string_view by = c.has(1) ? c.text(1)->view() : "key";
  if (by != "key" && by != "value") {
    fail(ErrorCode::bad_file, "dictsort: you can only sort by either \"key\" or \"value\"");
  }
  std::vector<Value> items, keys;
  for (const Entry& entry : c.self.dict->span()) {
    const Value pair[] = {entry.key, entry.value};
    items.push_back(make_seq(c.heap, Flavour::tuple, pair));
    keys.push_back(ignore_case(c, by == "key" ? entry.key : entry.value, case_sensitive));
  }
  return pick(c, items, sorted(c, keys, reverse));
}

Value filter_unique(Call& c) {
  const bool case_sensitive = c.truth_or(0, false);
  std::vector<Value> items, seen;
  Cursor cursor(c.heap, c.self);
  for (Value item; cursor.next(c.heap, item);) {
    Value key =
        c.has(1) && !c.given[1].is(Kind::none) ? get_path(c.context, item, c.given[1]) : item;
    key = ignore_case(c, key, case_sensitive);
    const auto same = [&](const Value& v) { return equals(c.heap, v, key); };
    if (std::any_of(seen.begin(), seen.end(), same)) continue;
    seen.push_back(key);
    keep(c, items, item);
  }
  return generator(c, items);
}

Value extreme(Call& c, CompareOp op) {
  const bool case_sensitive = c.truth_or(0, false);
  Cursor cursor(c.heap, c.self);
  Value best, best_key;
  for (Value item; cursor.next(c.heap, item);) {
    const Value value =
        c.has(1) && !c.given[1].is(Kind::none) ? get_path(c.context, item, c.given[1]) : item;
    const Value key = ignore_case(c, value, case_sensitive);
    if (best.is(Kind::missing) || compare(c.heap, op, key, best_key)) {
      best = item;
      best_key = key;
    }
  }
  return best.is(Kind::missing) ? undefined_because(c, "No aggregated item, sequence was empty.")
                                : best;
}

Value filter_sum(Call& c) {
  Value total = c.has(1) ? c.given[1] : Value(int64_t{0});
  Cursor cursor(c.heap, c.self);
  for (Value item; cursor.next(c.heap, item);) {
    const Value v =
        c.has(0) && !c.given[0].is(Kind::none) ? get_path(c.context, item, c.given[0]) : item;
    if (total.is(Kind::string)) fail(ErrorCode::bad_file, "sum() can't sum strings");
    total = binary(c.heap, BinaryOp::add, total, v);
  }
  return total;
}

Value filter_batch(Call& c) {
  const int64_t size = c.int_or(0, 1);
  std::vector<Value> batches, batch;
  Cursor cursor(c.heap, c.self);
  for (Value item; cursor.next(c.heap, item);) {
    if (static_cast<int64_t>(batch.size()) == size) {
      keep(c, batches, make_seq(c.heap, Flavour::list, batch));
      batch.clear();
    }
    batch.push_back(item);
  }
  if (!batch.empty()) {
    if (c.has(1) && !c.given[1].is(Kind::none) && size > static_cast<int64_t>(batch.size())) {
      c.heap.check_count(size, sizeof(Value));
      c.heap.step(size);
      batch.resize(static_cast<size_t>(size), c.given[1]);
    }
    keep(c, batches, make_seq(c.heap, Flavour::list, batch));
  }
  return generator(c, batches);
}

Value filter_slice(Call& c) {
  const int64_t slices = c.int_or(0, 1);
  const std::span<const Value> items = all_items(c.heap, c.self);
  if (slices == 0) fail(ErrorCode::bad_file, "division by zero");
  std::vector<Value> out;
  if (slices < 0) return generator(c, out);
  const auto n = static_cast<int64_t>(items.size());
  int64_t from = 0;
  for (int64_t i = 0; i < slices; ++i) {
    const int64_t size = n / slices + (i < n % slices ? 1 : 0);
    const auto part = items.subspan(static_cast<size_t>(from), static_cast<size_t>(size));
    std::vector<Value> slice(part.begin(), part.end());
    if (c.has(1) && !c.given[1].is(Kind::none) && i >= n % slices) slice.push_back(c.given[1]);
    keep(c, out, make_seq(c.heap, Flavour::list, slice));
    from += size;
  }
  return generator(c, out);
}

Value filter_groupby(Call& c) {
  const bool case_sensitive = c.truth_or(2, false);
  const std::span<const Value> items = all_items(c.heap, c.self);
  std::vector<Value> keys, plain;
  for (const Value& item : items) {
    Value v = get_path(c.context, item, c.given[0]);
    if (v.is(Kind::undefined) && c.has(1) && !c.given[1].is(Kind::none)) v = c.given[1];
    plain.push_back(v);
    keys.push_back(ignore_case(c, v, case_sensitive));
  }
  const std::vector<size_t> order = sorted(c, keys, false);
  std::vector<Value> groups;
  for (size_t i = 0; i < order.size();) {
    std::vector<Value> members;
    const size_t first = order[i];
    for (; i < order.size() && equals(c.heap, keys[order[i]], keys[first]); ++i) {
      members.push_back(items[order[i]]);
    }
    const Value group[] = {plain[first], make_seq(c.heap, Flavour::list, members)};
    groups.push_back(make_seq(c.heap, Flavour::tuple, group));
  }
  return make_seq(c.heap, Flavour::list, groups);
}

// map, select and their kin take the name of another row and its arguments.

const Native& row_named(Call& c, size_t i, bool is_test) {
  if (!c.args[i].is(Kind::string)) fail_type("the name of a filter or test", c.args[i]);
  const std::string_view name = joined(c.heap, c.args[i].str)->view();
  const Native* found = is_test ? find_test(name) : find_filter(name);
  if (found == nullptr) {
    fail(ErrorCode::unsupported, "there is no {} '{}'", is_test ? "test" : "filter", name);
  }
  return *found;
}

Value filter_map(Call& c) {
  std::vector<Value> out;
  if (!truth(c.self)) return generator(c, out);
  Value attribute, otherwise;
  for (const Keyword& k : c.named) {
    if (k.name == "attribute") attribute = k.value;
    if (k.name == "default") otherwise = k.value;
  }
  const bool by_attribute = c.args.empty() && !attribute.is(Kind::missing);
  if (!by_attribute && c.args.empty()) {
    fail(ErrorCode::bad_file, "map requires a filter argument");
  }
  const Native* row = by_attribute ? nullptr : &row_named(c, 0, false);
  Cursor cursor(c.heap, c.self);
  for (Value item; cursor.next(c.heap, item);) {
    if (row != nullptr) {
      keep(c, out, invoke(c.context, *row, item, c.args.subspan(1), c.named));
      continue;
    }
    Value v = get_path(c.context, item, attribute);
    const bool has_default = !otherwise.is(Kind::missing) && !otherwise.is(Kind::none);
    if (v.is(Kind::undefined) && has_default) v = otherwise;
    keep(c, out, v);
  }
  return generator(c, out);
}

Value select(Call& c, bool wanted, bool by_attribute) {
  std::vector<Value> out;
  if (!truth(c.self)) return generator(c, out);
  const size_t at = by_attribute ? 1 : 0;
  if (c.args.size() < at) fail(ErrorCode::bad_file, "missing parameter for attribute name");
  const Native* row = c.args.size() > at ? &row_named(c, at, true) : nullptr;
  Cursor cursor(c.heap, c.self);
  for (Value item; cursor.next(c.heap, item);) {
    const Value v = by_attribute ? get_path(c.context, item, c.args[0]) : item;
    const bool passes = row == nullptr
                            ? truth(v)
                            : truth(invoke(c.context, *row, v, c.args.subspan(at + 1), c.named));
    if (passes == wanted) keep(c, out, item);
  }
  return generator(c, out);
}

constexpr Native kRows[] = {
    {"batch", "linecount! fill_with", filter_batch},
    {"dictsort", "case_sensitive by reverse", filter_dictsort},
    {"first", "", filter_first},
    {"groupby", "attribute! default case_sensitive", filter_groupby},
    {"last", "", filter_last},
    {"list", "", filter_list},
    {"map", "*", filter_map},
    {"max", "case_sensitive attribute", [](Call& c) { return extreme(c, CompareOp::gt); }},
    {"min", "case_sensitive attribute", [](Call& c) { return extreme(c, CompareOp::lt); }},
    {"reject", "*", [](Call& c) { return select(c, false, false); }},
    {"rejectattr", "*", [](Call& c) { return select(c, false, true); }},
    {"reverse", "", filter_reverse},
    {"select", "*", [](Call& c) { return select(c, true, false); }},
    {"selectattr", "*", [](Call& c) { return select(c, true, true); }},
    {"slice", "slices! fill_with", filter_slice},
    {"sort", "reverse case_sensitive attribute", filter_sort},
    {"sum", "attribute start", filter_sum},
    {"unique", "case_sensitive attribute", filter_unique},
};

}  // namespace

std::span<const Native> sequence_filters() noexcept {
  return kRows;
}

}  // namespace nibble::jinja
