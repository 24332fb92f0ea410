// Filters that give text.
#include <algorithm>
#include <array>
#include <cmath>

#include "formats/io/error.h"
#include "runtime/text/jinja/builtins.h"
#include "runtime/text/jinja/text_tools.h"

namespace nibble::jinja {
namespace {

Value changed_case(Call& c, Case to) {
  return Value(change_case(c.heap, c.self_str(), to));
}

Value filter_trim(Call& c) {
  const Str* s = c.self_str();
  std::string_view chars;
  const bool has_chars = c.has(0) && !c.given[0].is(Kind::none);
  if (has_chars) chars = c.text(0)->view();
  c.heap.step(s->size * std::max<int64_t>(1, static_cast<int64_t>(chars.size())));
  const Bounds b = strip_bounds(s->view(), has_chars ? &chars : nullptr, true, true);
  return Value(substr(c.heap, s, b.begin, b.end));
}

Value filter_replace(Call& c) {
  const Str* old = joined(c.heap, to_str(c.heap, c.given[0]));
  const Str* with = joined(c.heap, to_str(c.heap, c.given[1]));
  const bool all = !c.has(2) || c.given[2].is(Kind::none);
  return Value(replace_text(c.heap, c.self_str(), old, with, all ? -1 : c.int_or(2, -1)));
}

Value filter_capitalize(Call& c) {
  return Value(capitalize(c.heap, c.self_str()));
}

// First letters of words, where a word starts after white space or one of -({[<.
Value filter_title(Call& c) {
  const Str* s = c.self_str();
  TextBuilder out;
  bool starts = true;
  int64_t begin = 0;
  const auto flush = [&](int64_t end, Case to) {
    if (end > begin) out.add(*change_case(c.heap, substr(c.heap, s, begin, end), to));
    begin = end;
  };
  for (int64_t at = 0; at < s->size;) {
    const CodePoint cp = code_point(s->view(), at);
    const bool separates =
        is_space(cp.cp) ||
        (cp.cp < 0x80 &&
         std::string_view("-({[<").find(static_cast<char>(cp.cp)) != std::string_view::npos);
    if (separates) {
      starts = true;
    } else if (starts) {
      flush(at, Case::lower);
      flush(at + cp.size, Case::upper);
      starts = false;
    }
    at += cp.size;
  }
  flush(s->size, Case::lower);
  return Value(out.finish(c.heap));
}

Value filter_center(Call& c) {
  return Value(pad_text(c.heap, c.self_str(), c.int_or(0, 80), ' ', Pad::center));
}

Value filter_join(Call& c) {
  const Str* separator = c.has(0) ? to_str(c.heap, c.given[0]) : make_view(c.heap, "", false);
  TextBuilder out;
  Cursor cursor(c.heap, c.self);
  bool first = true;
  const bool by_attribute = c.has(1) && !c.given[1].is(Kind::none);
  for (Value item; cursor.next(c.heap, item);) {
    if (!first) append_str(out, c.heap, Value(separator));
    first = false;
    append_str(out, c.heap, by_attribute ? get_path(c.context, item, c.given[1]) : item);
  }
  return Value(out.finish(c.heap));
}

Value filter_indent(Call& c) {
  if (!c.self.is(Kind::string)) fail_type("a string", c.self);
  const Str* width = nullptr;
  if (c.has(0) && c.given[0].is(Kind::string)) {
    width = c.text(0);
  } else {
    const int64_t n = std::clamp<int64_t>(c.int_or(0, 4), 0, kMaxTextBytes);
    width = make_str(c.heap, std::string(static_cast<size_t>(n), ' '), false);
  }
  const bool first = c.truth_or(1, false), blank = c.truth_or(2, false);
  const Str* s = joined(c.heap, c.self.str);
  TextBuilder out;
  bool is_first = true;
  for (const Bounds line : split_lines(c.heap, s->view(), true)) {
    if (!is_first) out.add("\n", false);
    if (is_first ? first : blank || line.end > line.begin) out.add(*width);
    out.add(*s, line.begin, line.end);
    is_first = false;
  }
  return Value(out.finish(c.heap));
}

Value filter_truncate(Call& c) {
  const int64_t limit = c.int_or(0, 255);
  const bool cuts_words = c.truth_or(1, false);
  const Str* end = c.has(2) ? c.text(2) : make_view(c.heap, "...", false);
  const int64_t leeway = c.has(3) && !c.given[3].is(Kind::none) ? c.int_or(3, 5) : 5;
  const Str* s = c.self_str();
  const int64_t keep = limit - length(c.heap, end);
  if (keep < 0 || leeway < 0) {
    fail(ErrorCode::bad_file, "truncate: expected length >= {}, got {}", length(c.heap, end),
         limit);
  }
  if (length(c.heap, s) <= limit + leeway) return Value(s);
  const Str* cut = substr(c.heap, s, 0, byte_offset(c.heap, s, keep));
  if (!cuts_words) {
    const int64_t space = rfind_text(c.heap, cut->view(), " ", 0, cut->size);
    if (space >= 0) cut = substr(c.heap, cut, 0, space);
  }
  return Value(concat(c.heap, cut, end));
}

Value filter_wordcount(Call& c) {
  const Str* s = c.self_str();
  c.heap.step(s->size * 8);
  int64_t count = 0;
  bool inside = false;
  for (int64_t at = 0; at < s->size;) {
    const CodePoint cp = code_point(s->view(), at);
    const bool is_word = cp.cp == '_' || in_class(cp.cp, CharClass::alnum);
    count += is_word && !inside;
    inside = is_word;
    at += cp.size;
  }
  return Value(count);
}

Value filter_string(Call& c) {
  return Value(to_str(c.heap, c.self));
}

Value filter_escape(Call& c) {
  static constexpr std::pair<char, std::string_view> kEscapes[] = {
      {'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'\'', "&#39;"}, {'"', "&#34;"}};
  const Str* s = c.self_str();
  TextBuilder out;
  int64_t begin = 0;
  for (int64_t at = 0; at < s->size; ++at) {
    for (const auto& [plain, escaped] : kEscapes) {
      if (s->view()[static_cast<size_t>(at)] != plain) continue;
      out.add(*s, begin, at);
      out.add_like(escaped, *s, at);
      begin = at + 1;
    }
  }
  out.add(*s, begin, s->size);
  return Value(out.finish(c.heap));
}

Value filter_urlencode(Call& c) {
  const Str* s = c.self_str();
  static constexpr std::string_view kKept = "_.-~/";
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  TextBuilder out;
  for (int64_t at = 0; at < s->size; ++at) {
    const char byte = s->view()[static_cast<size_t>(at)];
    const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= '0' && byte <= '9') || kKept.find(byte) != std::string_view::npos;
    const auto code = static_cast<uint8_t>(byte);
    const char hex[] = {'%', kHex[code >> 4], kHex[code & 15]};
    out.add_like(plain ? std::string_view(&byte, 1) : std::string_view(hex, 3), *s, at);
  }
  return Value(out.finish(c.heap));
}

Value filter_format(Call& c) {
  const Str* s = c.self_str();
  if (!c.named.empty()) {
    if (!c.args.empty()) {
      fail(ErrorCode::bad_file,
           "format: can't handle positional and keyword arguments at the same time");
    }
    std::vector<Entry> entries;
    for (const Keyword& k : c.named) {
      entries.push_back({Value(make_view(c.heap, k.name, false)), k.value});
    }
    return format_percent(c.heap, s, make_dict(c.heap, entries));
  }
  return format_percent(c.heap, s, make_seq(c.heap, Flavour::tuple, c.args));
}

Value filter_tojson(Call& c) {
  JsonStyle style;
  style.ascii = c.truth_or(0, false);
  std::string spaces;
  if (c.has(1) && !c.given[1].is(Kind::none)) {
    if (c.given[1].is(Kind::string)) {
      style.indent = c.text(1);
    } else {
      const int64_t n = std::clamp<int64_t>(c.int_or(1, 0), 0, 1024);
      style.indent = make_str(c.heap, std::string(static_cast<size_t>(n), ' '), false);
    }
    style.item_separator = ",";
  }
  if (c.has(2) && !c.given[2].is(Kind::none)) {
    const std::span<const Value> pair = all_items(c.heap, c.given[2]);
    if (pair.size() != 2 || !pair[0].is(Kind::string) || !pair[1].is(Kind::string)) {
      fail_type("two separators", c.given[2]);
    }
    style.item_separator = joined(c.heap, pair[0].str)->view();
    style.key_separator = joined(c.heap, pair[1].str)->view();
  }
  style.sort_keys = c.truth_or(3, false);
  TextBuilder out;
  append_json(out, c.heap, c.self, style);
  return Value(out.finish(c.heap));
}

constexpr Native kRows[] = {
    {"capitalize", "", filter_capitalize},
    {"center", "width", filter_center},
    {"e", "", filter_escape},
    {"escape", "", filter_escape},
    {"forceescape", "", filter_escape},
    {"format", "*", filter_format},
    {"indent", "width first blank", filter_indent},
    {"join", "d attribute", filter_join},
    {"lower", "", [](Call& c) { return changed_case(c, Case::lower); }},
    {"replace", "old! new! count", filter_replace},
    {"safe", "", filter_string},
    {"string", "", filter_string},
    {"title", "", filter_title},
    {"tojson", "ensure_ascii indent separators sort_keys", filter_tojson},
    {"trim", "chars", filter_trim},
    {"truncate", "length killwords end leeway", filter_truncate},
    {"upper", "", [](Call& c) { return changed_case(c, Case::upper); }},
    {"urlencode", "", filter_urlencode},
    {"wordcount", "", filter_wordcount},
};

}  // namespace

std::span<const Native> text_filters() noexcept {
  return kRows;
}

}  // namespace nibble::jinja
