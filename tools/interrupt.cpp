// A signal handler reaches only objects of static storage, so the state is the one global of the
// tools; everything in it is lock-free or written before the handlers are installed.
#include "tools/interrupt.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <initializer_list>

namespace nibble {
namespace {

struct SignalState {
  CancelToken token;
  std::atomic<bool> terminated{false};
  std::atomic<bool> resized{false};
  std::atomic<bool> busy{false};
  std::atomic<int64_t> last_press_ms{-1};
  bool have_terminal = false;
  termios terminal{};  // as we found it
  struct sigaction old_int {
  }, old_term{}, old_hup{}, old_winch{}, old_stop{};
};

SignalState state;

int64_t now_ms() noexcept {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1'000'000;
}

/// Only async-signal-safe calls.
[[noreturn]] void leave_at_once() noexcept {
  if (state.have_terminal) {
    tcsetattr(STDIN_FILENO, TCSANOW, &state.terminal);
    constexpr char kPlain[] = "\033[?2004l\033[0m\r\n";  // no bracketed paste, no colour
    [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, kPlain, sizeof kPlain - 1);
  }
  _exit(130);
}

/// Ctrl-Z: the shell gets the terminal as we found it, and we take it back as we left it. As in
/// Stevens and Rago, Advanced Programming in the UNIX Environment, 10.21: the handler stops the
/// process by the default action of its own signal.
void on_stop(int signal) {
  const int saved_errno = errno;
  termios ours{};
  const bool have_ours = state.have_terminal && tcgetattr(STDIN_FILENO, &ours) == 0 &&
                         tcsetattr(STDIN_FILENO, TCSANOW, &state.terminal) == 0;
  struct sigaction by_default {
  }, handler{};
  by_default.sa_handler = SIG_DFL;
  sigemptyset(&by_default.sa_mask);
  sigaction(signal, &by_default, &handler);
  sigset_t mask, before;
  sigemptyset(&mask);
  sigaddset(&mask, signal);
  raise(signal);
  pthread_sigmask(SIG_UNBLOCK, &mask, &before);  // here it stops, until SIGCONT
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  sigaction(signal, &handler, nullptr);
  // In the background (`bg`) the terminal is not ours; setting it would stop us again.
  if (have_ours && tcgetpgrp(STDIN_FILENO) == getpgrp()) {
    tcsetattr(STDIN_FILENO, TCSANOW, &ours);
  }
  errno = saved_errno;
}

void on_signal(int signal) {
  if (signal == SIGWINCH) {
    state.resized.store(true);
    return;
  }
  if (signal == SIGTERM || signal == SIGHUP) state.terminated.store(true);
  state.token.request();
  if (signal != SIGINT) return;
  const int64_t now = now_ms();
  const int64_t last = state.last_press_ms.exchange(now);
  if (state.busy.load() && last >= 0 && now - last < 1000) leave_at_once();
}

}  // namespace

Interrupt::Interrupt() {
  state.token.reset();
  state.terminated.store(false);
  state.busy.store(false);
  state.last_press_ms.store(-1);
  state.have_terminal = tcgetattr(STDIN_FILENO, &state.terminal) == 0;
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = 0;  // no SA_RESTART: a blocked read has to notice
  sigaction(SIGINT, &action, &state.old_int);
  sigaction(SIGTERM, &action, &state.old_term);
  sigaction(SIGHUP, &action, &state.old_hup);
  sigaction(SIGWINCH, &action, &state.old_winch);
  action.sa_handler = on_stop;
  action.sa_flags = SA_RESTART;  // whatever was going on goes on
  sigaction(SIGTSTP, nullptr, &state.old_stop);
  // A shell without job control ignores it for its children; that stays.
  if (state.old_stop.sa_handler != SIG_IGN) sigaction(SIGTSTP, &action, nullptr);
}

Interrupt::~Interrupt() {
  sigaction(SIGINT, &state.old_int, nullptr);
  sigaction(SIGTERM, &state.old_term, nullptr);
  sigaction(SIGHUP, &state.old_hup, nullptr);
  sigaction(SIGWINCH, &state.old_winch, nullptr);
  sigaction(SIGTSTP, &state.old_stop, nullptr);
}

CancelToken& Interrupt::token() noexcept {
  return state.token;
}
bool Interrupt::terminated() const noexcept {
  return state.terminated.load();
}
bool Interrupt::take_resize() noexcept {
  return state.resized.exchange(false);
}

bool Interrupt::wait_readable(int fd) const noexcept {
  // Blocked from before the look at the flags until ppoll(), which unblocks and waits in one step.
  sigset_t ours, before;
  sigemptyset(&ours);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) sigaddset(&ours, signal);
  pthread_sigmask(SIG_BLOCK, &ours, &before);
  bool readable = false;
  if (!state.token.requested() && !state.terminated.load() && !state.resized.load()) {
    pollfd wanted{fd, POLLIN, 0};
    readable = ppoll(&wanted, 1, nullptr, &before) > 0;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return readable;
}

void Interrupt::reset() noexcept {
  if (!state.terminated.load()) state.token.reset();
}

void Interrupt::set_busy(bool busy) noexcept {
  state.last_press_ms.store(-1);
  state.busy.store(busy);
}

}  // namespace nibble
