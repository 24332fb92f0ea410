#include "runtime/text/jinja/text_tools.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "formats/io/error.h"
#include "runtime/text/jinja/operations.h"
#include "runtime/text/utf8.h"

namespace nibble::jinja {

const Str* replace_text(Heap& heap, const Str* s, const Str* old, const Str* with, int64_t count) {
  TextBuilder out;
  int64_t done = 0, from = 0;
  const std::string_view text = s->view();
  while (count < 0 || done < count) {
    int64_t at = 0;
    if (old->size == 0) {  // before every character and at the end
      if (from > s->size) break;
      at = from;
      out.add(*with);
      const int64_t next = at < s->size ? at + code_point(text, at).size : at + 1;
      out.add(*s, at, std::min(next, s->size));
      from = next;
      heap.step();
    } else {
      at = find_text(heap, text, old->view(), from, s->size);
      if (at < 0) break;
      out.add(*s, from, at);
      out.add(*with);
      from = at + old->size;
    }
    ++done;
  }
  if (done == 0) return s;
  out.add(*s, from, s->size);
  return out.finish(heap);
}

const Str* capitalize(Heap& heap, const Str* s) {
  if (s->size == 0) return s;
  const int64_t first = code_point(s->view(), 0).size;
  TextBuilder out;
  out.add(*change_case(heap, substr(heap, s, 0, first), Case::title));
  // The whole word decides how a final sigma is written.
  const Str* lower = change_case(heap, s, Case::lower);
  const int64_t lower_first = change_case(heap, substr(heap, s, 0, first), Case::lower)->size;
  out.add(*lower, lower_first, lower->size);
  return out.finish(heap);
}

const Str* pad_text(Heap& heap, const Str* s, int64_t width, char32_t fill, Pad to) {
  const int64_t missing = width - length(heap, s);
  if (missing <= 0) return s;
  if (missing > kMaxTextBytes) {
    fail(ErrorCode::bad_file, "the template makes a text of more than {} bytes", kMaxTextBytes);
  }
  std::string one;
  append_utf8(one, fill);
  const int64_t left = to == Pad::left    ? 0
                       : to == Pad::right ? missing
                                          : missing / 2 + (missing & width & 1);
  TextBuilder out;
  for (int64_t i = 0; i < left; ++i) out.add(one, false);
  out.add(*s);
  for (int64_t i = left; i < missing; ++i) out.add(one, false);
  return out.finish(heap);
}

std::optional<double> read_real(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size() || error == std::errc::invalid_argument) return std::nullopt;
  if (error == std::errc()) return value;
  // Out of range: the place of the first digit that counts says on which side.
  const bool negative = text[0] == '-';
  if (negative) text.remove_prefix(1);
  const size_t e = std::min(text.find_first_of("eE"), text.size());
  const std::string_view digits = text.substr(0, e);
  const size_t first = digits.find_first_of("123456789");
  const size_t point = std::min(digits.find('.'), digits.size());
  const bool before = first < point;
  int64_t place =
      before ? static_cast<int64_t>(point - first) : -static_cast<int64_t>(first - point);
  bool up = place > 0;
  if (e < text.size()) {
    const bool minus = text[e + 1] == '-';
    const std::string_view power = text.substr(e + 1 + (minus || text[e + 1] == '+' ? 1 : 0));
    int64_t exponent = 0;
    const auto read = std::from_chars(power.data(), power.data() + power.size(), exponent);
    up = read.ec != std::errc() ? !minus : place + (minus ? -exponent : exponent) > 0;
  }
  value = up ? std::numeric_limits<double>::infinity() : 0.0;
  return negative ? -value : value;
}

std::vector<Bounds> split_lines(Heap& heap, std::string_view text, bool last_empty,
                                bool keep_ends) {
  std::vector<Bounds> lines;
  const auto size = static_cast<int64_t>(text.size());
  heap.step(size * 4);
  int64_t begin = 0;
  for (int64_t at = 0; at < size;) {
    const CodePoint c = code_point(text, at);
    const int64_t end = at;
    at += c.size;
    if (!is_line_break(c.cp)) continue;
    if (c.cp == '\r' && at < size && text[static_cast<size_t>(at)] == '\n') ++at;
    lines.push_back({begin, keep_ends ? at : end});
    begin = at;
    heap.check_count(static_cast<int64_t>(lines.size()), sizeof(Bounds));
  }
  if (begin < size || last_empty) lines.push_back({begin, size});
  return lines;
}

}  // namespace nibble::jinja
