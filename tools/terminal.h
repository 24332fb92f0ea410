#pragma once
// What the three standard streams are, and how much decoration they may get.
#include <termios.h>

#include <string>
#include <string_view>

namespace nibble {

struct Terminal {
  bool stdin_tty = false;
  bool stdout_tty = false;
  bool stderr_tty = false;
  bool color = false;   // on standard error: a terminal that is not dumb, NO_COLOR not set
  bool cursor = false;  // the terminal moves its cursor (it is not "dumb")

  static Terminal detect();
  /// Columns of the terminal on standard error; 80 if it does not say.
  int columns() const;
  /// text in an ANSI style ("90", "1;31"), plain without colour.
  std::string style(std::string_view code, std::string_view text) const;
};

/// While it lives, the terminal neither echoes nor edits what is typed, so that a running answer is
/// not disturbed; Ctrl-C keeps working. What was typed waits for the next prompt.
class QuietInput {
 public:
  explicit QuietInput(bool active);
  ~QuietInput();
  QuietInput(const QuietInput&) = delete;
  QuietInput& operator=(const QuietInput&) = delete;

 private:
  bool active_;
  termios before_{};
};

}  // namespace nibble
