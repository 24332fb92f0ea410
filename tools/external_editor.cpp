// posix_spawn rather than fork: the process has threads and a model mapped.
#include "tools/external_editor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "tools/exit_code.h"
#include "tools/open_model.h"

namespace nibble {
namespace {

[[noreturn]] void editor_error(const std::string& what) {
  throw CommandError(ExitCode::runtime, "editor: " + what,
                     "the line is as it was; set VISUAL or EDITOR to the editor you want");
}

/// A file of its own in $TMPDIR or /tmp, removed with this object.
class TemporaryText {
 public:
  explicit TemporaryText(const std::string& text) {
    const char* folder = std::getenv("TMPDIR");
    path_ = std::string(folder != nullptr && *folder == '/' ? folder : "/tmp") +
            "/nibble-message-XXXXXX.txt";
    const int fd = ::mkostemps(path_.data(), 4, O_CLOEXEC);  // mode 0600
    if (fd < 0) editor_error(fmt::format("{}: cannot create: {}", path_, std::strerror(errno)));
    size_t done = 0;
    ssize_t n = 0;
    while (done < text.size() && n >= 0) {
      n = ::write(fd, text.data() + done, text.size() - done);
      if (n > 0) done += static_cast<size_t>(n);
      if (n < 0 && errno == EINTR) n = 0;
    }
    const int problem = n < 0 ? errno : 0;
    ::close(fd);
    if (problem == 0) return;
    ::unlink(path_.c_str());
    editor_error(fmt::format("{}: cannot write: {}", path_, std::strerror(problem)));
  }
  ~TemporaryText() { ::unlink(path_.c_str()); }
  TemporaryText(const TemporaryText&) = delete;
  TemporaryText& operator=(const TemporaryText&) = delete;
  std::string& path() noexcept { return path_; }

 private:
  std::string path_;
};

/// Wait status of the editor.
int run_editor(const std::string& command, std::string& path, int terminal_fd) {
  std::string script = command + " \"$1\"";
  std::string shell = "sh", flag = "-c";
  char* const args[] = {shell.data(), flag.data(), script.data(),
                        shell.data(), path.data(), nullptr};
  posix_spawn_file_actions_t streams;
  posix_spawn_file_actions_init(&streams);
  posix_spawn_file_actions_adddup2(&streams, terminal_fd, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&streams, terminal_fd, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t ours;  // that we ignore; what we handle is the default in a new program anyway
  sigemptyset(&ours);
  sigaddset(&ours, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &ours);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  const int problem = ::posix_spawn(&child, "/bin/sh", &streams, &attributes, args, ::environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&streams);
  if (problem != 0) editor_error(std::string("/bin/sh: ") + std::strerror(problem));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) editor_error(std::string("cannot wait for it: ") + std::strerror(errno));
  }
  return status;
}

}  // namespace

std::string editor_command() {
  for (const char* name : {"VISUAL", "EDITOR"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return "vi";
}

std::string edit_text(const std::string& text, const std::string& command, int terminal_fd) {
  TemporaryText file(text + "\n");
  const int status = run_editor(command, file.path(), terminal_fd);
  if (WIFSIGNALED(status)) {
    editor_error(fmt::format("{}: ended by signal {}", command, WTERMSIG(status)));
  }
  if (WEXITSTATUS(status) != 0) {
    editor_error(fmt::format("{}: ended with exit code {}", command, WEXITSTATUS(status)));
  }
  std::string out = read_text_file(file.path());
  while (!out.empty() && (out.back() == '\n' || out.back() == '\r')) out.pop_back();
  return out;
}

}  // namespace nibble
