// Library error codes to exit codes, and how an error is printed.
#include "tools/exit_code.h"

#include "tools/control_filter.h"

namespace nibble {

void usage_error(std::string message, std::string hint) {
  throw CommandError(ExitCode::usage, std::move(message), std::move(hint));
}

ExitCode exit_code_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::bad_argument:
      return ExitCode::usage;
    case ErrorCode::out_of_memory:
      return ExitCode::memory;
    case ErrorCode::context_full:
      return ExitCode::context;
    case ErrorCode::cancelled:
      return ExitCode::interrupted;
    case ErrorCode::not_found:
    case ErrorCode::io:
    case ErrorCode::bad_file:
    case ErrorCode::unsupported:
    case ErrorCode::internal:
      return ExitCode::runtime;
  }
  return ExitCode::runtime;
}

ExitCode exit_code_of_open(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::not_found:
    case ErrorCode::io:
    case ErrorCode::bad_file:
    case ErrorCode::unsupported:
      return ExitCode::model;
    default:
      return exit_code_of(code);
  }
}

std::string_view default_hint(ExitCode code) noexcept {
  switch (code) {
    case ExitCode::usage:
      return "see `nibble help` for the commands and their options";
    case ExitCode::model:
      return "`nibble inspect FILE` shows what a model file holds";
    case ExitCode::memory:
      return "a smaller context (-c) or a smaller model needs less memory";
    case ExitCode::context:
      return "shorten the prompt or raise the context size with -c";
    case ExitCode::interrupted:
      return "nothing was left half-written; run it again when you like";
    case ExitCode::ok:
    case ExitCode::runtime:
      break;
  }
  return "check that the path exists, may be accessed and has room";
}

std::string format_error(ExitCode code, std::string_view message, std::string_view hint) {
  if (hint.empty()) hint = default_hint(code);
  return "error: " + one_line(message) + "\nhint: " + one_line(hint) + "\n";
}

}  // namespace nibble
