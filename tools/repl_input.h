#pragma once
// What a user typed, sorted: lines joined to one message, then a message or a command.
#include <functional>
#include <string>
#include <string_view>

#include "tools/line_source.h"

namespace nibble {

struct Typed {
  ReadStatus status = ReadStatus::end;
  std::string text;      // the message
  std::string original;  // as typed, for the history
  bool literal = false;  // from a """ block: never a command
};

/// Reads lines until a message is complete: a line that ends with a backslash goes on on the next
/// one; a block runs from """ to """ and keeps its newlines. The end of input ends a message too.
Typed read_message(LineSource& source);

enum class InputKind { empty, text, command };

struct ReplInput {
  InputKind kind = InputKind::empty;
  std::string text;       // a message; of "//text" the part after the first slash
  std::string command;    // without the slash
  std::string arguments;  // trimmed
};

/// A message that starts with / is a command, unless its first word is a path that exists or it
/// starts with //. is_command: is there a command of this name?
ReplInput parse_input(std::string_view text,
                      const std::function<bool(const std::string&)>& is_command,
                      const std::function<bool(const std::string&)>& path_exists);

/// Without spaces, tabs and newlines at both ends.
std::string_view trim(std::string_view text) noexcept;

}  // namespace nibble
