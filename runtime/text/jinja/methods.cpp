// The methods of str, and of what is not a str.
#include <algorithm>

#include "formats/io/error.h"
#include "runtime/text/jinja/builtins.h"
#include "runtime/text/jinja/machine.h"
#include "runtime/text/jinja/text_tools.h"

namespace nibble::jinja {
namespace {

const Str* self_of(Call& c) {
  return joined(c.heap, c.self.str);
}
Value part(Call& c, const Str* s, int64_t begin, int64_t end) {
  return Value(substr(c.heap, s, begin, end));
}
bool given(const Call& c, size_t i) {
  return c.has(i) && !c.given[i].is(Kind::none);
}

Value strip(Call& c, bool left, bool right) {
  const Str* s = self_of(c);
  std::string_view chars;
  if (given(c, 0)) chars = c.text(0)->view();
  c.heap.step(s->size * std::max<int64_t>(1, static_cast<int64_t>(chars.size())));
  const Bounds b = strip_bounds(s->view(), given(c, 0) ? &chars : nullptr, left, right);
  return part(c, s, b.begin, b.end);
}

void add_part(Call& c, std::vector<Value>& parts, const Str* s, int64_t begin, int64_t end) {
  parts.push_back(part(c, s, begin, end));
  c.heap.check_count(static_cast<int64_t>(parts.size()), sizeof(Value));
}

// str.split() without a separator: at runs of white space.
std::vector<Value> split_space(Call& c, const Str* s, int64_t limit) {
  std::vector<Value> parts;
  c.heap.step(s->size * 4);
  int64_t at = 0;
  while (true) {
    const std::string_view rest = s->view().substr(static_cast<size_t>(at));
    at += strip_bounds(rest, nullptr, true, false).begin;
    if (at >= s->size) return parts;
    if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) {
      add_part(c, parts, s, at, s->size);
      return parts;
    }
    int64_t end = at;
    while (end < s->size) {
      const CodePoint cp = code_point(s->view(), end);
      if (is_space(cp.cp)) break;
      end += cp.size;
    }
    add_part(c, parts, s, at, end);
    at = end;
  }
}

std::vector<Value> rsplit_space(Call& c, const Str* s, int64_t limit) {
  std::vector<Value> parts;
  c.heap.step(s->size * 4);
  int64_t end = s->size;
  while (true) {
    const std::string_view rest = s->view().substr(0, static_cast<size_t>(end));
    end = strip_bounds(rest, nullptr, false, true).end;
    if (end == 0) break;
    if (static_cast<int64_t>(parts.size()) == limit) {
      add_part(c, parts, s, 0, end);
      break;
    }
    int64_t at = end;
    while (at > 0) {
      const int64_t before = previous(s->view(), at);
      if (is_space(code_point(s->view(), before).cp)) break;
      at = before;
    }
    add_part(c, parts, s, at, end);
    end = at;
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

Value split(Call& c, bool from_right) {
  const Str* s = self_of(c);
  const int64_t limit = c.int_or(1, -1);
  if (!given(c, 0)) {
    return make_seq(
        c.heap, Flavour::list,
        from_right && limit >= 0 ? rsplit_space(c, s, limit) : split_space(c, s, limit));
  }
  const Str* separator = c.text(0);
  if (separator->size == 0) fail(ErrorCode::bad_file, "empty separator");
  std::vector<Value> parts;
  int64_t begin = 0, end = s->size;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const int64_t at = from_right ? rfind_text(c.heap, s->view(), separator->view(), 0, end)
                                  : find_text(c.heap, s->view(), separator->view(), begin, end);
    if (at < 0) break;
    if (from_right) {
      add_part(c, parts, s, at + separator->size, end);
      end = at;
    } else {
      add_part(c, parts, s, begin, at);
      begin = at + separator->size;
    }
  }
  add_part(c, parts, s, begin, end);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return make_seq(c.heap, Flavour::list, parts);
}

Value partition(Call& c, bool from_right) {
  const Str* s = self_of(c);
  const Str* separator = c.text(0);
  if (separator->size == 0) fail(ErrorCode::bad_file, "empty separator");
  const int64_t at = from_right ? rfind_text(c.heap, s->view(), separator->view(), 0, s->size)
                                : find_text(c.heap, s->view(), separator->view(), 0, s->size);
  const Value empty(make_view(c.heap, "", false));
  Value parts[] = {Value(s), empty, empty};
  if (at < 0 && from_right) std::swap(parts[0], parts[2]);
  if (at >= 0) {
    parts[0] = part(c, s, 0, at);
    parts[1] = part(c, s, at, at + separator->size);
    parts[2] = part(c, s, at + separator->size, s->size);
  }
  return make_seq(c.heap, Flavour::tuple, parts);
}

// The bytes that the optional start and end arguments (code points) leave of s.
Bounds window(Call& c, const Str* s, size_t i) {
  const int64_t n = length(c.heap, s);
  const auto offset = [&](size_t arg, int64_t otherwise) {
    int64_t index = given(c, arg) ? c.int_or(arg, otherwise) : otherwise;
    if (index < 0) index = std::max<int64_t>(index + n, 0);
    return index;
  };
  const int64_t start = offset(i, 0), end = std::min(offset(i + 1, n), n);
  if (start > end) return {1, 0};  // nothing, not even the empty string, lies here
  return {byte_offset(c.heap, s, start), byte_offset(c.heap, s, end)};
}

Value find(Call& c, bool from_right, bool must) {
  const Str* s = self_of(c);
  const Bounds w = window(c, s, 1);
  const std::string_view needle = c.text(0)->view();
  int64_t at = from_right ? rfind_text(c.heap, s->view(), needle, w.begin, w.end)
                          : find_text(c.heap, s->view(), needle, w.begin, w.end);
  if (at < 0) {
    if (must) fail(ErrorCode::bad_file, "substring not found");
    return Value(int64_t{-1});
  }
  return Value(length(c.heap, substr(c.heap, s, 0, at)));
}

Value method_count(Call& c) {
  const Str* s = self_of(c);
  const Bounds w = window(c, s, 1);
  const Str* needle = c.text(0);
  if (w.begin > w.end) return Value(int64_t{0});
  if (needle->size == 0) return Value(length(c.heap, substr(c.heap, s, w.begin, w.end)) + 1);
  int64_t count = 0;
  for (int64_t at = w.begin; (at = find_text(c.heap, s->view(), needle->view(), at, w.end)) >= 0;
       at += needle->size) {
    ++count;
  }
  return Value(count);
}

Value affix(Call& c, bool at_end) {
  const Str* s = self_of(c);
  const Bounds w = window(c, s, 1);
  if (w.begin > w.end) return Value(false);
  const std::string_view text =
      s->view().substr(static_cast<size_t>(w.begin), static_cast<size_t>(w.end - w.begin));
  const auto matches = [&](const Value& v) {
    if (!v.is(Kind::string)) fail_type("a string or a tuple of strings", v);
    const std::string_view fix = joined(c.heap, v.str)->view();
    c.heap.step(v.str->size);
    if (fix.size() > text.size()) return false;
    return text.substr(at_end ? text.size() - fix.size() : 0, fix.size()) == fix;
  };
  if (c.given[0].is(Kind::sequence) && c.given[0].seq->flavour == Flavour::tuple) {
    const std::span<const Value> all = c.given[0].seq->span();
    return Value(std::any_of(all.begin(), all.end(), matches));
  }
  return Value(matches(c.given[0]));
}

Value remove_affix(Call& c, bool at_end) {
  const Str* s = self_of(c);
  const std::string_view fix = c.text(0)->view();
  const auto size = static_cast<int64_t>(fix.size());
  if (size > s->size) return c.self;
  const int64_t at = at_end ? s->size - size : 0;
  if (s->view().substr(static_cast<size_t>(at), fix.size()) != fix) return c.self;
  return at_end ? part(c, s, 0, at) : part(c, s, size, s->size);
}

Value method_replace(Call& c) {
  return Value(replace_text(c.heap, self_of(c), c.text(0), c.text(1), c.int_or(2, -1)));
}

Value method_join(Call& c) {
  TextBuilder out;
  Cursor cursor(c.heap, c.given[0]);
  bool first = true;
  for (Value item; cursor.next(c.heap, item);) {
    if (!item.is(Kind::string)) fail_type("strings to join", item);
    if (!first) append_str(out, c.heap, c.self);
    first = false;
    append_str(out, c.heap, item);
  }
  return Value(out.finish(c.heap));
}

Value method_splitlines(Call& c) {
  const Str* s = self_of(c);
  std::vector<Value> lines;
  for (const Bounds b : split_lines(c.heap, s->view(), false, c.truth_or(0, false))) {
    add_part(c, lines, s, b.begin, b.end);
  }
  return make_seq(c.heap, Flavour::list, lines);
}

Value pad(Call& c, Pad to) {
  char32_t fill = ' ';
  if (given(c, 1)) {
    const Str* s = c.text(1);
    if (length(c.heap, s) != 1) fail_type("a fill character", c.given[1]);
    fill = code_point(s->view(), 0).cp;
  }
  return Value(pad_text(c.heap, self_of(c), c.int_or(0, 0), fill, to));
}

Value method_zfill(Call& c) {
  const Str* s = self_of(c);
  const bool sign = s->size > 0 && (s->view()[0] == '-' || s->view()[0] == '+');
  const Str* digits = substr(c.heap, s, sign ? 1 : 0, s->size);
  const Str* padded = pad_text(c.heap, digits, c.int_or(0, 0) - (sign ? 1 : 0), '0', Pad::right);
  return Value(sign ? concat(c.heap, substr(c.heap, s, 0, 1), padded) : padded);
}

// Each word's first letter in title case, the rest in lower case; words are runs of letters.
Value method_title(Call& c) {
  const Str* s = self_of(c);
  TextBuilder out;
  bool inside = false;
  for (int64_t at = 0; at < s->size;) {
    const CodePoint cp = code_point(s->view(), at);
    const Str* one = substr(c.heap, s, at, at + cp.size);
    const bool cased = in_class(cp.cp, CharClass::lower) || in_class(cp.cp, CharClass::upper);
    out.add(*change_case(c.heap, one, inside ? Case::lower : Case::title));
    inside = cased;
    at += cp.size;
  }
  return Value(out.finish(c.heap));
}

Value method_swapcase(Call& c) {
  const Str* s = self_of(c);
  TextBuilder out;
  for (int64_t at = 0; at < s->size;) {
    const CodePoint cp = code_point(s->view(), at);
    const Str* one = substr(c.heap, s, at, at + cp.size);
    out.add(
        *change_case(c.heap, one, in_class(cp.cp, CharClass::upper) ? Case::lower : Case::upper));
    at += cp.size;
  }
  return Value(out.finish(c.heap));
}

bool all_of(Call& c, const auto& test) {
  const Str* s = self_of(c);
  c.heap.step(s->size * 4);
  for (int64_t at = 0; at < s->size;) {
    const CodePoint cp = code_point(s->view(), at);
    if (!test(cp.cp)) return false;
    at += cp.size;
  }
  return s->size > 0;
}

Value all_in(Call& c, CharClass cls) {
  return Value(all_of(c, [cls](char32_t cp) { return in_class(cp, cls); }));
}

Value all_cased(Call& c, CharClass wanted, CharClass other) {
  bool some = false;
  const bool none_other = all_of(c, [&](char32_t cp) {
    some |= in_class(cp, wanted);
    return !in_class(cp, other);
  });
  return Value(none_other && some);
}

constexpr Native kStrRows[] = {
    {"capitalize", "", [](Call& c) { return Value(capitalize(c.heap, self_of(c))); }},
    {"casefold", "", [](Call& c) { return Value(change_case(c.heap, c.self.str, Case::lower)); }},
    {"center", "width! fillchar", [](Call& c) { return pad(c, Pad::center); }},
    {"count", "sub! start end", method_count},
    {"endswith", "suffix! start end", [](Call& c) { return affix(c, true); }},
    {"find", "sub! start end", [](Call& c) { return find(c, false, false); }},
    {"format", "*", format_braces},
    {"index", "sub! start end", [](Call& c) { return find(c, false, true); }},
    {"isalnum", "", [](Call& c) { return all_in(c, CharClass::alnum); }},
    {"isalpha", "", [](Call& c) { return all_in(c, CharClass::alpha); }},
    {"isascii", "",
     [](Call& c) {
       return Value(c.self.str->size == 0 || all_of(c, [](char32_t cp) { return cp < 0x80; }));
     }},
    {"isdecimal", "", [](Call& c) { return all_in(c, CharClass::decimal); }},
    {"isdigit", "", [](Call& c) { return all_in(c, CharClass::digit); }},
    {"islower", "", [](Call& c) { return all_cased(c, CharClass::lower, CharClass::upper); }},
    {"isnumeric", "", [](Call& c) { return all_in(c, CharClass::numeric); }},
    {"isspace", "", [](Call& c) { return Value(all_of(c, is_space)); }},
    {"isupper", "", [](Call& c) { return all_cased(c, CharClass::upper, CharClass::lower); }},
    {"join", "iterable!", method_join},
    {"ljust", "width! fillchar", [](Call& c) { return pad(c, Pad::left); }},
    {"lower", "", [](Call& c) { return Value(change_case(c.heap, c.self.str, Case::lower)); }},
    {"lstrip", "chars", [](Call& c) { return strip(c, true, false); }},
    {"partition", "sep!", [](Call& c) { return partition(c, false); }},
    {"removeprefix", "prefix!", [](Call& c) { return remove_affix(c, false); }},
    {"removesuffix", "suffix!", [](Call& c) { return remove_affix(c, true); }},
    {"replace", "old! new! count", method_replace},
    {"rfind", "sub! start end", [](Call& c) { return find(c, true, false); }},
    {"rindex", "sub! start end", [](Call& c) { return find(c, true, true); }},
    {"rjust", "width! fillchar", [](Call& c) { return pad(c, Pad::right); }},
    {"rpartition", "sep!", [](Call& c) { return partition(c, true); }},
    {"rsplit", "sep maxsplit", [](Call& c) { return split(c, true); }},
    {"rstrip", "chars", [](Call& c) { return strip(c, false, true); }},
    {"split", "sep maxsplit", [](Call& c) { return split(c, false); }},
    {"splitlines", "keepends", method_splitlines},
    {"startswith", "prefix! start end", [](Call& c) { return affix(c, false); }},
    {"strip", "chars", [](Call& c) { return strip(c, true, true); }},
    {"swapcase", "", method_swapcase},
    {"title", "", method_title},
    {"upper", "", [](Call& c) { return Value(change_case(c.heap, c.self.str, Case::upper)); }},
    {"zfill", "width!", method_zfill},
};

// dict

Value view(Call& c, Flavour flavour) {
  std::vector<Value> items;
  for (const Entry& entry : c.self.dict->span()) {
    const Value pair[] = {entry.key, entry.value};
    items.push_back(flavour == Flavour::keys     ? entry.key
                    : flavour == Flavour::values ? entry.value
                                                 : make_seq(c.heap, Flavour::tuple, pair));
  }
  return make_seq(c.heap, flavour, items);
}

Value method_get(Call& c) {
  if (const Value* found = find_key(c.heap, *c.self.dict, c.given[0])) return *found;
  return c.has(1) ? c.given[1] : Value::none();
}

constexpr Native kDictRows[] = {
    {"copy", "", [](Call& c) { return c.self; }},
    {"get", "key! default", method_get},
    {"items", "", [](Call& c) { return view(c, Flavour::items); }},
    {"keys", "", [](Call& c) { return view(c, Flavour::keys); }},
    {"values", "", [](Call& c) { return view(c, Flavour::values); }},
};

// list and tuple

Value item_count(Call& c) {
  int64_t count = 0;
  for (const Value& item : c.self.seq->span()) count += equals(c.heap, item, c.given[0]);
  return Value(count);
}

Value item_index(Call& c) {
  const std::span<const Value> items = c.self.seq->span();
  for (size_t i = 0; i < items.size(); ++i) {
    if (equals(c.heap, items[i], c.given[0])) return Value(static_cast<int64_t>(i));
  }
  fail(ErrorCode::bad_file, "index: the value is not in the list");
}

constexpr Native kListRows[] = {
    {"copy", "", [](Call& c) { return c.self; }},
    {"count", "value!", item_count},
    {"index", "value!", item_index},
};
constexpr Native kTupleRows[] = {
    {"count", "value!", item_count},
    {"index", "value!", item_index},
};

// loop and cycler

Value loop_cycle(Call& c) {
  if (c.args.empty()) fail(ErrorCode::bad_file, "no items for cycling given");
  return c.args[static_cast<size_t>(c.self.loop->index - 1) % c.args.size()];
}

Value loop_changed(Call& c) {
  Loop& loop = *c.self.loop;
  const Value now = make_seq(c.heap, Flavour::tuple, c.args);
  if (!loop.changed.is(Kind::missing) && equals(c.heap, loop.changed, now)) return Value(false);
  loop.changed = now;
  return Value(true);
}

Value cycler_next(Call& c) {
  Cycler& cycler = *c.self.cycler;
  const Value out = cycler.items->items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items->count;
  return out;
}

Value cycler_reset(Call& c) {
  c.self.cycler->position = 0;
  return Value::none();
}

constexpr Native kLoopRows[] = {{"changed", "*", loop_changed}, {"cycle", "*", loop_cycle}};
constexpr Native kCyclerRows[] = {{"next", "", cycler_next}, {"reset", "", cycler_reset}};

}  // namespace

std::span<const Native> str_methods() noexcept {
  return kStrRows;
}

std::span<const Native> object_methods(const Value& v) noexcept {
  switch (v.kind) {
    case Kind::dict:
      return kDictRows;
    case Kind::loop:
      return kLoopRows;
    case Kind::cycler:
      return kCyclerRows;
    case Kind::sequence:
      if (v.seq->flavour == Flavour::list) return kListRows;
      if (v.seq->flavour == Flavour::tuple) return kTupleRows;
      return {};
    default:
      return {};
  }
}

}  // namespace nibble::jinja
