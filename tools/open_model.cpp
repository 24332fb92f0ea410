// See open_model.h.
#include "tools/open_model.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "formats/io/mapped_file.h"
#include "runtime/threads/parallel_for.h"
#include "tools/exit_code.h"
#include "tools/paths.h"
#include "tools/progress.h"

namespace nibble {
namespace {

constexpr size_t kMostTextBytes = size_t{256} << 20;  // a device may never end

std::string read_all(int fd, const std::string& name) {
  std::string out;
  char chunk[65536];
  for (;;) {
    const ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n == 0) return out;
    if (n > 0) {
      out.append(chunk, static_cast<size_t>(n));
      if (out.size() <= kMostTextBytes) continue;
      throw CommandError(
          ExitCode::runtime,
          fmt::format("{}: expected a text of at most {} bytes, got more", name, kMostTextBytes),
          "give a part of it");
    } else if (errno == EINTR) {
      throw CommandError(ExitCode::interrupted, "interrupted while reading " + name);
    } else {
      throw CommandError(ExitCode::runtime,
                         fmt::format("{}: cannot read: {}", name, std::strerror(errno)));
    }
  }
}

}  // namespace

std::string take_model_name(const ModelOptions& options, std::vector<std::string>* positionals,
                            const char* command) {
  if (!options.model.empty()) return options.model;
  if (positionals->empty()) {
    usage_error(fmt::format("nibble {}: expected a model", command),
                fmt::format("give its path: nibble {} -m FILE.gguf", command));
  }
  std::string name = std::move(positionals->front());
  positionals->erase(positionals->begin());
  return name;
}

void rethrow_open_error(const Error& error) {
  throw CommandError(exit_code_of_open(error.code()), error.message(), error.hint());
}

OpenedModel open_model(const std::string& name_or_path, const ModelOptions& options, int n_threads,
                       const Terminal& terminal, Interrupt& interrupt) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  OpenedModel out;
  out.path = find_model(name_or_path, model_folder());
  const BusyScope busy(interrupt);
  Progress progress(terminal, "Loading", "B");
  EngineOptions engine_options;
  engine_options.isa = options.isa;
  engine_options.repack = options.repack;
  engine_options.n_threads = n_threads;
  engine_options.cancel = &interrupt.token();
  engine_options.on_progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
  try {
    out.engine = Engine::open(out.path, engine_options);
  } catch (const Error& e) {
    progress.finish();
    rethrow_open_error(e);
  }
  // A Ctrl-C that came after the last look at the token must not be lost.
  if (interrupt.token().requested()) fail(ErrorCode::cancelled, "cancelled");
  out.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return out;
}

TensorFile open_in_parallel(const std::string& path) {
  FileOptions how;
  how.parallel = parallel_for(0);
  return open_tensor_file(path, how);
}

TensorFile open_input(const std::string& name_or_path) {
  const std::string path = find_model(name_or_path, model_folder());
  try {
    return open_in_parallel(path);
  } catch (const Error& e) {
    rethrow_open_error(e);
  }
}

TokenizerFile open_tokenizer(const std::string& name_or_path) {
  const std::string path = find_model(name_or_path, model_folder());
  try {
    TokenizerFile out;
    out.file = open_in_parallel(path);
    out.tokenizer = Tokenizer::from_metadata(out.file.meta());
    return out;
  } catch (const Error& e) {
    rethrow_open_error(e);
  }
}

Session open_session(const OpenedModel& model, const ContextOptions& options) {
  return Session(model.engine, session_options(options));
}

std::string read_text_file(const std::string& path) {
  if (path == "-") return read_stdin();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    throw CommandError(ExitCode::runtime,
                       fmt::format("{}: cannot open: {}", path, std::strerror(errno)));
  }
  try {
    std::string text = read_all(fd, path);
    ::close(fd);
    return text;
  } catch (...) {
    ::close(fd);
    throw;
  }
}

std::string read_stdin() {
  return read_all(STDIN_FILENO, "standard input");
}

bool stdin_has_text() {
  // A terminal, /dev/null and the like have nothing to say.
  struct stat info {};
  if (::fstat(STDIN_FILENO, &info) != 0) return false;
  return S_ISFIFO(info.st_mode) || S_ISREG(info.st_mode) || S_ISSOCK(info.st_mode);
}

}  // namespace nibble
