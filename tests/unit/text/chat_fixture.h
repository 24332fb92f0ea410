#pragma once
// What tests/oracle/jinja_*.py wrote: conversations, and what jinja2 makes of them.
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/io/error.h"
#include "runtime/text/chat.h"

namespace nibble::test {

using Json = nlohmann::ordered_json;

inline Json chat_fixture(const std::string& name) {
  std::ifstream in(std::string(NIBBLE_SOURCE_DIR) + "/tests/fixtures/chat/" + name);
  return Json::parse(in);
}

inline std::vector<ChatMessage> messages_of(const Json& json) {
  std::vector<ChatMessage> out;
  for (const Json& m : json) out.push_back({m.at("role"), m.at("content")});
  return out;
}

/// The text rendered, or the error's message behind "error: ".
inline std::string render_text(const std::string& source, const std::vector<ChatMessage>& messages,
                               const ChatOptions& options = {}) {
  try {
    return prompt_text(ChatTemplate::parse(source).render(messages, options));
  } catch (const Error& e) {
    return "error: " + e.message();
  }
}

}  // namespace nibble::test
