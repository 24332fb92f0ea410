#pragma once
// The messages of earlier chats, one a line, newest last, readable by the user alone. Lines are
// appended as messages are sent, so that several chats share one file and a crash loses nothing.
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

/// One line without newline: backslash and newline written as \\ and \n.
std::string encode_history(std::string_view message);
std::string decode_history(std::string_view line);

class HistoryFile {
 public:
  /// path "": nothing is read or kept.
  explicit HistoryFile(std::string path) : path_(std::move(path)) {}
  /// The newest `most` messages, oldest first. A long file is shortened to them on the way.
  std::vector<std::string> load(size_t most);
  /// "" if that worked, else why not; after a failure nothing more is tried.
  std::string append(const std::string& message);

 private:
  std::string path_;
};

}  // namespace nibble
