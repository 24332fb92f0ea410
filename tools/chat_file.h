#pragma once
// A conversation on disk: JSON {"format": "nibble chat", "version": 1, "model": NAME,
// "system": TEXT, "messages": [{"role": "user" | "assistant", "content": TEXT}, ...]}.
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/chat.h"

namespace nibble {

struct SavedChat {
  std::string model;
  std::string system;
  std::vector<ChatMessage> messages;
};

std::string format_chat(const SavedChat& chat);
/// name is used in messages. Errors: Error bad_file (no such JSON, unknown version or role).
SavedChat parse_chat(std::string_view json, const std::string& name);

/// The messages of any conversation in JSON: a list of {"role", "content"}, or an object with such
/// a list as "messages" and perhaps a text as "system". Errors: Error bad_file.
std::vector<ChatMessage> parse_messages(std::string_view json, const std::string& name);

/// Whole or not at all. Errors: Error io.
void save_chat(const SavedChat& chat, const std::string& path,
               const std::vector<std::string>& inputs = {});

}  // namespace nibble
