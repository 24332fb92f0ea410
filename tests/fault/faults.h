#pragma once
// Faults on demand: the Nth system call of a kind, or the Nth allocation, fails. Works on the
// library as it ships, because the linker sends its calls here (--wrap, CMakeLists.txt); calls of
// the standard library itself are not touched. For one thread at a time.
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace nibble::faults {

enum class Call {
  open,
  openat,
  write,
  fsync,
  ftruncate,
  fallocate,
  fchmod,
  fcntl,
  flock,
  renameat,
  close,
  mmap,
  fstat,
  none
};
const char* name(Call call);

struct Plan {
  Call call = Call::none;
  int nth = 1;          // the first that fails, counted from 1
  bool sticky = false;  // all later ones fail too
  int error = 0;        // errno
  /// write: half of the bytes instead of an error (one at least).
  bool shorten = false;
};

/// Starts a plan and the counting; the destructor ends both.
class Armed {
 public:
  explicit Armed(const Plan& plan);
  ~Armed();
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;

  /// Whether the plan has struck.
  bool struck() const;
  /// Names of the calls since arming, in order ("write", "fsync" ...).
  std::vector<std::string> trace() const;
};

/// The nth call of a kind from construction on runs `action` first: what another process might do
/// in that moment. The action's own calls are made as they are.
class Before {
 public:
  Before(Call call, int nth, std::function<void()> action);
  ~Before();
  Before(const Before&) = delete;
  Before& operator=(const Before&) = delete;
  /// Whether it has run.
  bool done() const;
};

/// From construction on, the nth allocation fails (with all later ones, if sticky).
class NoMemory {
 public:
  NoMemory(long nth, bool sticky);
  ~NoMemory();
  NoMemory(const NoMemory&) = delete;
  NoMemory& operator=(const NoMemory&) = delete;
  bool struck() const;
};

/// The most bytes that were allocated at once since construction, beyond those of before.
class PeakMemory {
 public:
  PeakMemory();
  ~PeakMemory();
  PeakMemory(const PeakMemory&) = delete;
  PeakMemory& operator=(const PeakMemory&) = delete;
  size_t bytes() const;
};

}  // namespace nibble::faults
