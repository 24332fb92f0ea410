// See stdin_lines.h. Not stdio, so that a signal ends the wait.
#include "tools/stdin_lines.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tools/exit_code.h"

namespace nibble {

ReadResult StdinLines::read(PromptKind) {
  size_t searched = begin_;
  for (;;) {
    const size_t newline = buffer_.find('\n', searched);
    if (newline != std::string::npos) {
      std::string line = buffer_.substr(begin_, newline - begin_);
      begin_ = newline + 1;
      if (!line.empty() && line.back() == '\r') line.pop_back();
      return {ReadStatus::line, std::move(line)};
    }
    if (ended_) {
      if (begin_ >= buffer_.size()) return {ReadStatus::end, {}};
      std::string line = buffer_.substr(begin_);
      begin_ = buffer_.size();
      return {ReadStatus::line, std::move(line)};
    }
    buffer_.erase(0, begin_);
    begin_ = 0;
    searched = buffer_.size();
    if (!interrupt_.wait_readable(STDIN_FILENO)) {
      if (interrupt_.terminated()) return {ReadStatus::end, {}};
      if (interrupt_.token().requested()) return {ReadStatus::interrupted, {}};
      (void)interrupt_.take_resize();
      continue;
    }
    char chunk[65536];
    const ssize_t n = ::read(STDIN_FILENO, chunk, sizeof chunk);
    if (n > 0) {
      buffer_.append(chunk, static_cast<size_t>(n));
    } else if (n == 0) {
      ended_ = true;
    } else if (errno != EINTR) {
      throw CommandError(ExitCode::runtime,
                         std::string("standard input: cannot read: ") + std::strerror(errno));
    }
  }
}

}  // namespace nibble
