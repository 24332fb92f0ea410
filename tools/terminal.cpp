// isatty, the environment, the terminal driver.
#include "tools/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace nibble {

Terminal Terminal::detect() {
  Terminal t;
  t.stdin_tty = ::isatty(STDIN_FILENO) == 1;
  t.stdout_tty = ::isatty(STDOUT_FILENO) == 1;
  t.stderr_tty = ::isatty(STDERR_FILENO) == 1;
  const char* name = std::getenv("TERM");
  const char* no_color = std::getenv("NO_COLOR");
  t.cursor = t.stderr_tty && name != nullptr && std::string_view(name) != "dumb";
  t.color = t.cursor && (no_color == nullptr || *no_color == '\0');
  return t;
}

int Terminal::columns() const {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string Terminal::style(std::string_view code, std::string_view text) const {
  return color ? fmt::format("\033[{}m{}\033[0m", code, text) : std::string(text);
}

QuietInput::QuietInput(bool active) : active_(active) {
  if (!active_) return;
  active_ = ::tcgetattr(STDIN_FILENO, &before_) == 0;
  if (!active_) return;
  termios quiet = before_;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);
  quiet.c_iflag &= ~static_cast<tcflag_t>(ICRNL);  // Enter stays Enter for the line editor
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet);
}

QuietInput::~QuietInput() {
  if (active_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
}

}  // namespace nibble
