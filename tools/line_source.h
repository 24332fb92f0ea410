#pragma once
// Where a chat's input lines come from: a line editor on a terminal, or a pipe.
#include <string>

namespace nibble {

enum class ReadStatus {
  line,
  end,          // end of input, Ctrl-D, SIGTERM
  interrupted,  // Ctrl-C; text is what was on the line
};

struct ReadResult {
  ReadStatus status = ReadStatus::end;
  std::string text;  // UTF-8, without the newline that ended it; may hold newlines (a paste)
};

enum class PromptKind { message, continuation };

class LineSource {
 public:
  virtual ~LineSource() = default;
  virtual ReadResult read(PromptKind kind) = 0;
  /// A message for the history; sources without one ignore it.
  virtual void remember(const std::string& message) = 0;
};

}  // namespace nibble
