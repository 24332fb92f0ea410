#pragma once
// config.json, read with ranges, as HParams reads GGUF's keys. A key is looked for in text_config
// first, where models that also see or hear keep their language part; null means absent. A key of
// the form "a|b" is a, or b where there is no a: families changed their spelling.
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "formats/json.h"

namespace nibble {

class HfConfig {
 public:
  /// file: for messages.
  HfConfig(JsonValue root, std::string file);

  /// "LlamaForCausalLM": the first of "architectures"; "" if there is none.
  std::string_view class_name() const noexcept;
  std::string_view model_type() const noexcept;
  JsonValue find(std::string_view key) const noexcept;
  bool has(std::string_view key) const noexcept { return find(key).exists(); }

  // Errors (all): bad_file; the message names file, key, the range and what was there.
  int64_t integer(std::string_view key, int64_t lo, int64_t hi) const;  // required
  int64_t integer_or(std::string_view key, int64_t otherwise, int64_t lo, int64_t hi) const;
  double number(std::string_view key, double lo, double hi) const;  // required, finite
  double number_or(std::string_view key, double otherwise, double lo, double hi) const;
  std::string_view text_or(std::string_view key, std::string_view otherwise) const;
  bool boolean_or(std::string_view key, bool otherwise) const;

  // The same for a member of a value inside.
  double number_in(JsonValue value, std::string_view key, double lo, double hi) const;

  /// Error unsupported unless the text is one of these; absent is the first.
  void expect_text(std::string_view key, std::initializer_list<std::string_view> one_of) const;
  /// Error unsupported: "config.json: key: expected ..., got ...".
  [[noreturn]] void refuse(std::string_view key, std::string_view expected,
                           std::string_view got) const;
  const std::string& file() const noexcept { return file_; }

 private:
  [[noreturn]] void fail_key(std::string_view key, std::string_view expected, JsonValue got) const;

  JsonValue root_, text_;
  std::string file_;
};

}  // namespace nibble
