// See csv.h.
#include "tools/csv.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

std::string csv_field(const Json& value) {
  if (value.is_null()) return "";
  std::string text = value.is_string() ? value.get<std::string>()
                                       : value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace

std::string csv_table(const Json& rows) {
  std::string out;
  for (const Json& row : rows) {
    std::string head, line;
    bool first = true;
    for (const auto& [key, value] : row.items()) {
      if (value.is_array()) continue;
      head += (first ? "" : ",") + key;
      line += (first ? "" : ",") + csv_field(value);
      first = false;
    }
    if (out.empty()) out = head + "\n";
    out += line + "\n";
  }
  return out;
}

}  // namespace nibble
