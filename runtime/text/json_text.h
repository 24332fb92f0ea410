#pragma once
// A JSON value as text. nlohmann-json's own writer asks for the locale's separators, which a host
// may change at the same moment.
#include <nlohmann/json.hpp>
#include <string>

namespace nibble {

/// Compact, members in their order. Bytes that are no UTF-8 become U+FFFD, numbers that JSON has no
/// word for null.
std::string json_text(const nlohmann::ordered_json& value);

}  // namespace nibble
