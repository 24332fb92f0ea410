#pragma once
// Strings that know where they come from. Every byte of a Str is the template's own or the user's;
// the mark survives slicing, trimming, joining, case changes and formatting, so that what a user
// typed never reaches the prompt as the template's text.
//
// A Str is a view (a substring shares the bytes), or a concatenation that is not written out yet:
// a += b costs the same whatever the lengths. joined() writes one out, without recursion, once.
// Lengths and indices that templates see count code points; a byte that is not valid UTF-8 is one.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/jinja/heap.h"
#include "runtime/text/jinja/value.h"

namespace nibble::jinja {

/// Bytes up to `end` are of this origin.
struct Run {
  int64_t end = 0;
  bool user = false;
};

struct Str {
  int64_t size = 0;                    // bytes
  bool user = false;                   // origin, if runs is null
  mutable const char* data = nullptr;  // null: not written out, left + right
  mutable const Run* runs = nullptr;   // [n_runs], ascending, the last ends at size
  mutable int64_t n_runs = 0;
  mutable int64_t length = -1;  // code points; -1: not counted yet
  const Str* left = nullptr;
  const Str* right = nullptr;

  std::string_view view() const noexcept { return {data, static_cast<size_t>(size)}; }
};

/// Text with origins under construction. Error: bad_file for more than kMaxTextBytes.
class TextBuilder {
 public:
  void add(std::string_view bytes, bool user);
  void add(const Str& s);                              // also one that is not written out
  void add(const Str& s, int64_t begin, int64_t end);  // s is written out
  /// Bytes of s with the origin that s has at byte `like`.
  void add_like(std::string_view bytes, const Str& s, int64_t like);

  const std::string& bytes() const noexcept { return bytes_; }
  const std::vector<Run>& runs() const noexcept { return runs_; }
  int64_t size() const noexcept { return static_cast<int64_t>(bytes_.size()); }
  const Str* finish(Heap& heap) const;

 private:
  std::string bytes_;
  std::vector<Run> runs_;
};

/// text must live as long as the render.
const Str* make_view(Heap& heap, std::string_view text, bool user);
const Str* make_str(Heap& heap, std::string_view text, bool user);  // copies
const Str* concat(Heap& heap, const Str* a, const Str* b);
/// The same string, written out: view() and runs are valid.
const Str* joined(Heap& heap, const Str* s);
/// Bytes [begin, end) of a string that is written out; shares them.
const Str* substr(Heap& heap, const Str* s, int64_t begin, int64_t end);
/// Is byte `at` the user's?
bool user_at(const Str& s, int64_t at) noexcept;

/// One code point (or one stray byte, then cp is 0xFFFD) of text at byte `at`.
struct CodePoint {
  int64_t size = 0;
  char32_t cp = 0;
};
CodePoint code_point(std::string_view text, int64_t at) noexcept;
int64_t previous(std::string_view text, int64_t at) noexcept;  // start of the one before `at` > 0
int64_t length(Heap& heap, const Str* s);
/// Byte offset of code point `index`, at most the size.
int64_t byte_offset(Heap& heap, const Str* s, int64_t index);

/// Python's str.isspace and str.splitlines.
bool is_space(char32_t cp) noexcept;
bool is_line_break(char32_t cp) noexcept;
struct Bounds {
  int64_t begin = 0, end = 0;
};
/// Of text without white space (or the characters of `chars`, if given) at its ends.
Bounds strip_bounds(std::string_view text, const std::string_view* chars, bool left, bool right);

enum class Case { lower, upper, title };  // title: as the first letter of a word
const Str* change_case(Heap& heap, const Str* s, Case to);
enum class CharClass { alpha, digit, decimal, numeric, alnum, lower, upper };
bool in_class(char32_t cp, CharClass c) noexcept;

}  // namespace nibble::jinja
