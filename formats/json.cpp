// The parser: one loop over the text, the open arrays and objects on a stack of kMaxJsonDepth.
#include "formats/json.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <limits>

#include "formats/io/error.h"
#include "formats/io/quote.h"

namespace nibble {
namespace {

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Bytes of the well-formed UTF-8 sequence at the start of text, 0 if there is none.
size_t sequence_length(std::string_view text) noexcept {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool surrogate = first == 0xED && byte(1) > 0x9F;
  const bool too_high = first == 0xF4 && byte(1) > 0x8F;
  return overlong || surrogate || too_high ? 0 : length;
}

void append_code_point(std::string& to, uint32_t c) {
  const auto tail = [](uint32_t bits) { return static_cast<char>(0x80 | (bits & 0x3F)); };
  if (c < 0x80) {
    to += static_cast<char>(c);
  } else if (c < 0x800) {
    to += {static_cast<char>(0xC0 | c >> 6), tail(c)};
  } else if (c < 0x10000) {
    to += {static_cast<char>(0xE0 | c >> 12), tail(c >> 6), tail(c)};
  } else {
    to += {static_cast<char>(0xF0 | c >> 18), tail(c >> 12), tail(c >> 6), tail(c)};
  }
}

}  // namespace

const char* json_type_name(JsonType type) noexcept {
  switch (type) {
    case JsonType::null:
      return "null";
    case JsonType::boolean:
      return "true or false";
    case JsonType::integer:
      return "an integer";
    case JsonType::number:
      return "a number";
    case JsonType::string:
      return "a string";
    case JsonType::array:
      return "an array";
    case JsonType::object:
      return "an object";
  }
  return "";
}

class JsonDocument::Parser {
 public:
  explicit Parser(JsonDocument& out) : out_(out), text_(out.text_) {}

  void run() {
    skip_space();
    value();
    while (depth_ > 0) element();
    skip_space();
    if (at_ != text_.size()) refuse("the end of the text");
  }

 private:
  struct Open {
    uint32_t node = 0;
    bool is_object = false;
  };

  // After an element: a comma and the next one, or the end of what is open.
  void element() {
    Open& open = stack_[static_cast<size_t>(depth_ - 1)];
    const char end = open.is_object ? '}' : ']';
    Node& node = out_.nodes_[open.node];
    skip_space();
    if (peek() == end) {
      ++at_;
      node.bits = out_.nodes_.size();
      if (open.is_object) check_keys(open.node);
      --depth_;
      return;
    }
    if (node.size > 0) {
      if (peek() != ',') refuse(open.is_object ? "',' or '}'" : "',' or ']'");
      ++at_;
      skip_space();
    }
    ++node.size;
    if (open.is_object) {
      if (peek() != '"') refuse("a key in double quotes");
      string();
      skip_space();
      if (peek() != ':') refuse("':'");
      ++at_;
      skip_space();
    }
    value();
  }

  void value() {
    switch (peek()) {
      case '{':
      case '[':
        return open();
      case '"':
        return string();
      case 't':
        return word("true", JsonType::boolean, 1);
      case 'f':
        return word("false", JsonType::boolean, 0);
      case 'n':
        return word("null", JsonType::null, 0);
      default:
        return number();
    }
  }

  void open() {
    if (depth_ == kMaxJsonDepth) {
      fail(ErrorCode::bad_file, "{}: byte {}: expected at most {} nested arrays and objects",
           out_.what_, at_, kMaxJsonDepth);
    }
    const bool is_object = text_[at_++] == '{';
    stack_[static_cast<size_t>(depth_++)] = {static_cast<uint32_t>(out_.nodes_.size()), is_object};
    add(is_object ? JsonType::object : JsonType::array, 0);
  }

  void word(std::string_view text, JsonType type, uint64_t bits) {
    if (!text_.substr(at_).starts_with(text)) refuse("a value");
    at_ += text.size();
    add(type, bits);
  }

  void number() {
    const size_t begin = at_;
    const auto digits = [&] {
      if (!is_digit(peek())) refuse("a value");
      while (is_digit(peek())) ++at_;
    };
    const bool negative = peek() == '-';
    if (negative) ++at_;
    if (peek() == '0') {
      ++at_;
    } else {
      digits();
    }
    bool whole = true;
    if (peek() == '.') {
      whole = false;
      ++at_;
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      whole = false;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    const char* first = text_.data() + begin;
    const char* last = text_.data() + at_;
    int64_t integer = 0;
    // -0 is no integer: it would lose its sign.
    if (whole && std::from_chars(first, last, integer).ec == std::errc() &&
        !(negative && integer == 0)) {
      return add(JsonType::integer, static_cast<uint64_t>(integer));
    }
    double real = 0;
    if (std::from_chars(first, last, real).ec != std::errc()) {
      at_ = begin;
      refuse("a number that fits 64 bits");
    }
    add(JsonType::number, std::bit_cast<uint64_t>(real));
  }

  void string() {
    const size_t begin = ++at_;
    // As long as nothing is escaped the text is a view.
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\') character();
    if (peek() == '"') {
      Node node{begin, static_cast<uint32_t>(at_ - begin), JsonType::string, false};
      ++at_;
      return add(node);
    }
    std::string& to = out_.unescaped_;
    const size_t start = to.size();
    to += text_.substr(begin, at_ - begin);
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') {
        escape(to);
      } else {
        const size_t from = at_;
        character();
        to += text_.substr(from, at_ - from);
      }
    }
    if (at_ == text_.size()) refuse("'\"' at the end of a string");
    ++at_;
    add(Node{start, static_cast<uint32_t>(to.size() - start), JsonType::string, true});
  }

  void character() {
    if (static_cast<uint8_t>(text_[at_]) < 0x20) refuse("no control character in a string");
    const size_t length = sequence_length(text_.substr(at_));
    if (length == 0) refuse("well-formed UTF-8");
    at_ += length;
  }

  void escape(std::string& to) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeans = "\"\\/\b\f\n\r\t";
    ++at_;
    const char name = peek();
    const size_t known = at_ < text_.size() ? kNames.find(name) : std::string_view::npos;
    if (known != std::string_view::npos) {
      ++at_;
      to += kMeans[known];
      return;
    }
    if (name != 'u') refuse("an escape that JSON knows");
    uint32_t c = code_unit();
    if (c >= 0xD800 && c < 0xDC00 && peek() == '\\') {
      ++at_;
      if (peek() != 'u') refuse("the second half of a surrogate pair");
      const uint32_t low = code_unit();
      if (low < 0xDC00 || low > 0xDFFF) refuse("the second half of a surrogate pair");
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    } else if (c >= 0xD800 && c < 0xE000) {
      refuse("no lone surrogate");
    }
    append_code_point(to, c);
  }

  // "uXXXX"
  uint32_t code_unit() {
    ++at_;
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const int digit = hex_value(peek());
      if (digit < 0) refuse("four hexadecimal digits");
      value = value * 16 + static_cast<uint32_t>(digit);
    }
    return value;
  }

  void check_keys(uint32_t object) {
    const uint32_t count = out_.nodes_[object].size;
    if (count < 2) return;
    keys_.clear();
    uint32_t at = object + 1;
    for (uint32_t i = 0; i < count; ++i) {
      keys_.push_back(out_.text_of(out_.nodes_[at]));
      at = out_.behind(at + 1);
    }
    std::sort(keys_.begin(), keys_.end());
    const auto twice = std::adjacent_find(keys_.begin(), keys_.end());
    if (twice == keys_.end()) return;
    fail(ErrorCode::bad_file, "{}: key {} occurs twice in one object", out_.what_, quoted(*twice));
  }

  void add(JsonType type, uint64_t bits) { add(Node{bits, 0, type, false}); }
  void add(const Node& node) {
    if (out_.nodes_.size() >= std::numeric_limits<uint32_t>::max() - 1) {
      fail(ErrorCode::bad_file, "{}: expected less than 2^32 values", out_.what_);
    }
    out_.nodes_.push_back(node);
  }

  char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() noexcept {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) {
      ++at_;
    }
  }
  [[noreturn]] void refuse(const char* expected) const {
    const std::string got =
        at_ < text_.size() ? quoted(text_.substr(at_, 8)) : std::string("the end of the text");
    fail(ErrorCode::bad_file, "{}: byte {}: expected {}, got {}", out_.what_, at_, expected, got);
  }

  JsonDocument& out_;
  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  std::array<Open, kMaxJsonDepth> stack_;
  std::vector<std::string_view> keys_;
};

JsonDocument::JsonDocument(std::string_view text, std::string what)
    : text_(text), what_(std::move(what)) {
  if (text.size() >= std::numeric_limits<uint32_t>::max()) {
    fail(ErrorCode::bad_file, "{}: expected less than 4 GiB of JSON, got {} bytes", what_,
         text.size());
  }
  Parser(*this).run();
}

JsonType JsonValue::type() const noexcept {
  return exists() ? document_->nodes_[at_].type : JsonType::null;
}

std::optional<bool> JsonValue::boolean() const noexcept {
  if (!is(JsonType::boolean)) return std::nullopt;
  return document_->nodes_[at_].bits != 0;
}

std::optional<int64_t> JsonValue::integer() const noexcept {
  if (!is(JsonType::integer)) return std::nullopt;
  return static_cast<int64_t>(document_->nodes_[at_].bits);
}

std::optional<double> JsonValue::number() const noexcept {
  if (const auto whole = integer()) return static_cast<double>(*whole);
  if (!is(JsonType::number)) return std::nullopt;
  return std::bit_cast<double>(document_->nodes_[at_].bits);
}

std::optional<std::string_view> JsonValue::text() const noexcept {
  if (!is(JsonType::string)) return std::nullopt;
  return document_->text_of(document_->nodes_[at_]);
}

size_t JsonValue::size() const noexcept {
  return is(JsonType::array) || is(JsonType::object) ? document_->nodes_[at_].size : 0;
}

JsonValue JsonValue::find(std::string_view key) const noexcept {
  if (!is(JsonType::object)) return {};
  for (Walk i = walk(); i.next();) {
    if (i.key() == key) return i.value();
  }
  return {};
}

JsonValue::Walk JsonValue::walk() const noexcept {
  Walk walk;
  walk.document_ = document_;
  walk.members_ = is(JsonType::object);
  walk.left_ = size();
  walk.next_ = at_ + 1;
  return walk;
}

bool JsonValue::Walk::next() noexcept {
  if (left_ == 0) return false;
  --left_;
  if (members_) key_ = document_->text_of(document_->nodes_[next_++]);
  value_ = JsonValue(document_, next_);
  next_ = document_->behind(next_);
  return true;
}

}  // namespace nibble
