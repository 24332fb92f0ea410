#pragma once
// Bytes as a quoted string that is safe to show anywhere.
#include <string>
#include <string_view>

namespace nibble {

/// 'text' with \n, \t, \r, \\ and \' written so; other controls and bytes that are not UTF-8 as
/// \xNN.
std::string quote_text(std::string_view bytes);

}  // namespace nibble
