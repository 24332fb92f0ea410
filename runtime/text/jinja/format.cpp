// Python's two ways to fill in a text: `%` and str.format, with the conversions that templates use.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

#include "formats/io/error.h"
#include "runtime/text/jinja/builtins.h"
#include "runtime/text/jinja/text_tools.h"

namespace nibble::jinja {
namespace {

constexpr int64_t kMaxWidth = 1 << 20;

// One conversion: %[flags][width][.precision]type, or
// {:[fill][align][sign][#][0][width][,][.p]type}.
struct Spec {
  char type = '\0';
  char align = '\0';  // '<', '>', '^', '='
  char sign = '-';
  char32_t fill = ' ';
  bool alternate = false;
  bool commas = false;
  int64_t width = 0;
  int64_t precision = -1;
};

[[noreturn]] void fail_spec(std::string_view what) {
  fail(ErrorCode::bad_file, "format: {}", what);
}

int64_t read_size(std::string_view text, size_t& at) {
  int64_t out = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    out = out * 10 + (text[at] - '0');
    if (out > kMaxWidth) fail_spec("a width or precision is too large");
  }
  return out;
}

const Str* pad(Heap& heap, const Str* s, const Spec& spec, char otherwise) {
  const char align = spec.align == '\0' ? otherwise : spec.align;
  if (align == '^') {
    // Unlike str.center, format puts the odd one behind.
    const int64_t missing = spec.width - length(heap, s);
    if (missing <= 0) return s;
    const Str* left = pad_text(heap, s, length(heap, s) + missing / 2, spec.fill, Pad::right);
    return pad_text(heap, left, spec.width, spec.fill, Pad::left);
  }
  return pad_text(heap, s, spec.width, spec.fill, align == '<' ? Pad::left : Pad::right);
}

std::string with_commas(const std::string& digits) {
  const size_t whole = std::min(digits.find_first_of(".e"), digits.size());
  std::string out;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out + digits.substr(whole);
}

std::string integer_digits(uint64_t magnitude, const Spec& spec) {
  const std::string_view mark = !spec.alternate    ? ""
                                : spec.type == 'x' ? "0x"
                                : spec.type == 'X' ? "0X"
                                : spec.type == 'o' ? "0o"
                                : spec.type == 'b' ? "0b"
                                                   : "";
  switch (spec.type) {
    case 'x':
      return fmt::format("{}{:x}", mark, magnitude);
    case 'X':
      return fmt::format("{}{:X}", mark, magnitude);
    case 'o':
      return fmt::format("{}{:o}", mark, magnitude);
    case 'b':
      return fmt::format("{}{:b}", mark, magnitude);
    default:
      return fmt::format("{}", magnitude);
  }
}

std::string real_digits(double d, const Spec& spec) {
  const int64_t precision = std::min<int64_t>(spec.precision < 0 ? 6 : spec.precision, 1000);
  const double magnitude = std::fabs(d);
  switch (spec.type) {
    case 'f':
    case 'F':
      return fmt::format("{:.{}f}", magnitude, precision);
    case 'e':
      return fmt::format("{:.{}e}", magnitude, precision);
    case 'E':
      return fmt::format("{:.{}E}", magnitude, precision);
    case 'g':
      return fmt::format("{:.{}g}", magnitude, std::max<int64_t>(precision, 1));
    case 'G':
      return fmt::format("{:.{}G}", magnitude, std::max<int64_t>(precision, 1));
    case '%':
      return fmt::format("{:.{}f}%", magnitude * 100, precision);
    default:
      return spec.precision < 0
                 ? real_repr(magnitude)
                 : fmt::format("{:.{}g}", magnitude, std::max<int64_t>(spec.precision, 1));
  }
}

const Str* number_text(Heap& heap, const Value& v, const Spec& spec) {
  const bool as_integer =
      v.is_integral() && std::string_view("feEgGF%").find(spec.type) == std::string_view::npos;
  std::string digits;
  bool negative = false;
  if (as_integer) {
    const int64_t i = v.as_int();
    negative = i < 0;
    digits = integer_digits(
        negative ? uint64_t{0} - static_cast<uint64_t>(i) : static_cast<uint64_t>(i), spec);
  } else {
    negative = std::signbit(v.as_real());
    digits = real_digits(v.as_real(), spec);
  }
  if (spec.commas) digits = with_commas(digits);
  std::string sign = negative ? "-" : spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
  if (spec.align == '=') {
    const auto used = static_cast<int64_t>(sign.size() + digits.size());
    if (spec.width > used) {
      std::string zeros(static_cast<size_t>(spec.width - used), static_cast<char>(spec.fill));
      digits = zeros + digits;
    }
  }
  return make_str(heap, sign + digits, false);
}

// str() cut to the precision.
const Str* plain_text(Heap& heap, const Value& v, const Spec& spec, bool repr) {
  const Str* s = nullptr;
  if (repr) {
    TextBuilder out;
    append_repr(out, heap, v);
    s = out.finish(heap);
  } else {
    s = joined(heap, to_str(heap, v));
  }
  return spec.precision < 0 ? s : substr(heap, s, 0, byte_offset(heap, s, spec.precision));
}

// %

class PercentFormat {
 public:
  PercentFormat(Heap& heap, const Str* format, const Value& args)
      : heap_(heap), format_(joined(heap, format)), text_(format_->view()), args_(args) {
    is_tuple_ = args.is(Kind::sequence) && args.seq->flavour == Flavour::tuple;
  }

  Value run() {
    size_t at = 0;
    while (at < text_.size()) {
      const size_t percent = std::min(text_.find('%', at), text_.size());
      out_.add(*format_, static_cast<int64_t>(at), static_cast<int64_t>(percent));
      at = percent;
      if (at < text_.size()) at = conversion(at + 1);
    }
    const bool used_up = is_tuple_ ? next_ >= static_cast<size_t>(args_.seq->count)
                                   : next_ > 0 || args_.is(Kind::dict);
    if (!used_up) {
      fail(ErrorCode::bad_file, "not all arguments converted during string formatting");
    }
    return Value(out_.finish(heap_));
  }

 private:
  Value next_argument() {
    if (is_tuple_ ? next_ >= static_cast<size_t>(args_.seq->count) : next_ > 0) {
      fail(ErrorCode::bad_file, "not enough arguments for format string");
    }
    return is_tuple_ ? args_.seq->items[next_++] : (++next_, args_);
  }

  size_t conversion(size_t at) {
    Value v;
    if (at < text_.size() && text_[at] == '(') {
      const size_t end = text_.find(')', at);
      if (end == std::string_view::npos) fail_spec("incomplete format key");
      if (!args_.is(Kind::dict)) fail(ErrorCode::bad_file, "format requires a mapping");
      const std::string_view key = text_.substr(at + 1, end - at - 1);
      const Value* found = find_key(heap_, *args_.dict, key);
      if (found == nullptr) fail(ErrorCode::bad_file, "format: there is no key '{}'", key);
      v = *found;
      at = end + 1;
    }
    Spec spec;
    bool zero = false;
    for (; at < text_.size(); ++at) {
      const char c = text_[at];
      if (c == '-')
        spec.align = '<';
      else if (c == '+')
        spec.sign = '+';
      else if (c == ' ' && spec.sign != '+')
        spec.sign = ' ';
      else if (c == '#')
        spec.alternate = true;
      else if (c == '0')
        zero = true;
      else
        break;
    }
    spec.width = size_or_star(at);
    if (at < text_.size() && text_[at] == '.') spec.precision = size_or_star(++at);
    if (at >= text_.size()) fail_spec("incomplete format");
    spec.type = text_[at];
    if (spec.type == '%') {
      out_.add("%", false);
      return at + 1;
    }
    if (v.is(Kind::missing)) v = next_argument();
    out_.add(*converted(v, spec, zero));
    return at + 1;
  }

  int64_t size_or_star(size_t& at) {
    if (at >= text_.size() || text_[at] != '*') return read_size(text_, at);
    ++at;
    const Value v = next_argument();
    if (!v.is_integral()) fail_spec("* wants int");
    return std::clamp<int64_t>(v.as_int(), 0, kMaxWidth);
  }

  const Str* converted(const Value& v, Spec spec, bool zero) {
    if (spec.type == 's' || spec.type == 'r') {
      return joined(heap_, pad(heap_, plain_text(heap_, v, spec, spec.type == 'r'), spec, '>'));
    }
    if (std::string_view("diuxXofFeEgG").find(spec.type) == std::string_view::npos) {
      fail_spec("unsupported format character");
    }
    check_defined(v);
    if (!v.is_number()) fail_spec("a number is required");
    Value number = v;
    if (std::string_view("diu").find(spec.type) != std::string_view::npos) {
      if (v.is(Kind::real)) {
        if (!(std::fabs(v.real) < 9.2e18)) fail_spec("the number is out of range");
        number = Value(static_cast<int64_t>(v.real));
      }
      spec.type = 'd';
    } else if (std::string_view("xXo").find(spec.type) != std::string_view::npos &&
               v.is(Kind::real)) {
      fail_spec("an integer is required");
    }
    if (zero && spec.align == '\0') {
      spec.align = '=';
      spec.fill = '0';
    }
    const Str* text = number_text(heap_, number, spec);
    if (spec.align == '=') return text;
    return joined(heap_, pad(heap_, text, spec, '>'));
  }

  Heap& heap_;
  const Str* format_;
  std::string_view text_;
  Value args_;
  bool is_tuple_ = false;
  size_t next_ = 0;
  TextBuilder out_;
};

// {}

Spec read_spec(std::string_view text) {
  Spec spec;
  size_t at = 0;
  const auto is_align = [&](size_t i) {
    return i < text.size() && std::string_view("<>^=").find(text[i]) != std::string_view::npos;
  };
  if (!text.empty()) {
    const CodePoint first = code_point(text, 0);
    if (is_align(static_cast<size_t>(first.size))) {
      spec.fill = first.cp;
      at = static_cast<size_t>(first.size);
    }
  }
  if (is_align(at)) spec.align = text[at++];
  if (at < text.size() && (text[at] == '+' || text[at] == '-' || text[at] == ' ')) {
    spec.sign = text[at++];
  }
  if (at < text.size() && text[at] == '#') {
    spec.alternate = true;
    ++at;
  }
  if (at < text.size() && text[at] == '0') {
    if (spec.align == '\0') {
      spec.align = '=';
      spec.fill = '0';
    }
    ++at;
  }
  spec.width = read_size(text, at);
  if (at < text.size() && text[at] == ',') {
    spec.commas = true;
    ++at;
  }
  if (at < text.size() && text[at] == '.') spec.precision = read_size(text, ++at);
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size() ||
      std::string_view(std::string_view("\0sdxXobfFeEgG%", 14)).find(spec.type) ==
          std::string_view::npos) {
    fail_spec("invalid format specifier");
  }
  return spec;
}

class BraceFormat {
 public:
  explicit BraceFormat(Call& call)
      : call_(call),
        heap_(call.heap),
        format_(joined(heap_, call.self.str)),
        text_(format_->view()) {}

  Value run() {
    size_t at = 0;
    while (at < text_.size()) {
      const size_t brace = std::min(text_.find_first_of("{}", at), text_.size());
      out_.add(*format_, static_cast<int64_t>(at), static_cast<int64_t>(brace));
      at = brace;
      if (at >= text_.size()) break;
      if (at + 1 < text_.size() && text_[at + 1] == text_[at]) {
        out_.add(*format_, static_cast<int64_t>(at), static_cast<int64_t>(at) + 1);
        at += 2;
      } else if (text_[at] == '}') {
        fail_spec("Single '}' encountered in format string");
      } else {
        at = field(at + 1);
      }
    }
    return Value(out_.finish(heap_));
  }

 private:
  size_t field(size_t at) {
    const size_t end = text_.find_first_of("{}", at);
    if (end == std::string_view::npos) fail_spec("expected '}' before end of string");
    if (text_[end] == '{') fail_spec("nested fields are not supported");
    const std::string_view inner = text_.substr(at, end - at);
    const size_t colon = std::min(inner.find(':'), inner.size());
    const Spec spec = read_spec(inner.substr(std::min(colon + 1, inner.size())));
    std::string_view name = inner.substr(0, colon);
    char conversion = '\0';
    if (const size_t mark = name.find('!'); mark != std::string_view::npos) {
      if (mark + 2 != name.size()) fail_spec("expected one conversion character behind '!'");
      conversion = name[mark + 1];
      if (conversion != 'r' && conversion != 's') fail_spec("unknown conversion");
      name = name.substr(0, mark);
    }
    out_.add(*formatted(argument(name), spec, conversion));
    return end + 1;
  }

  const Str* formatted(const Value& v, const Spec& spec, char conversion) {
    if (v.is_number() && !v.is(Kind::boolean) && conversion == '\0') {
      if (spec.type == 's') fail_spec("unknown format code 's' for a number");
      const Str* text = number_text(heap_, v, spec);
      return spec.align == '=' ? text : joined(heap_, pad(heap_, text, spec, '>'));
    }
    if (spec.type != '\0' && spec.type != 's') fail_spec("unknown format code for a string");
    Spec plain = spec;
    if (plain.align == '=') plain.align = '<';
    return joined(heap_, pad(heap_, plain_text(heap_, v, plain, conversion == 'r'), plain, '<'));
  }

  // "", "0", "name", "0.attribute[key]".
  Value argument(std::string_view name) {
    const size_t end = std::min(name.find_first_of(".["), name.size());
    const std::string_view first = name.substr(0, end);
    Value v = first_argument(first);
    name.remove_prefix(end);
    while (!name.empty()) {
      if (name[0] == '.') {
        const size_t stop = std::min(name.find_first_of(".[", 1), name.size());
        v = get_attribute(call_.context, v, name.substr(1, stop - 1));
        name.remove_prefix(stop);
      } else {
        const size_t stop = name.find(']');
        if (name[0] != '[' || stop == std::string_view::npos) fail_spec("missing ']'");
        const std::string_view key = name.substr(1, stop - 1);
        int64_t index = 0;
        v = get_item(
            call_.context, v,
            read_index(key, index) ? Value(index) : Value(make_view(heap_, key, format_->user)));
        name.remove_prefix(stop + 1);
      }
    }
    return v;
  }

  static bool read_index(std::string_view text, int64_t& index) {
    if (text.empty() || text[0] == '-') return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    return error == std::errc() && end == text.data() + text.size();
  }

  Value first_argument(std::string_view name) {
    int64_t index = 0;
    const bool is_index = read_index(name, index);
    if (name.empty()) index = next_++;
    if (name.empty() || is_index) {
      if (index >= static_cast<int64_t>(call_.args.size())) {
        fail_spec("replacement index out of range");
      }
      return call_.args[static_cast<size_t>(index)];
    }
    for (const Keyword& k : call_.named) {
      if (k.name == name) return k.value;
    }
    fail(ErrorCode::bad_file, "format: there is no argument '{}'", name);
  }

  Call& call_;
  Heap& heap_;
  const Str* format_;
  std::string_view text_;
  int64_t next_ = 0;
  TextBuilder out_;
};

}  // namespace

Value format_percent(Heap& heap, const Str* format, const Value& args) {
  return PercentFormat(heap, format, args).run();
}

Value format_braces(Call& call) {
  return BraceFormat(call).run();
}

}  // namespace nibble::jinja
