#pragma once
// Standard output and standard error with every write checked. A full disk or a closed stream is an
// error, not a shorter answer; a reader that went away ends the program quietly.
#include <string>
#include <string_view>

namespace nibble {

/// Thrown when nobody reads our output any more. main() lets SIGPIPE end the process then, as it
/// ends any other command in a pipeline.
struct BrokenPipe {};

/// Buffered standard output. Errors: CommandError runtime; BrokenPipe.
class Output {
 public:
  Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  bool is_terminal() const noexcept { return terminal_; }
  void write(std::string_view bytes);
  /// Text that came out of a model or a file: filtered when a terminal shows it.
  void write_foreign(std::string_view utf8);
  void flush();

 private:
  bool terminal_;
  std::string buffer_;
};

/// Writes to standard error; errors are ignored, since there is nowhere to report them.
void write_stderr(std::string_view text) noexcept;

/// Opens /dev/null for each of the descriptors 0 to 2 that is closed, so that no file of ours ever
/// gets one of these numbers. Writing to a stand-in for 1 or 2 fails, as it did before.
void reserve_standard_descriptors() noexcept;

}  // namespace nibble
