// See chat_file.h.
#include "tools/chat_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>

#include "formats/io/atomic_file.h"
#include "formats/io/error.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;
constexpr const char* kFormat = "nibble chat";
constexpr int kVersion = 1;

std::string text_of(const Json& object, const char* key, const std::string& name) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) {
    fail(ErrorCode::bad_file, "{}: {}: expected a string", name, key);
  }
  return it->get<std::string>();
}

}  // namespace

std::string format_chat(const SavedChat& chat) {
  Json messages = Json::array();
  for (const ChatMessage& m : chat.messages) {
    messages.push_back({{"role", m.role}, {"content", m.content}});
  }
  const Json out = {{"format", kFormat},
                    {"version", kVersion},
                    {"model", chat.model},
                    {"system", chat.system},
                    {"messages", std::move(messages)}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

SavedChat parse_chat(std::string_view json, const std::string& name) {
  const Json in = Json::parse(json, nullptr, false);
  if (!in.is_object() || in.value("format", Json()) != kFormat) {
    fail(ErrorCode::bad_file, "{}: expected a conversation that /save wrote", name);
  }
  const Json version = in.value("version", Json());
  if (version != kVersion) {
    fail(ErrorCode::bad_file, "{}: version: expected {}, got {}", name, kVersion,
         version.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  SavedChat out;
  out.model = text_of(in, "model", name);
  out.system = text_of(in, "system", name);
  const auto messages = in.find("messages");
  if (messages == in.end() || !messages->is_array()) {
    fail(ErrorCode::bad_file, "{}: messages: expected a list", name);
  }
  for (const Json& m : *messages) {
    if (!m.is_object()) fail(ErrorCode::bad_file, "{}: messages: expected objects", name);
    ChatMessage message{text_of(m, "role", name), text_of(m, "content", name)};
    const char* expected = out.messages.size() % 2 == 0 ? "user" : "assistant";
    if (message.role != expected) {
      fail(ErrorCode::bad_file, "{}: message {}: role: expected {}, got {}", name,
           out.messages.size(), expected, message.role);
    }
    out.messages.push_back(std::move(message));
  }
  return out;
}

std::vector<ChatMessage> parse_messages(std::string_view json, const std::string& name) {
  const Json in = Json::parse(json, nullptr, false);
  const Json* list = &in;
  std::vector<ChatMessage> out;
  if (in.is_object()) {
    if (in.contains("system")) {
      const std::string system = text_of(in, "system", name);
      if (!system.empty()) out.push_back({"system", system});
    }
    const auto messages = in.find("messages");
    if (messages != in.end()) list = &*messages;
  }
  if (!list->is_array()) {
    fail(ErrorCode::bad_file, "{}: expected a list of messages, or an object with one as messages",
         name);
  }
  for (const Json& m : *list) {
    if (!m.is_object()) fail(ErrorCode::bad_file, "{}: messages: expected objects", name);
    out.push_back({text_of(m, "role", name), text_of(m, "content", name)});
  }
  return out;
}

void save_chat(const SavedChat& chat, const std::string& path,
               const std::vector<std::string>& inputs) {
  AtomicFileOptions options;
  options.inputs = inputs;
  options.mode = 0600;
  AtomicFile file(path, options);
  const std::string text = format_chat(chat);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace nibble
