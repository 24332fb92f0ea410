#include "formats/io/file_guard.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <thread>
#include <utility>

#include "formats/io/error.h"
#include "formats/io/os_error.h"

namespace nibble {

// A handler may take no lock and call no allocator: the table has a fixed size, and its words are
// atomic. begin is written last and cleared first.
struct GuardedRange {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> lost{false};
};

namespace {

constexpr size_t kMostGuards = 4096;

/// Held for a few instructions. In a child that was forked while a thread of the parent held it, it
/// is free: nobody there would ever release it.
class ForkLock {
 public:
  void lock() noexcept {
    const pid_t self = ::getpid();
    pid_t holder = 0;
    while (!holder_.compare_exchange_weak(holder, self, std::memory_order_acquire)) {
      if (holder != 0 && holder != self &&
          holder_.compare_exchange_strong(holder, self, std::memory_order_acquire)) {
        return;
      }
      holder = 0;
      std::this_thread::yield();
    }
  }
  void unlock() noexcept { holder_.store(0, std::memory_order_release); }

 private:
  std::atomic<pid_t> holder_{0};
};

constinit GuardedRange g_ranges[kMostGuards];
constinit ForkLock g_mutex;  // of everything below
constinit int g_guards = 0;
constinit bool g_installed = false;
// What was there before; written while our handler is not.
struct sigaction g_previous = {};
constinit std::atomic<bool> g_on{true};
constinit std::atomic<uintptr_t> g_page{4096};

/// Puts zeros where the file was, from the page of `at` to the end of its range.
bool patch(uintptr_t at) noexcept {
  for (GuardedRange& range : g_ranges) {
    const uintptr_t begin = range.begin.load(std::memory_order_acquire);
    if (begin == 0 || at < begin) continue;
    const uintptr_t end = range.end.load(std::memory_order_relaxed);
    if (at >= end) continue;
    const uintptr_t page = g_page.load(std::memory_order_relaxed);
    const uintptr_t from = at / page * page;
    range.lost.store(true, std::memory_order_release);
    // The bare call: a handler may not enter what a sanitizer or the host puts around mmap().
    return ::syscall(SYS_mmap, from, end - from, PROT_READ,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != -1;
  }
  return false;
}

/// What would have happened without us.
void chain(int signal, siginfo_t* info, void* context) noexcept {
  if ((g_previous.sa_flags & SA_SIGINFO) != 0) {
    g_previous.sa_sigaction(signal, info, context);
    return;
  }
  const bool sent = info->si_code <= 0;  // by a process: returning does not repeat it
  if (g_previous.sa_handler == SIG_IGN && sent) return;
  if (g_previous.sa_handler != SIG_DFL && g_previous.sa_handler != SIG_IGN) {
    g_previous.sa_handler(signal);
    return;
  }
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(signal, &standard, nullptr);
  if (sent) (void)::raise(signal);  // delivered when this handler returns
}

void on_fault(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  const bool ours =
      info->si_code == BUS_ADRERR && patch(reinterpret_cast<uintptr_t>(info->si_addr));
  errno = error;
  if (!ours) chain(signal, info, context);
}

bool is_ours(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == &on_fault;
}

void install() {
  struct sigaction now = {};
  if (::sigaction(SIGBUS, nullptr, &now) != 0) fail_errno("SIGBUS", "read its handler", errno);
  // Somebody put theirs over ours and may call ours: a second time would be a loop.
  if (g_installed || is_ours(now)) return;
  g_page.store(static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE)), std::memory_order_relaxed);
  g_previous = now;
  struct sigaction action = {};
  action.sa_sigaction = &on_fault;
  action.sa_mask = now.sa_mask;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | (now.sa_flags & (SA_NODEFER | SA_RESTART));
  if (::sigaction(SIGBUS, &action, nullptr) != 0) fail_errno("SIGBUS", "handle it", errno);
  g_installed = true;
}

/// Somebody, maybe another copy of this library, put their handler over ours and will call ours or
/// put it back: its code must stay, whoever unloads the library.
void stay_loaded() noexcept {
  Dl_info info = {};
  if (::dladdr(reinterpret_cast<void*>(&on_fault), &info) == 0 || info.dli_fname == nullptr) return;
  (void)::dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

void uninstall() noexcept {
  struct sigaction now = {};
  if (!g_installed || ::sigaction(SIGBUS, nullptr, &now) != 0) return;
  if (!is_ours(now)) return stay_loaded();
  if (::sigaction(SIGBUS, &g_previous, nullptr) == 0) g_installed = false;
}

}  // namespace

void set_file_guard(bool on) noexcept {
  g_on.store(on, std::memory_order_relaxed);
}

bool file_guard_on() noexcept {
  return g_on.load(std::memory_order_relaxed);
}

FileGuard::FileGuard(const void* begin, size_t bytes) {
  if (bytes == 0 || !file_guard_on()) return;
  const std::lock_guard lock(g_mutex);
  for (GuardedRange& range : g_ranges) {
    if (range.begin.load(std::memory_order_relaxed) != 0) continue;
    install();
    ++g_guards;
    const auto page = g_page.load(std::memory_order_relaxed);
    const auto first = reinterpret_cast<uintptr_t>(begin);
    range.lost.store(false, std::memory_order_relaxed);
    range.end.store((first + bytes + page - 1) / page * page, std::memory_order_relaxed);
    range.begin.store(first, std::memory_order_release);
    range_ = &range;
    return;
  }
  fail(ErrorCode::io, "mapped files: expected at most {} at once", kMostGuards);
}

FileGuard::FileGuard(FileGuard&& other) noexcept : range_(std::exchange(other.range_, nullptr)) {}

FileGuard& FileGuard::operator=(FileGuard&& other) noexcept {
  if (this != &other) {
    reset();
    range_ = std::exchange(other.range_, nullptr);
  }
  return *this;
}

bool FileGuard::lost() const noexcept {
  return range_ != nullptr && range_->lost.load(std::memory_order_acquire);
}

void FileGuard::reset() noexcept {
  if (range_ == nullptr) return;
  const std::lock_guard lock(g_mutex);
  range_->begin.store(0, std::memory_order_release);
  range_ = nullptr;
  if (--g_guards == 0) uninstall();
}

}  // namespace nibble
