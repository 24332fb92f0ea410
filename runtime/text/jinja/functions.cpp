// The global functions. Nothing here reaches the host: no files, no environment, no clock but the
// date that the caller may set.
#include <algorithm>

#include "formats/io/error.h"
#include "runtime/text/jinja/builtins.h"

namespace nibble::jinja {
namespace {

Value function_range(Call& c) {
  Range* r = c.heap.make<Range>();
  r->start = c.has(1) ? c.int_or(0, 0) : 0;
  r->stop = c.has(1) ? c.int_or(1, 0) : c.int_or(0, 0);
  r->step = c.int_or(2, 1);
  if (r->step == 0) fail(ErrorCode::bad_file, "range() arg 3 must not be zero");
  const bool forward = r->step > 0;
  if (forward ? r->stop > r->start : r->stop < r->start) {
    const auto low = static_cast<uint64_t>(forward ? r->start : r->stop);
    const auto high = static_cast<uint64_t>(forward ? r->stop : r->start);
    const uint64_t stride =
        forward ? static_cast<uint64_t>(r->step) : uint64_t{0} - static_cast<uint64_t>(r->step);
    const uint64_t count = (high - low - 1) / stride + 1;
    if (count > static_cast<uint64_t>(kMaxRange)) {
      fail(ErrorCode::bad_file, "range too big: expected at most {} items, got {}", kMaxRange,
           count);
    }
    r->count = static_cast<int64_t>(count);
  }
  return Value(static_cast<const Range*>(r));
}

// The entries of dict(x, a=1, ...): x is a dict or gives pairs.
std::vector<Entry> dict_entries(Call& c) {
  std::vector<Entry> entries;
  if (c.args.size() > 1) fail(ErrorCode::bad_file, "expected at most 1 argument");
  if (!c.args.empty() && c.args[0].is(Kind::dict)) {
    entries.assign(c.args[0].dict->span().begin(), c.args[0].dict->span().end());
  } else if (!c.args.empty()) {
    Cursor cursor(c.heap, c.args[0]);
    for (Value item; cursor.next(c.heap, item);) {
      const std::span<const Value> pair = all_items(c.heap, item);
      if (pair.size() != 2) fail(ErrorCode::bad_file, "dict(): expected pairs");
      entries.push_back({pair[0], pair[1]});
    }
  }
  for (const Keyword& k : c.named)
    entries.push_back({Value(make_view(c.heap, k.name, false)), k.value});
  return entries;
}

Value function_dict(Call& c) {
  return make_dict(c.heap, dict_entries(c));
}

Value function_namespace(Call& c) {
  Namespace* ns = c.heap.make<Namespace>();
  for (const Entry& entry : dict_entries(c)) {
    if (!entry.key.is(Kind::string)) fail_type("attribute names", entry.key);
    const Str* name = joined(c.heap, entry.key.str);
    if (name->view().substr(0, 1) == "_") {
      fail(ErrorCode::bad_file, "cannot assign attribute '{}' of a namespace", name->view());
    }
    set_attribute(c.heap, *ns, name, entry.value);
  }
  return Value(ns);
}

Value function_cycler(Call& c) {
  if (c.args.empty()) fail(ErrorCode::bad_file, "at least one item has to be provided");
  Cycler* cycler = c.heap.make<Cycler>();
  cycler->items = make_seq(c.heap, Flavour::tuple, c.args).seq;
  return Value(cycler);
}

Value function_joiner(Call& c) {
  Joiner* joiner = c.heap.make<Joiner>();
  joiner->separator = c.has(0) ? to_str(c.heap, c.given[0]) : make_view(c.heap, ", ", false);
  return Value(joiner);
}

Value function_raise_exception(Call& c) {
  // bad_argument is this error alone: the template refuses what it was given, in its own words.
  throw Error(ErrorCode::bad_argument,
              std::string(joined(c.heap, to_str(c.heap, c.given[0]))->view()));
}

Value function_strftime_now(Call& c) {
  return Value(make_str(c.heap, format_time(c.context.date, c.text(0)->view()), false));
}

constexpr Native kRows[] = {
    {"cycler", "*", function_cycler},
    {"dict", "*", function_dict},
    {"joiner", "sep", function_joiner},
    {"namespace", "*", function_namespace},
    {"raise_exception", "message!", function_raise_exception},
    {"range", "start! stop step", function_range},
    {"strftime_now", "format!", function_strftime_now},
};

}  // namespace

std::span<const Native> functions() noexcept {
  return kRows;
}

}  // namespace nibble::jinja
