#pragma once
// Text out of a file, made fit for a message: printable ASCII stays, every other byte becomes
// \xNN (no terminal escapes from a model file), long text is cut.
#include <string>
#include <string_view>

namespace nibble {

/// 'text' in single quotes, at most max_bytes of it.
std::string quoted(std::string_view text, size_t max_bytes = 80);

}  // namespace nibble
