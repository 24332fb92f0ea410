// O_APPEND writes of whole lines; permissions 0600 from the first byte on.
#include "tools/history_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>

#include "formats/io/atomic_file.h"
#include "formats/io/error.h"

namespace nibble {

std::string encode_history(std::string_view message) {
  std::string out;
  for (const char c : message) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

std::string decode_history(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\' || i + 1 == line.size()) {
      out += line[i];
    } else {
      ++i;
      out += line[i] == 'n' ? '\n' : line[i];
    }
  }
  return out;
}

std::vector<std::string> HistoryFile::load(size_t most) {
  std::vector<std::string> out;
  if (path_.empty()) return out;
  std::ifstream file(path_, std::ios::binary);
  for (std::string line; std::getline(file, line);) out.push_back(std::move(line));
  file.close();
  const bool long_file = out.size() > 2 * most;
  if (out.size() > most) out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(most));
  if (long_file) {
    try {
      AtomicFileOptions options;
      options.mode = 0600;
      AtomicFile shorter(path_, options);
      for (const std::string& line : out) {
        const std::string whole = line + "\n";
        shorter.write(std::as_bytes(std::span(whole)));
      }
      shorter.commit();
    } catch (const Error&) {
      // The long file stays; it only takes longer to read.
    }
  }
  for (std::string& line : out) line = decode_history(line);
  return out;
}

std::string HistoryFile::append(const std::string& message) {
  if (path_.empty()) return {};
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), error);
  const int fd = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  const std::string line = encode_history(message) + "\n";
  std::string problem;
  if (fd < 0 || ::fchmod(fd, 0600) != 0 ||
      ::write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    problem = path_ + ": " + std::strerror(errno);
    path_.clear();
  }
  if (fd >= 0) ::close(fd);
  return problem;
}

}  // namespace nibble
