#pragma once
// The slash commands of the chat: one table.
#include <span>
#include <string>
#include <vector>

#include "tools/repl.h"

namespace nibble {

struct ReplCommand {
  const char* names;      // "help ?": the first is the one shown, the others are aliases
  const char* arguments;  // for the help
  const char* help;
  /// Errors: CommandError, Error.
  void (*run)(Chat& chat, const std::string& arguments);
};

std::span<const ReplCommand> repl_commands() noexcept;
/// By any of its names; nullptr if there is none.
const ReplCommand* find_repl_command(const std::string& name);
/// Errors: CommandError usage (no such command, with the nearest).
void run_repl_command(Chat& chat, const std::string& name, const std::string& arguments);
/// Completions of a line for the line editor: command names, and paths after /read, /load, /save.
std::vector<std::string> complete_line(const std::string& line);

}  // namespace nibble
