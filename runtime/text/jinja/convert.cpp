// str(), repr() and the truth of values, as Python prints them.
#include <fmt/format.h>
#include <utf8proc.h>

#include <charconv>
#include <cmath>

#include "formats/io/error.h"
#include "runtime/text/jinja/builtins.h"
#include "runtime/text/jinja/operations.h"
#include "runtime/text/jinja/program.h"

namespace nibble::jinja {

std::string_view type_name(const Value& v) noexcept {
  switch (v.kind) {
    case Kind::missing:
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::string:
      return "str";
    case Kind::sequence:
      switch (v.seq->flavour) {
        case Flavour::list:
          return "list";
        case Flavour::tuple:
          return "tuple";
        case Flavour::keys:
          return "dict_keys";
        case Flavour::values:
          return "dict_values";
        case Flavour::items:
          return "dict_items";
        case Flavour::generator:
          return "generator";
      }
      return "list";
    case Kind::dict:
      return "dict";
    case Kind::range:
      return "range";
    case Kind::name_space:
      return "Namespace";
    case Kind::macro:
      return "Macro";
    case Kind::function:
      return "function";
    case Kind::method:
      return "builtin_function_or_method";
    case Kind::loop:
      return "LoopContext";
    case Kind::cycler:
      return "Cycler";
    case Kind::joiner:
      return "Joiner";
  }
  return "object";
}

bool truth(const Value& v) noexcept {
  switch (v.kind) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return v.boolean;
    case Kind::integer:
      return v.integer != 0;
    case Kind::real:
      return v.real != 0;
    case Kind::string:
      return v.str->size != 0;
    case Kind::sequence:
      return v.seq->flavour == Flavour::generator || v.seq->count != 0;
    case Kind::dict:
      return v.dict->count != 0;
    case Kind::range:
      return v.range->count != 0;
    default:
      return true;
  }
}

std::string real_repr(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto [end, error] =
      std::to_chars(buffer, buffer + sizeof buffer, d, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));  // -d.ddde+XX
  const size_t e = text.find('e');
  int exponent = 0;
  const char* first = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(first, text.data() + text.size(), exponent);
  const bool negative = text[0] == '-';
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  std::string out = negative ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (digits.size() > 1) out += '.' + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) {
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  }
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + '.' + digits.substr(whole);
}

namespace {

bool is_printable(char32_t cp) noexcept {
  if (cp < 0x7F) return cp >= 0x20;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(cp))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

std::string escaped(char32_t cp) {
  if (cp == '\n') return "\\n";
  if (cp == '\r') return "\\r";
  if (cp == '\t') return "\\t";
  const auto code = static_cast<uint32_t>(cp);
  if (code < 0x100) return fmt::format("\\x{:02x}", code);
  if (code < 0x10000) return fmt::format("\\u{:04x}", code);
  return fmt::format("\\U{:08x}", code);
}

void append_str_repr(TextBuilder& out, Heap& heap, const Str* s) {
  joined(heap, s);
  heap.step(s->size * 4);
  const std::string_view text = s->view();
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  const std::string_view quote_text(&quote, 1);
  out.add(quote_text, false);
  for (int64_t at = 0; at < s->size;) {
    const CodePoint c = code_point(text, at);
    const std::string_view one = text.substr(static_cast<size_t>(at), static_cast<size_t>(c.size));
    if (one == quote_text || one == "\\") {
      out.add_like("\\", *s, at);
      out.add_like(one, *s, at);
    } else if (is_printable(c.cp)) {
      out.add_like(one, *s, at);
    } else {
      out.add_like(escaped(c.cp), *s, at);
    }
    at += c.size;
  }
  out.add(quote_text, false);
}

void append_nested(TextBuilder& out, Heap& heap, const Value& v, int depth);

void append_items(TextBuilder& out, Heap& heap, std::span<const Value> items, int depth) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.add(", ", false);
    append_nested(out, heap, items[i], depth);
  }
}

void append_seq(TextBuilder& out, Heap& heap, const Value& v, int depth) {
  const std::span<const Value> items = v.seq->span();
  switch (v.seq->flavour) {
    case Flavour::list:
      out.add("[", false);
      append_items(out, heap, items, depth);
      out.add("]", false);
      return;
    case Flavour::tuple:
      out.add("(", false);
      append_items(out, heap, items, depth);
      out.add(items.size() == 1 ? ",)" : ")", false);
      return;
    case Flavour::generator:
      out.add("<generator object>", false);
      return;
    default:
      out.add(type_name(v), false);
      out.add("([", false);
      append_items(out, heap, items, depth);
      out.add("])", false);
  }
}

void append_dict(TextBuilder& out, Heap& heap, const Dict& dict, int depth) {
  out.add("{", false);
  bool first = true;
  for (const Entry& entry : dict.span()) {
    if (!first) out.add(", ", false);
    first = false;
    append_nested(out, heap, entry.key, depth);
    out.add(": ", false);
    append_nested(out, heap, entry.value, depth);
  }
  out.add("}", false);
}

void append_namespace(TextBuilder& out, Heap& heap, const Namespace& ns, int depth) {
  out.add("<Namespace {", false);
  bool first = true;
  for (const Namespace::Attribute& attribute : ns.span()) {
    if (!first) out.add(", ", false);
    first = false;
    append_str_repr(out, heap, attribute.name);
    out.add(": ", false);
    append_nested(out, heap, attribute.value, depth);
  }
  out.add("}>", false);
}

void append_nested(TextBuilder& out, Heap& heap, const Value& v, int depth) {
  heap.step();
  if (depth > kMaxValueDepth) fail(ErrorCode::bad_file, "the template nests values too deeply");
  switch (v.kind) {
    case Kind::missing:
    case Kind::undefined:
      out.add("Undefined", false);
      return;
    case Kind::none:
      out.add("None", false);
      return;
    case Kind::boolean:
      out.add(v.boolean ? "True" : "False", false);
      return;
    case Kind::integer:
      out.add(fmt::format("{}", v.integer), false);
      return;
    case Kind::real:
      out.add(real_repr(v.real), false);
      return;
    case Kind::string:
      append_str_repr(out, heap, v.str);
      return;
    case Kind::sequence:
      append_seq(out, heap, v, depth + 1);
      return;
    case Kind::dict:
      append_dict(out, heap, *v.dict, depth + 1);
      return;
    case Kind::name_space:
      append_namespace(out, heap, *v.name_space, depth + 1);
      return;
    case Kind::range: {
      const Range& r = *v.range;
      out.add(r.step == 1 ? fmt::format("range({}, {})", r.start, r.stop)
                          : fmt::format("range({}, {}, {})", r.start, r.stop, r.step),
              false);
      return;
    }
    case Kind::macro:
      out.add(fmt::format("<Macro '{}'>", v.macro->spec->name), false);
      return;
    case Kind::function:
      out.add(fmt::format("<function {}>", v.function->name), false);
      return;
    case Kind::method:
      out.add(fmt::format("<built-in method {} of {} object>", v.method->function->name,
                          type_name(v.method->self)),
              false);
      return;
    default:
      out.add(fmt::format("<{}>", type_name(v)), false);
  }
}

}  // namespace

void append_repr(TextBuilder& out, Heap& heap, const Value& v) {
  append_nested(out, heap, v, 0);
}

void append_str(TextBuilder& out, Heap& heap, const Value& v) {
  if (v.is(Kind::string)) {
    heap.step(v.str->size);
    out.add(*v.str);
  } else if (!v.is(Kind::undefined)) {
    append_nested(out, heap, v, 0);
  }
}

const Str* to_str(Heap& heap, const Value& v) {
  if (v.is(Kind::string)) return v.str;
  TextBuilder out;
  append_str(out, heap, v);
  return out.finish(heap);
}

}  // namespace nibble::jinja
