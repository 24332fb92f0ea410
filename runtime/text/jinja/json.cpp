// tojson as transformers defines it (json.dumps, ensure_ascii=False by default), and JSON text as
// values.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "formats/io/error.h"
#include "runtime/text/jinja/builtins.h"

namespace nibble::jinja {
namespace {

void append_json_str(TextBuilder& out, Heap& heap, const Str* s, bool ascii) {
  joined(heap, s);
  heap.step(s->size * 2);
  out.add("\"", false);
  const std::string_view text = s->view();
  int64_t begin = 0;
  for (int64_t at = 0; at < s->size;) {
    const CodePoint c = code_point(text, at);
    std::string escaped;
    switch (c.cp) {
      case '"':
        escaped = "\\\"";
        break;
      case '\\':
        escaped = "\\\\";
        break;
      case '\n':
        escaped = "\\n";
        break;
      case '\r':
        escaped = "\\r";
        break;
      case '\t':
        escaped = "\\t";
        break;
      case '\b':
        escaped = "\\b";
        break;
      case '\f':
        escaped = "\\f";
        break;
      default: {
        const auto code = static_cast<uint32_t>(c.cp);
        if (code >= 0x20 && (!ascii || code < 0x7F)) break;
        escaped = code < 0x10000
                      ? fmt::format("\\u{:04x}", code)
                      : fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((code - 0x10000) >> 10),
                                    0xDC00 + ((code - 0x10000) & 0x3FF));
        if (code == 0x7F) escaped.clear();
      }
    }
    if (!escaped.empty()) {
      out.add(*s, begin, at);
      out.add_like(escaped, *s, at);
      begin = at + c.size;
    }
    at += c.size;
  }
  out.add(*s, begin, s->size);
  out.add("\"", false);
}

class JsonWriter {
 public:
  JsonWriter(TextBuilder& out, Heap& heap, const JsonStyle& style)
      : out_(out), heap_(heap), style_(style) {}

  void write(const Value& v, int depth) {
    heap_.step();
    switch (v.kind) {
      case Kind::none:
        return out_.add("null", false);
      case Kind::boolean:
        return out_.add(v.boolean ? "true" : "false", false);
      case Kind::integer:
        return out_.add(fmt::format("{}", v.integer), false);
      case Kind::real:
        return out_.add(real_text(v.real), false);
      case Kind::string:
        return append_json_str(out_, heap_, v.str, style_.ascii);
      case Kind::dict:
        return write_dict(*v.dict, depth);
      case Kind::sequence:
        if (v.seq->flavour <= Flavour::tuple) return write_list(v.seq->span(), depth);
        break;
      default:
        break;
    }
    fail(ErrorCode::bad_file, "Object of type {} is not JSON serializable", type_name(v));
  }

 private:
  static std::string real_text(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return real_repr(d);
  }

  void new_line(int depth) {
    if (style_.indent == nullptr) return;
    out_.add("\n", false);
    for (int i = 0; i < depth; ++i) out_.add(*style_.indent);
  }

  void write_list(std::span<const Value> items, int depth) {
    if (items.empty()) return out_.add("[]", false);
    out_.add("[", false);
    bool first = true;
    for (const Value& item : items) {
      if (!first) out_.add(style_.item_separator, false);
      first = false;
      new_line(depth + 1);
      write(item, depth + 1);
    }
    new_line(depth);
    out_.add("]", false);
  }

  void write_key(const Value& key) {
    if (key.is(Kind::string)) return append_json_str(out_, heap_, key.str, style_.ascii);
    if (!key.is_number() && !key.is(Kind::none)) {
      fail(ErrorCode::bad_file, "keys must be str, int, float, bool or None, not {}",
           type_name(key));
    }
    out_.add("\"", false);
    write(key, 0);
    out_.add("\"", false);
  }

  void write_dict(const Dict& dict, int depth) {
    if (dict.count == 0) return out_.add("{}", false);
    std::vector<const Entry*> entries;
    for (const Entry& entry : dict.span()) entries.push_back(&entry);
    if (style_.sort_keys) {
      heap_.step(dict.count * 64);
      for (const Entry& entry : dict.span()) check_order(entry.key);
      std::stable_sort(entries.begin(), entries.end(), [&](const Entry* a, const Entry* b) {
        return compare(heap_, CompareOp::lt, a->key, b->key);
      });
    }
    out_.add("{", false);
    bool first = true;
    for (const Entry* entry : entries) {
      if (!first) out_.add(style_.item_separator, false);
      first = false;
      new_line(depth + 1);
      write_key(entry->key);
      out_.add(style_.key_separator, false);
      write(entry->value, depth + 1);
    }
    new_line(depth);
    out_.add("}", false);
  }

  static void check_order(const Value& key) {
    if (!key.is(Kind::string)) fail(ErrorCode::bad_file, "only string keys can be sorted");
  }

  TextBuilder& out_;
  Heap& heap_;
  const JsonStyle& style_;
};

// Builds values while the text is read: no document in between, no recursion.
class JsonReader {
 public:
  explicit JsonReader(Heap& heap) : heap_(heap) {}

  bool null() { return put(Value::none()); }
  bool boolean(bool b) { return put(Value(b)); }
  bool number_integer(int64_t i) { return put(Value(i)); }
  bool number_unsigned(uint64_t u) {
    return put(u > static_cast<uint64_t>(INT64_MAX) ? Value(static_cast<double>(u))
                                                    : Value(static_cast<int64_t>(u)));
  }
  bool number_float(double d, const std::string&) { return put(Value(d)); }
  bool string(std::string& s) { return put(Value(make_str(heap_, s, true))); }
  bool binary(std::vector<uint8_t>&) { return false; }
  bool start_object(size_t) { return open(true); }
  bool start_array(size_t) { return open(false); }
  bool key(std::string& s) {
    open_.back().entries.push_back({Value(make_str(heap_, s, true)), Value()});
    return true;
  }
  bool end_object() {
    const Value v = make_dict(heap_, open_.back().entries);
    open_.pop_back();
    return put(v);
  }
  bool end_array() {
    const Value v = make_seq(heap_, Flavour::list, open_.back().items);
    open_.pop_back();
    return put(v);
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) { return false; }

  const Value& result() const noexcept { return result_; }

 private:
  struct Open {
    bool is_dict = false;
    std::vector<Value> items;
    std::vector<Entry> entries;
  };

  bool open(bool is_dict) {
    if (open_.size() >= static_cast<size_t>(kMaxValueDepth)) return false;
    open_.emplace_back().is_dict = is_dict;
    return true;
  }

  bool put(const Value& v) {
    heap_.step();
    if (open_.empty()) {
      result_ = v;
    } else if (open_.back().is_dict) {
      open_.back().entries.back().value = v;
    } else {
      open_.back().items.push_back(v);
    }
    return true;
  }

  Heap& heap_;
  std::vector<Open> open_;
  Value result_;
};

}  // namespace

void append_json(TextBuilder& out, Heap& heap, const Value& v, const JsonStyle& style) {
  JsonWriter(out, heap, style).write(v, 0);
}

Value parse_json(Heap& heap, std::string_view json, std::string_view what) {
  heap.step(static_cast<int64_t>(json.size()) * 4);
  JsonReader reader(heap);
  if (!nlohmann::json::sax_parse(json, &reader)) {
    fail(ErrorCode::bad_argument, "{}: expected valid JSON, nested at most {} deep", what,
         kMaxValueDepth);
  }
  return reader.result();
}

}  // namespace nibble::jinja
