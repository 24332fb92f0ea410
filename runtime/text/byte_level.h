#pragma once
// The alphabet of byte-level BPE (GPT-2): each byte is written as one printable character, so that
// a vocabulary is text. Printable Latin-1 stands for itself; the 68 others are U+0100 onwards in
// order of the byte ("Ġ" is the space).
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nibble {

/// The character that stands for a byte.
char32_t byte_level_char(uint8_t byte) noexcept;

/// The byte that a character stands for, -1 if it stands for none.
int byte_level_byte(char32_t character) noexcept;

/// Appends the spelling of bytes: "a b" gives "aĠb".
void append_byte_level(std::string& to, std::string_view bytes);

/// Appends the bytes of a spelling; what is no spelling of bytes is appended as it stands.
void append_from_byte_level(std::string& to, std::string_view spelling);

}  // namespace nibble
