#pragma once
// Text of a model or of a file is data for a terminal, never instructions: escape sequences in it
// could retitle the window, write the clipboard or fake a prompt. Control characters are replaced
// by their visible pictures (U+2400 ...), so nothing is hidden either.
#include <string>
#include <string_view>

namespace nibble {

/// Replaces C0 controls other than \n and \t, DEL and C1 controls (U+0080..U+009F, also as lone
/// bytes) by pictures; drops \r. Bytes that are not UTF-8 become U+FFFD.
/// Stateless: give it whole code points.
std::string filter_control(std::string_view utf8);

/// The same on one line: \n and \t become spaces.
std::string one_line(std::string_view utf8);

/// Bytes of the well-formed sequence that `text` starts with, 0 if there is none (Unicode 15, table
/// 3-7).
size_t utf8_length(std::string_view text) noexcept;

}  // namespace nibble
