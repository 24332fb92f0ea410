#pragma once
// SIGINT, SIGTERM and SIGHUP as requests. The handlers set a CancelToken that the library looks at;
// work that does not react is ended by a second Ctrl-C within a second, terminal restored. Ctrl-Z
// gives the shell its terminal back for as long as we are stopped.
#include "runtime/threads/cancel.h"

namespace nibble {

/// Installs the handlers for as long as it lives; one at a time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// Set by the first signal.
  CancelToken& token() noexcept;
  /// SIGTERM or SIGHUP came: finish and leave.
  bool terminated() const noexcept;
  /// The terminal changed its size since the last call.
  bool take_resize() noexcept;
  /// Waits until fd can be read without blocking: true. False when one of our signals came instead,
  /// also one that came before the call and was not taken note of, which a blocking read would
  /// sleep through.
  bool wait_readable(int fd) const noexcept;
  /// Forgets a Ctrl-C, not a SIGTERM: before new work in a REPL.
  void reset() noexcept;
  /// While busy, a second Ctrl-C within a second ends the process with 130.
  void set_busy(bool busy) noexcept;
};

/// Busy for a scope.
class BusyScope {
 public:
  explicit BusyScope(Interrupt& interrupt) : interrupt_(interrupt) { interrupt_.set_busy(true); }
  ~BusyScope() { interrupt_.set_busy(false); }
  BusyScope(const BusyScope&) = delete;
  BusyScope& operator=(const BusyScope&) = delete;

 private:
  Interrupt& interrupt_;
};

}  // namespace nibble
