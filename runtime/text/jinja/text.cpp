#include "runtime/text/jinja/text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>

#include "formats/io/error.h"
#include "runtime/text/utf8.h"

namespace nibble::jinja {
namespace {

void append_run(std::vector<Run>& runs, int64_t end, bool user) {
  if (!runs.empty() && runs.back().user == user) {
    runs.back().end = end;
  } else {
    runs.push_back({end, user});
  }
}

const Run* run_at(const Str& s, int64_t at) noexcept {
  return std::upper_bound(s.runs, s.runs + s.n_runs, at,
                          [](int64_t byte, const Run& run) { return byte < run.end; });
}

void set_runs(Heap& heap, Str& s, const std::vector<Run>& runs) {
  if (runs.size() == 1) s.user = runs[0].user;
  if (runs.size() <= 1) return;
  s.runs = heap.copy(std::span<const Run>(runs));
  s.n_runs = static_cast<int64_t>(runs.size());
}

}  // namespace

void TextBuilder::add(std::string_view bytes, bool user) {
  if (bytes.empty()) return;
  if (static_cast<int64_t>(bytes.size()) > kMaxTextBytes - size()) {
    fail(ErrorCode::bad_file, "the template makes a text of more than {} bytes", kMaxTextBytes);
  }
  bytes_.append(bytes);
  append_run(runs_, size(), user);
}

void TextBuilder::add(const Str& s, int64_t begin, int64_t end) {
  if (begin >= end) return;
  if (s.runs == nullptr) {
    add(s.view().substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), s.user);
    return;
  }
  for (const Run* run = run_at(s, begin); begin < end; ++run) {
    const int64_t stop = std::min(end, run->end);
    add(s.view().substr(static_cast<size_t>(begin), static_cast<size_t>(stop - begin)), run->user);
    begin = stop;
  }
}

void TextBuilder::add(const Str& s) {
  if (s.data != nullptr) {
    add(s, 0, s.size);
    return;
  }
  std::vector<const Str*> open = {&s};
  while (!open.empty()) {
    const Str* top = open.back();
    open.pop_back();
    if (top->data != nullptr) {
      add(*top, 0, top->size);
    } else {
      open.push_back(top->right);
      open.push_back(top->left);
    }
  }
}

void TextBuilder::add_like(std::string_view bytes, const Str& s, int64_t like) {
  add(bytes, user_at(s, like));
}

const Str* TextBuilder::finish(Heap& heap) const {
  heap.step(size());
  Str* s = heap.make<Str>();
  s->size = size();
  s->data = heap.copy(bytes_).data();
  set_runs(heap, *s, runs_);
  return s;
}

const Str* make_view(Heap& heap, std::string_view text, bool user) {
  Str* s = heap.make<Str>();
  s->size = static_cast<int64_t>(text.size());
  s->user = user;
  s->data = text.data() == nullptr ? "" : text.data();
  return s;
}

const Str* make_str(Heap& heap, std::string_view text, bool user) {
  heap.step(static_cast<int64_t>(text.size()));
  return make_view(heap, heap.copy(text), user);
}

const Str* concat(Heap& heap, const Str* a, const Str* b) {
  if (a->size == 0) return b;
  if (b->size == 0) return a;
  if (b->size > kMaxTextBytes - a->size) {
    fail(ErrorCode::bad_file, "the template makes a text of more than {} bytes", kMaxTextBytes);
  }
  Str* s = heap.make<Str>();
  s->size = a->size + b->size;
  s->left = a;
  s->right = b;
  return s;
}

const Str* joined(Heap& heap, const Str* s) {
  if (s->data != nullptr) return s;
  TextBuilder builder;
  heap.check_room(s->size);
  builder.add(*s);
  const Str* flat = builder.finish(heap);
  s->runs = flat->runs;
  s->n_runs = flat->n_runs;
  s->data = flat->data;
  if (flat->runs == nullptr) const_cast<Str*>(s)->user = flat->user;
  return s;
}

const Str* substr(Heap& heap, const Str* s, int64_t begin, int64_t end) {
  begin = std::max<int64_t>(begin, 0);
  end = std::min(end, s->size);
  if (begin == 0 && end == s->size) return s;
  Str* part = heap.make<Str>();
  part->size = std::max<int64_t>(end - begin, 0);
  part->data = part->size == 0 ? "" : s->data + begin;
  if (part->size == 0 || s->runs == nullptr) {
    part->user = s->user;
    return part;
  }
  std::vector<Run> runs;
  for (const Run* run = run_at(*s, begin);; ++run) {
    append_run(runs, std::min(end, run->end) - begin, run->user);
    if (run->end >= end) break;
  }
  heap.step(static_cast<int64_t>(runs.size() * sizeof(Run)));
  set_runs(heap, *part, runs);
  return part;
}

bool user_at(const Str& s, int64_t at) noexcept {
  if (s.runs == nullptr) return s.user;
  return run_at(s, std::clamp<int64_t>(at, 0, s.size - 1))->user;
}

CodePoint code_point(std::string_view text, int64_t at) noexcept {
  const auto byte = static_cast<uint8_t>(text[static_cast<size_t>(at)]);
  if (byte < 0x80) return {1, byte};
  const Utf8Step step = utf8_step(text.substr(static_cast<size_t>(at)));
  if (!step.valid) return {1, 0xFFFD};
  const auto part = [&](size_t i) {
    return static_cast<char32_t>(static_cast<uint8_t>(text[static_cast<size_t>(at) + i]) & 0x3F);
  };
  if (step.length == 2) return {2, (char32_t{byte} & 0x1F) << 6 | part(1)};
  if (step.length == 3) return {3, (char32_t{byte} & 0x0F) << 12 | part(1) << 6 | part(2)};
  return {4, (char32_t{byte} & 0x07) << 18 | part(1) << 12 | part(2) << 6 | part(3)};
}

int64_t previous(std::string_view text, int64_t at) noexcept {
  for (int64_t back = 2; back <= 4 && back <= at; ++back) {
    const auto lead = static_cast<uint8_t>(text[static_cast<size_t>(at - back)]);
    if (lead >= 0xC0 &&
        code_point(text.substr(0, static_cast<size_t>(at)), at - back).size == back) {
      return at - back;
    }
  }
  return at - 1;
}

int64_t length(Heap& heap, const Str* s) {
  if (s->length >= 0) return s->length;
  joined(heap, s);
  heap.step(s->size);
  int64_t count = 0;
  for (int64_t at = 0; at < s->size; ++count) at += code_point(s->view(), at).size;
  s->length = count;
  return count;
}

int64_t byte_offset(Heap& heap, const Str* s, int64_t index) {
  if (length(heap, s) == s->size) return std::min(index, s->size);
  int64_t at = 0;
  for (int64_t i = 0; i < index && at < s->size; ++i) at += code_point(s->view(), at).size;
  heap.step(at);
  return at;
}

bool is_space(char32_t cp) noexcept {
  if (cp < 0x80) return cp == ' ' || (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1F);
  return cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) ||
         cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

bool is_line_break(char32_t cp) noexcept {
  return (cp >= 0x0A && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 || cp == 0x2028 ||
         cp == 0x2029;
}

Bounds strip_bounds(std::string_view text, const std::string_view* chars, bool left, bool right) {
  const auto strips = [&](int64_t at, const CodePoint& c) {
    if (chars == nullptr) return is_space(c.cp);
    const std::string_view one = text.substr(static_cast<size_t>(at), static_cast<size_t>(c.size));
    for (int64_t i = 0; i < static_cast<int64_t>(chars->size());) {
      const int64_t size = code_point(*chars, i).size;
      if (chars->substr(static_cast<size_t>(i), static_cast<size_t>(size)) == one) return true;
      i += size;
    }
    return false;
  };
  Bounds b{0, static_cast<int64_t>(text.size())};
  while (left && b.begin < b.end) {
    const CodePoint c = code_point(text, b.begin);
    if (!strips(b.begin, c)) break;
    b.begin += c.size;
  }
  while (right && b.begin < b.end) {
    const int64_t at = previous(text, b.end);
    if (!strips(at, code_point(text, at))) break;
    b.end = at;
  }
  return b;
}

bool in_class(char32_t cp, CharClass c) noexcept {
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(cp));
  const bool alpha = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
  const bool decimal = category == UTF8PROC_CATEGORY_ND;
  const bool numeric =
      decimal || category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_NO;
  // Superscripts and the like are digits to Python, though not decimal ones.
  const bool digit = decimal || cp == 0xB2 || cp == 0xB3 || cp == 0xB9 || cp == 0x2070 ||
                     (cp >= 0x2074 && cp <= 0x2079) || (cp >= 0x2080 && cp <= 0x2089) ||
                     (cp >= 0x2460 && cp <= 0x2468);
  switch (c) {
    case CharClass::alpha:
      return alpha;
    case CharClass::digit:
      return digit;
    case CharClass::decimal:
      return decimal;
    case CharClass::numeric:
      return numeric;
    case CharClass::alnum:
      return alpha || numeric;
    case CharClass::lower:
      return category == UTF8PROC_CATEGORY_LL;
    case CharClass::upper:
      return category == UTF8PROC_CATEGORY_LU;
  }
  return false;
}

namespace {

// Capital letters that are more than one code point (SpecialCasing.txt): the ones that running
// text has. {code point, upper, title}
struct Special {
  char32_t cp;
  std::string_view upper, title;
};
constexpr Special kSpecials[] = {
    {0xDF, "SS", "Ss"},
    {0x149, "\xCA\xBCN", "\xCA\xBCN"},
    {0x1F0, "J\xCC\x8C", "J\xCC\x8C"},
    {0xFB00, "FF", "Ff"},
    {0xFB01, "FI", "Fi"},
    {0xFB02, "FL", "Fl"},
    {0xFB03, "FFI", "Ffi"},
    {0xFB04, "FFL", "Ffl"},
    {0xFB05, "ST", "St"},
    {0xFB06, "ST", "St"},
};

// A final sigma: cased before it, none behind it (Unicode, section 3.13; marks are not looked at).
bool is_final_sigma(std::string_view text, int64_t at) noexcept {
  const auto cased = [](char32_t cp) {
    return in_class(cp, CharClass::lower) || in_class(cp, CharClass::upper);
  };
  if (at == 0 || !cased(code_point(text, previous(text, at)).cp)) return false;
  const int64_t next = at + 2;
  return next >= static_cast<int64_t>(text.size()) || !cased(code_point(text, next).cp);
}

void append_cased(std::string& out, std::string_view text, int64_t at, CodePoint c, Case to) {
  const auto cp = static_cast<utf8proc_int32_t>(c.cp);
  if (to == Case::lower) {
    if (c.cp == 0x3A3) {
      out += is_final_sigma(text, at) ? "\xCF\x82" : "\xCF\x83";
    } else if (c.cp == 0x130) {
      out += "i\xCC\x87";
    } else {
      append_utf8(out, static_cast<char32_t>(utf8proc_tolower(cp)));
    }
    return;
  }
  for (const Special& special : kSpecials) {
    if (special.cp == c.cp) {
      out += to == Case::upper ? special.upper : special.title;
      return;
    }
  }
  append_utf8(
      out, static_cast<char32_t>(to == Case::upper ? utf8proc_toupper(cp) : utf8proc_totitle(cp)));
}

}  // namespace

const Str* change_case(Heap& heap, const Str* s, Case to) {
  joined(heap, s);
  heap.step(s->size * 4);
  TextBuilder out;
  std::string piece;
  const std::string_view text = s->view();
  for (int64_t at = 0; at < s->size;) {
    const CodePoint c = code_point(text, at);
    piece.clear();
    if (c.cp < 0x80) {
      const bool changes =
          to == Case::lower ? c.cp >= 'A' && c.cp <= 'Z' : c.cp >= 'a' && c.cp <= 'z';
      piece += static_cast<char>(changes ? c.cp ^ 0x20 : c.cp);
    } else if (c.cp == 0xFFFD) {
      piece = text.substr(static_cast<size_t>(at), static_cast<size_t>(c.size));
    } else {
      append_cased(piece, text, at, c, to);
    }
    out.add_like(piece, *s, at);
    at += c.size;
  }
  return out.finish(heap);
}

}  // namespace nibble::jinja
