#pragma once
// Text edited in the user's own editor: a temporary file, $VISUAL or $EDITOR on it, the file read
// again.
#include <string>

namespace nibble {

/// $VISUAL, or else $EDITOR, or else vi; a shell command, which may have arguments.
std::string editor_command();

/// The text as the editor leaves it, without newlines at its end. Waits for the editor, which gets
/// the terminal as standard output and error whatever ours are. Only the user can read the file;
/// it is gone afterwards.
/// Errors: CommandError runtime (no file, no shell, or the editor ended with an error).
std::string edit_text(const std::string& text, const std::string& command, int terminal_fd);

}  // namespace nibble
