#pragma once
// Base64 (RFC 4648, section 4), as tokenizer files carry bytes in text.
#include <optional>
#include <string>
#include <string_view>

namespace nibble {

/// The bytes; nullopt for a text that is no whole groups of four characters of the alphabet.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace nibble
