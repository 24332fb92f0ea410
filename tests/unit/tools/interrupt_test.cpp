// A signal ends the wait for input, also one that came just before it.
#include "tools/interrupt.h"

#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/support/catch.h"

using namespace nibble;

namespace {

struct Pipe {
  int ends[2] = {-1, -1};
  Pipe() { REQUIRE(::pipe(ends) == 0); }
  ~Pipe() {
    for (const int fd : ends) ::close(fd);
  }
  int reader() const { return ends[0]; }
  void write(char c) const { REQUIRE(::write(ends[1], &c, 1) == 1); }
};

}  // namespace

TEST_CASE("a signal that came before the wait is not slept through") {
  const Pipe pipe;
  Interrupt interrupt;
  // Each of these would hang if the signal were lost.
  std::raise(SIGWINCH);
  CHECK_FALSE(interrupt.wait_readable(pipe.reader()));
  CHECK(interrupt.take_resize());
  std::raise(SIGINT);
  CHECK_FALSE(interrupt.wait_readable(pipe.reader()));
  CHECK_FALSE(interrupt.terminated());
  interrupt.reset();
  std::raise(SIGTERM);
  CHECK_FALSE(interrupt.wait_readable(pipe.reader()));
  CHECK(interrupt.terminated());
  interrupt.reset();  // a SIGTERM stays
  pipe.write('x');
  CHECK_FALSE(interrupt.wait_readable(pipe.reader()));
}

TEST_CASE("input and its end can be read, signals come in between") {
  const Pipe pipe;
  Interrupt interrupt;
  pipe.write('x');
  CHECK(interrupt.wait_readable(pipe.reader()));
  char c = 0;
  REQUIRE(::read(pipe.reader(), &c, 1) == 1);
  const pthread_t waiting = ::pthread_self();
  std::thread sender([waiting] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ::pthread_kill(waiting, SIGTERM);
  });
  CHECK_FALSE(interrupt.wait_readable(pipe.reader()));
  sender.join();
  CHECK(interrupt.terminated());
  sigset_t blocked;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  CHECK(::sigismember(&blocked, SIGTERM) == 0);
}
