#pragma once
// Python's operators and conversions on values. Everything counts its work against the heap's
// budget; recursion happens on the nesting of values only, which kMaxValueDepth bounds. Errors are
// bad_file with Python's words.
#include <string>
#include <string_view>

#include "runtime/text/jinja/text.h"
#include "runtime/text/jinja/value.h"

namespace nibble::jinja {

enum class BinaryOp : uint8_t { add, sub, mul, div, floordiv, mod, pow };
enum class CompareOp : uint8_t { eq, ne, lt, le, gt, ge, in, not_in };

std::string_view type_name(const Value& v) noexcept;  // as Python's type(v).__name__
bool truth(const Value& v) noexcept;

void append_str(TextBuilder& out, Heap& heap, const Value& v);   // str(v)
void append_repr(TextBuilder& out, Heap& heap, const Value& v);  // repr(v)
const Str* to_str(Heap& heap, const Value& v);
std::string real_repr(double d);  // shortest that reads back, Python's layout

bool equals(Heap& heap, const Value& a, const Value& b, int depth = 0);
bool compare(Heap& heap, CompareOp op, const Value& a, const Value& b);
bool contains(Heap& heap, const Value& container, const Value& item);
Value binary(Heap& heap, BinaryOp op, const Value& a, const Value& b);
Value negate(const Value& v, bool minus);

/// The error that using an undefined value raises.
[[noreturn]] void fail_undefined(const Undefined& u);
void check_defined(const Value& v);
[[noreturn]] void fail_type(std::string_view wanted, const Value& got);

/// First or last place of needle in text[begin, end), -1 if there is none.
int64_t find_text(Heap& heap, std::string_view text, std::string_view needle, int64_t begin,
                  int64_t end);
int64_t rfind_text(Heap& heap, std::string_view text, std::string_view needle, int64_t begin,
                   int64_t end);

/// Lists and dicts over items that are copied. Error: bad_file if nested too deeply.
Value make_seq(Heap& heap, Flavour flavour, std::span<const Value> items);
/// A later equal key replaces the value of an earlier one. Error: bad_file for a key that is a list
/// or a dict.
Value make_dict(Heap& heap, std::span<const Entry> entries);
const Value* find_key(Heap& heap, const Dict& dict, const Value& key);
const Value* find_key(Heap& heap, const Dict& dict, std::string_view key);
void set_attribute(Heap& heap, Namespace& ns, const Str* name, const Value& v);
const Value* find_attribute(Heap& heap, const Namespace& ns, std::string_view name);

/// What `%` and str.format do with a template string; args of the operator in one value.
Value format_percent(Heap& heap, const Str* format, const Value& args);

/// Position in something that a for loop or a filter walks over.
class Cursor {
 public:
  Cursor() = default;
  /// Error: bad_file if v cannot be iterated.
  Cursor(Heap& heap, const Value& v);
  bool next(Heap& heap, Value& item);
  int64_t remaining(Heap& heap) const;

 private:
  Value source_;
  int64_t at_ = 0;  // item, or byte of a string
};
bool is_iterable(const Value& v) noexcept;
/// Everything a cursor over v gives; shares the items of lists. Uses up a generator.
std::span<const Value> all_items(Heap& heap, const Value& v);

}  // namespace nibble::jinja
