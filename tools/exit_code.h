#pragma once
// How a command ends: its exit code, and the one `error:` and one `hint:` line that go with it.
// The codes are part of the interface; scripts test them.
#include <exception>
#include <string>
#include <string_view>

#include "formats/io/error.h"

namespace nibble {

enum class ExitCode : int {
  ok = 0,
  runtime = 1,  // something failed while running: a write, a template, a file that is not a model
  usage = 2,    // the command line is wrong
  model = 3,    // the model is missing, unreadable or unsupported
  memory = 4,   // it does not fit into memory
  context = 5,  // the prompt does not fit into the context
  interrupted = 130,
};

/// Ends a command. `hint` may be empty: a general one for the code is printed then.
class CommandError : public std::exception {
 public:
  CommandError(ExitCode code, std::string message, std::string hint = {})
      : code_(code), message_(std::move(message)), hint_(std::move(hint)) {}
  ExitCode code() const noexcept { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& message() const noexcept { return message_; }
  const std::string& hint() const noexcept { return hint_; }

 private:
  ExitCode code_;
  std::string message_;
  std::string hint_;
};

/// A mistake on the command line.
[[noreturn]] void usage_error(std::string message, std::string hint = {});

/// Exit code of a library error outside of opening a model.
ExitCode exit_code_of(ErrorCode code) noexcept;
/// The same while a model is opened: what the file is or is not is ExitCode::model.
ExitCode exit_code_of_open(ErrorCode code) noexcept;
/// Advice for an error that brought none.
std::string_view default_hint(ExitCode code) noexcept;

/// "error: ...\nhint: ...\n": exactly two lines, control characters made visible.
std::string format_error(ExitCode code, std::string_view message, std::string_view hint);

}  // namespace nibble
