#pragma once
// Who truncates a mapped file takes its pages away, and touching one raises SIGBUS, which ends the
// process. A guard turns that into zeros and a flag: the reader goes on, harmlessly, and whoever
// asks learns that the file is lost.
//
// This is the library's only signal handler. A signal's handler belongs to the process, so the
// table of ranges does too (docs/decisions/0047). The handler is there while a guard is, judges
// faults inside guarded ranges only, and hands every other one to the handler that was there
// before.
#include <cstddef>

namespace nibble {

struct GuardedRange;

/// Whether files that are mapped from now on get a guard; yes, until the host says no. For hosts
/// that let no library handle signals: there a file that is truncated in use ends the process.
void set_file_guard(bool on) noexcept;
bool file_guard_on() noexcept;

/// Of one range of addresses, mapped from a file. Whoever has it unmaps the range after it is gone.
class FileGuard {
 public:
  FileGuard() = default;  // of nothing
  /// Nothing happens where guards are switched off. Errors: io (the system refused; too many).
  FileGuard(const void* begin, size_t bytes);
  ~FileGuard() { reset(); }
  FileGuard(FileGuard&& other) noexcept;
  FileGuard& operator=(FileGuard&& other) noexcept;

  /// A page of the range was touched and not there. It and all behind it are zeros since.
  bool lost() const noexcept;
  void reset() noexcept;

 private:
  GuardedRange* range_ = nullptr;
};

}  // namespace nibble
