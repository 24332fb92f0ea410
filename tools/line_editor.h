#pragma once
// Line editing on a terminal through libedit: Emacs keys, history with search, completion, UTF-8.
// On top of libedit: bracketed paste arrives as one message, Ctrl-J inserts a newline, Ctrl-G edits
// the line in the user's editor, Ctrl-C and Ctrl-D keep the contract of the chat, a grey
// placeholder stands on an empty line.
//
// Everything is drawn on standard error, since standard output is for the model's text alone.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tools/interrupt.h"
#include "tools/line_source.h"
#include "tools/terminal.h"

namespace nibble {

struct LineEditorOptions {
  std::string placeholder;
  std::vector<std::string> history;  // oldest first
  /// Ways to go on with a line, each from its beginning.
  std::function<std::vector<std::string>(const std::string& line)> complete;
  /// Called with each message that enters the history.
  std::function<void(const std::string&)> on_remember;
};

class LineEditor : public LineSource {
 public:
  /// Standard input must be a terminal, and standard error or /dev/tty too.
  /// Errors: CommandError runtime.
  LineEditor(const Terminal& terminal, Interrupt& interrupt, LineEditorOptions options);
  ~LineEditor() override;
  ReadResult read(PromptKind kind) override;
  void remember(const std::string& message) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// UTF-8 from and to the wide characters that libedit works with. What is not UTF-8 becomes U+FFFD.
std::wstring to_wide(const std::string& utf8);
std::string to_utf8(const std::wstring& wide);

/// A paste as it enters the line: \r\n and \r become \n, other control characters but \t vanish,
/// newlines at the end vanish.
std::wstring clean_paste(const std::wstring& pasted);

}  // namespace nibble
