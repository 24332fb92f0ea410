#include "tests/fault/faults.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <iterator>
#include <new>
#include <utility>

namespace nibble::faults {
namespace {

constexpr const char* kNames[] = {"open",      "openat", "write", "fsync", "ftruncate",
                                  "fallocate", "fchmod", "fcntl", "flock", "renameat",
                                  "close",     "mmap",   "fstat", "none"};
static_assert(std::size(kNames) == static_cast<size_t>(Call::none) + 1);

// Of the plan in force. Recording takes no memory, so that it works while allocations fail.
struct State {
  bool armed = false;
  Plan plan;
  int seen = 0;
  bool struck = false;
  std::array<Call, 4096> trace{};
  size_t traced = 0;
};
State state;

// Of Before.
struct Interlude {
  Call call = Call::none;
  int left = 0;
  std::function<void()> action;
};
Interlude interlude;

struct Memory {
  bool counting = false;  // for NoMemory
  long left = 0;
  bool sticky = false;
  bool struck = false;
  bool measuring = false;  // for PeakMemory
  size_t now = 0;
  size_t peak = 0;
};
Memory memory;

// Counts a call; true if it is to fail.
bool strikes(Call call) {
  if (interlude.action && call == interlude.call && --interlude.left == 0) {
    std::exchange(interlude.action, nullptr)();
  }
  if (!state.armed) return false;
  if (state.traced < state.trace.size()) state.trace[state.traced++] = call;
  if (call != state.plan.call) return false;
  ++state.seen;
  const bool hit = state.plan.sticky ? state.seen >= state.plan.nth : state.seen == state.plan.nth;
  if (hit) state.struck = true;
  return hit;
}

int refuse() {
  errno = state.plan.error;
  return -1;
}

bool allocation_strikes() {
  if (!memory.counting) return false;
  if (memory.left > 0) --memory.left;
  if (memory.left > 0) return false;
  if (memory.struck && !memory.sticky) return false;
  memory.struck = true;
  return true;
}

}  // namespace

const char* name(Call call) {
  return kNames[static_cast<size_t>(call)];
}

Armed::Armed(const Plan& plan) {
  state = State{};
  state.plan = plan;
  state.armed = true;
}
Armed::~Armed() {
  state.armed = false;
}
bool Armed::struck() const {
  return state.struck;
}
std::vector<std::string> Armed::trace() const {
  std::vector<std::string> out;
  for (size_t i = 0; i < state.traced; ++i) out.emplace_back(name(state.trace[i]));
  return out;
}

Before::Before(Call call, int nth, std::function<void()> action) {
  interlude = {call, nth, std::move(action)};
}
Before::~Before() {
  interlude = {};
}
bool Before::done() const {
  return interlude.action == nullptr;
}

NoMemory::NoMemory(long nth, bool sticky) {
  memory.left = nth;
  memory.sticky = sticky;
  memory.struck = false;
  memory.counting = true;
}
NoMemory::~NoMemory() {
  memory.counting = false;
}
bool NoMemory::struck() const {
  return memory.struck;
}

PeakMemory::PeakMemory() {
  memory.now = memory.peak = 0;
  memory.measuring = true;
}
PeakMemory::~PeakMemory() {
  memory.measuring = false;
}
size_t PeakMemory::bytes() const {
  return memory.peak;
}

}  // namespace nibble::faults

using nibble::faults::Call;
using nibble::faults::memory;
using nibble::faults::refuse;
using nibble::faults::state;
using nibble::faults::strikes;

// Replaced for the whole program: they count, and fail when told to.
void* operator new(size_t size) {
  if (nibble::faults::allocation_strikes()) throw std::bad_alloc();
  void* out = std::malloc(size == 0 ? 1 : size);
  if (out == nullptr) throw std::bad_alloc();
  if (memory.measuring) {
    memory.now += ::malloc_usable_size(out);
    if (memory.now > memory.peak) memory.peak = memory.now;
  }
  return out;
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new[](size_t size, const std::nothrow_t& tag) noexcept {
  return operator new(size, tag);
}
void* operator new[](size_t size) {
  return operator new(size);
}
void operator delete(void* old) noexcept {
  if (memory.measuring && old != nullptr) {
    const size_t size = ::malloc_usable_size(old);
    memory.now -= size < memory.now ? size : memory.now;
  }
  std::free(old);
}
void operator delete(void* old, const std::nothrow_t&) noexcept {
  operator delete(old);
}
void operator delete[](void* old, const std::nothrow_t&) noexcept {
  operator delete(old);
}
void operator delete[](void* old) noexcept {
  operator delete(old);
}
void operator delete(void* old, size_t) noexcept {
  operator delete(old);
}
void operator delete[](void* old, size_t) noexcept {
  operator delete(old);
}

extern "C" {

int __real_open(const char* path, int flags, ...);
int __real_openat(int folder, const char* path, int flags, ...);
ssize_t __real_write(int fd, const void* bytes, size_t count);
int __real_fsync(int fd);
int __real_ftruncate(int fd, off_t size);
int __real_fallocate(int fd, int mode, off_t offset, off_t length);
int __real_fchmod(int fd, mode_t mode);
int __real_fcntl(int fd, int command, ...);
int __real_flock(int fd, int operation);
int __real_renameat(int from_folder, const char* from, int to_folder, const char* to);
int __real_close(int fd);
void* __real_mmap(void* at, size_t length, int protection, int flags, int fd, off_t offset);
int __real_fstat(int fd, struct stat* status);

int __wrap_open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return strikes(Call::open) ? refuse() : __real_open(path, flags, mode);
}

int __wrap_openat(int folder, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return strikes(Call::openat) ? refuse() : __real_openat(folder, path, flags, mode);
}

ssize_t __wrap_write(int fd, const void* bytes, size_t count) {
  if (!strikes(Call::write)) return __real_write(fd, bytes, count);
  if (!state.plan.shorten) return refuse();
  return __real_write(fd, bytes, count > 1 ? count / 2 : count);
}

int __wrap_fsync(int fd) {
  return strikes(Call::fsync) ? refuse() : __real_fsync(fd);
}

int __wrap_ftruncate(int fd, off_t size) {
  return strikes(Call::ftruncate) ? refuse() : __real_ftruncate(fd, size);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t length) {
  return strikes(Call::fallocate) ? refuse() : __real_fallocate(fd, mode, offset, length);
}

int __wrap_fchmod(int fd, mode_t mode) {
  return strikes(Call::fchmod) ? refuse() : __real_fchmod(fd, mode);
}

int __wrap_fcntl(int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  const long value = va_arg(rest, long);
  va_end(rest);
  return strikes(Call::fcntl) ? refuse() : __real_fcntl(fd, command, value);
}

int __wrap_flock(int fd, int operation) {
  return strikes(Call::flock) ? refuse() : __real_flock(fd, operation);
}

int __wrap_renameat(int from_folder, const char* from, int to_folder, const char* to) {
  return strikes(Call::renameat) ? refuse() : __real_renameat(from_folder, from, to_folder, to);
}

// A failing close() has closed the descriptor all the same, as on Linux.
int __wrap_close(int fd) {
  const bool failing = strikes(Call::close);
  const int result = __real_close(fd);
  return failing ? refuse() : result;
}

void* __wrap_mmap(void* at, size_t length, int protection, int flags, int fd, off_t offset) {
  if (!strikes(Call::mmap)) return __real_mmap(at, length, protection, flags, fd, offset);
  refuse();
  return MAP_FAILED;
}

int __wrap_fstat(int fd, struct stat* status) {
  return strikes(Call::fstat) ? refuse() : __real_fstat(fd, status);
}

}  // extern "C"
