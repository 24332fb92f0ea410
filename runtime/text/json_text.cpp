#include "runtime/text/json_text.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

#include "runtime/text/utf8.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const size_t valid = utf8_valid_prefix(text);
    for (const char c : text.substr(0, valid)) {
      if (c == '"' || c == '\\') {
        out += '\\';
        out += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      } else {
        out += c;
      }
    }
    text.remove_prefix(valid);
    if (text.empty()) break;
    out += kUtf8Replacement;
    text.remove_prefix(1);
  }
  out += '"';
}

void append(std::string& out, const Json& value) {
  switch (value.type()) {
    case Json::value_t::object: {
      const char* before = "{";
      for (const auto& [key, member] : value.items()) {
        out += before;
        append_quoted(out, key);
        out += ':';
        append(out, member);
        before = ",";
      }
      out += value.empty() ? "{}" : "}";
      return;
    }
    case Json::value_t::array: {
      out += '[';
      for (size_t i = 0; i < value.size(); ++i) {
        if (i > 0) out += ',';
        append(out, value[i]);
      }
      out += ']';
      return;
    }
    case Json::value_t::string:
      return append_quoted(out, value.get_ref<const std::string&>());
    case Json::value_t::boolean:
      out += value.get<bool>() ? "true" : "false";
      return;
    case Json::value_t::number_integer:
      out += fmt::format("{}", value.get<int64_t>());
      return;
    case Json::value_t::number_unsigned:
      out += fmt::format("{}", value.get<uint64_t>());
      return;
    case Json::value_t::number_float:
      out += std::isfinite(value.get<double>()) ? fmt::format("{}", value.get<double>()) : "null";
      return;
    default:
      out += "null";
  }
}

}  // namespace

std::string json_text(const Json& value) {
  std::string out;
  append(out, value);
  return out;
}

}  // namespace nibble
