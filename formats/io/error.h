#pragma once
// The one error type. Thrown only while opening, parsing, binding and configuring; forward and
// kernels are noexcept. Caught at the C boundary and in tools/main.cpp.
// A message names file, thing, expected, got; the hint says what to do about it.
#include <fmt/format.h>

#include <exception>
#include <string>
#include <utility>

namespace nibble {

enum class ErrorCode {
  bad_argument,   // a caller's or user's value is out of range
  not_found,      // no such file, tensor, key
  io,             // the operating system refused
  bad_file,       // the file contradicts its own format
  unsupported,    // valid, but not something nibble does
  out_of_memory,  // the memory plan does not fit
  context_full,   // the prompt does not fit the context
  cancelled,      // somebody asked to stop
  internal,       // a bug of ours
};

class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message, std::string hint = {})
      : code_(code), message_(std::move(message)), hint_(std::move(hint)) {}

  ErrorCode code() const noexcept { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& message() const noexcept { return message_; }
  /// One sentence of advice; may be empty.
  const std::string& hint() const noexcept { return hint_; }

 private:
  ErrorCode code_;
  std::string message_;
  std::string hint_;
};

/// Throws Error{code, formatted message}.
template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace nibble
