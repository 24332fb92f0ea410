#pragma once
// UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
// An ill-formed part ends where Unicode 15, section 3.9 ("substitution of maximal subparts") says.
#include <cstddef>
#include <string>
#include <string_view>

namespace nibble {

struct Utf8Step {
  size_t length = 0;        // bytes of the code point, or of the maximal ill-formed part
  bool valid = false;       // a whole, well-formed code point
  bool incomplete = false;  // the text ends inside a code point that is well-formed so far
};

/// What stands at the start of text. Precondition: text is not empty.
Utf8Step utf8_step(std::string_view text) noexcept;

/// Length in bytes of the longest well-formed prefix.
size_t utf8_valid_prefix(std::string_view text) noexcept;

/// Appends code point cp. Precondition: cp <= 0x10FFFF and no surrogate.
void append_utf8(std::string& to, char32_t cp);

inline constexpr std::string_view kUtf8Replacement = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace nibble
