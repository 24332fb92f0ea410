// write(2) in a loop; no stdio, so that no buffer is flushed behind our back at exit.
#include "tools/output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tools/control_filter.h"
#include "tools/exit_code.h"

namespace nibble {
namespace {

constexpr size_t kBufferBytes = 64 * 1024;

/// 0, or the errno of the failure.
int write_all(int fd, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {  // somebody made the stream non-blocking
      pollfd waiting{fd, POLLOUT, 0};
      ::poll(&waiting, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

Output::Output() : terminal_(::isatty(STDOUT_FILENO) == 1) {}

void Output::write(std::string_view bytes) {
  buffer_ += bytes;
  if (buffer_.size() >= kBufferBytes) flush();
}

void Output::write_foreign(std::string_view utf8) {
  write(terminal_ ? filter_control(utf8) : std::string(utf8));
}

void Output::flush() {
  const std::string pending = std::move(buffer_);
  buffer_.clear();
  const int problem = write_all(STDOUT_FILENO, pending);
  if (problem == EPIPE) throw BrokenPipe{};
  if (problem != 0) {
    throw CommandError(ExitCode::runtime,
                       std::string("standard output: cannot write: ") + std::strerror(problem),
                       "the output is incomplete; check where it goes");
  }
}

void write_stderr(std::string_view text) noexcept {
  write_all(STDERR_FILENO, text);
}

void reserve_standard_descriptors() noexcept {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is fd, as those below it are open.
    const int opened = ::open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
    if (opened > 2) ::close(opened);
  }
}

}  // namespace nibble
