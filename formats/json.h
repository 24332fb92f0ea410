#pragma once
// JSON (RFC 8259) out of files that strangers wrote: headers of safetensors, config.json,
// tokenizer.json. Read once from front to back with a stack of fixed depth, never recursively, into
// a flat list of nodes, 16 bytes a value; texts without escapes stay views into the file. Stricter
// than the RFC where readers disagree: a key twice in one object, ill-formed UTF-8, a lone
// surrogate and a byte order mark are errors.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

enum class JsonType : uint8_t { null, boolean, integer, number, string, array, object };

/// "an object", "a string" ... for messages.
const char* json_type_name(JsonType type) noexcept;

inline constexpr int kMaxJsonDepth = 128;

class JsonDocument;

/// A value inside a document, which must outlive it. A default one is "absent".
class JsonValue {
 public:
  JsonValue() = default;
  bool exists() const noexcept { return document_ != nullptr; }
  /// Of an absent value: null.
  JsonType type() const noexcept;
  bool is(JsonType t) const noexcept { return exists() && type() == t; }

  // Nothing when the value is of another type. number: integers too.
  std::optional<bool> boolean() const noexcept;
  std::optional<int64_t> integer() const noexcept;
  std::optional<double> number() const noexcept;
  std::optional<std::string_view> text() const noexcept;

  /// Elements of an array, members of an object; 0 for all else.
  size_t size() const noexcept;
  /// The member of an object; absent if there is none or this is no object. Linear.
  JsonValue find(std::string_view key) const noexcept;

  /// A walk over the elements or members: for (auto i = v.walk(); i.next();) i.key(), i.value()
  class Walk;
  Walk walk() const noexcept;

 private:
  friend class JsonDocument;
  JsonValue(const JsonDocument* document, uint32_t at) : document_(document), at_(at) {}
  const JsonDocument* document_ = nullptr;
  uint32_t at_ = 0;
};

class JsonValue::Walk {
 public:
  /// Moves to the next one; false after the last.
  bool next() noexcept;
  /// Of an object's member; "" in an array.
  std::string_view key() const noexcept { return key_; }
  JsonValue value() const noexcept { return value_; }

 private:
  friend class JsonValue;
  const JsonDocument* document_ = nullptr;
  bool members_ = false;
  size_t left_ = 0;
  uint32_t next_ = 0;
  std::string_view key_;
  JsonValue value_;
};

class JsonDocument {
 public:
  /// text must outlive the document; what names it in messages ("dir/config.json", "m.safetensors:
  /// header"). Error: bad_file with the byte. At most 2^32 - 1 bytes of text.
  JsonDocument(std::string_view text, std::string what);
  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;

  JsonValue root() const noexcept { return {this, 0}; }
  const std::string& what() const noexcept { return what_; }

 private:
  friend class JsonValue;
  friend class JsonValue::Walk;
  class Parser;

  struct Node {
    uint64_t bits = 0;  // number; text: its offset; array, object: the node behind its last
    uint32_t size = 0;  // text: bytes; array, object: elements or members
    JsonType type = JsonType::null;
    bool unescaped = false;  // the text lies in unescaped_
  };
  std::string_view text_of(const Node& node) const noexcept {
    const std::string_view from = node.unescaped ? std::string_view(unescaped_) : text_;
    return from.substr(node.bits, node.size);
  }
  uint32_t behind(uint32_t at) const noexcept {
    const Node& node = nodes_[at];
    const bool nested = node.type == JsonType::array || node.type == JsonType::object;
    return nested ? static_cast<uint32_t>(node.bits) : at + 1;
  }

  std::string_view text_;
  std::string what_;
  std::string unescaped_;
  std::vector<Node> nodes_;  // in the order of the text; a member is its key, then its value
};

}  // namespace nibble
