#pragma once
// Lines of a piped standard input: no prompt, no echo.
#include "tools/interrupt.h"
#include "tools/line_source.h"

namespace nibble {

class StdinLines : public LineSource {
 public:
  explicit StdinLines(Interrupt& interrupt) : interrupt_(interrupt) {}
  /// Errors: CommandError runtime (the read failed).
  ReadResult read(PromptKind kind) override;
  void remember(const std::string&) override {}

 private:
  Interrupt& interrupt_;
  std::string buffer_;
  size_t begin_ = 0;  // of the next line in buffer_
  bool ended_ = false;
};

}  // namespace nibble
