#pragma once
// What the operating system refused, as an Error: path, action, the system's own text, advice.
#include <string>
#include <string_view>

#include "formats/io/error.h"

namespace nibble {

/// The system's text for an errno value ("No space left on device").
std::string errno_text(int code);

/// Throws "path: cannot <action>: <errno text>"; not_found when there is no such file, else io.
[[noreturn]] void fail_errno(std::string_view path, std::string_view action, int code);

}  // namespace nibble
