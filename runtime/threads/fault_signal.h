#pragma once
// A fault on a thread that blocks its signal ends the process, whatever handler there is. Hosts do
// block signals, in threads of a pool and where another thread waits for them: so every entry that
// reads a mapped file holds one of these, and the guard of the file (formats/io/file_guard.h)
// works.
#include <csignal>

namespace nibble {

/// SIGBUS is delivered, for a scope and one thread.
class FaultSignalOpen {
 public:
  FaultSignalOpen() noexcept {
    sigset_t fault;
    sigemptyset(&fault);
    sigaddset(&fault, SIGBUS);
    blocked_ = ::pthread_sigmask(SIG_UNBLOCK, &fault, &host_) == 0 && sigismember(&host_, SIGBUS);
  }
  ~FaultSignalOpen() {
    if (blocked_) ::pthread_sigmask(SIG_SETMASK, &host_, nullptr);
  }
  FaultSignalOpen(const FaultSignalOpen&) = delete;
  FaultSignalOpen& operator=(const FaultSignalOpen&) = delete;

 private:
  sigset_t host_;
  bool blocked_ = false;
};

}  // namespace nibble
