// A model file that changes while it is used: the host lives, and learns of it.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <ctime>
#include <functional>
#include <set>
#include <thread>
#include <vector>

#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "runtime/convert/pack_file.h"
#include "runtime/engine/session.h"
#include "runtime/threads/team.h"
#include "tests/support/catch.h"
#include "tests/support/host_pool.h"
#include "tests/support/packed_toys.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_model.h"

using namespace nibble;
using Catch::Matchers::Contains;

namespace {

enum class Change { truncate, halve, overwrite, unlink, replace };
constexpr Change kChanges[] = {Change::truncate, Change::halve, Change::overwrite, Change::unlink,
                               Change::replace};

/// Whether who has the file open keeps what it was.
bool is_harmless(Change change) {
  return change == Change::unlink || change == Change::replace;
}

void change_file(const std::string& path, Change change) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  switch (change) {
    case Change::truncate:
      REQUIRE(::truncate(path.c_str(), 0) == 0);
      break;
    case Change::halve:
      REQUIRE(::truncate(path.c_str(), status.st_size / 2) == 0);
      break;
    case Change::overwrite: {
      const std::string noise(static_cast<size_t>(status.st_size), '\xA5');
      const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
      REQUIRE(fd >= 0);
      REQUIRE(::pwrite(fd, noise.data(), noise.size(), 0) == status.st_size);
      ::close(fd);
      break;
    }
    case Change::unlink:
      REQUIRE(::unlink(path.c_str()) == 0);
      break;
    case Change::replace:
      test::write_file(path + ".new", "another file");
      REQUIRE(::rename((path + ".new").c_str(), path.c_str()) == 0);
      break;
  }
}

/// Large enough for several pages in every tensor's place; an hour old, as clocks of files are
/// coarse.
std::string toy(const test::TempDir& dir) {
  const std::string path = dir / "toy.gguf";
  test::write_file(path, test::toy_model("llama"));
  const struct timespec times[2] = {{::time(nullptr) - 3600, 0}, {::time(nullptr) - 3600, 0}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
  return path;
}

std::shared_ptr<const Engine> open(const std::string& path, bool in_memory = false) {
  EngineOptions options;
  options.in_memory = in_memory;
  options.n_threads = 2;
  return Engine::open(path, options);
}

SessionOptions two_threads() {
  SessionOptions options;
  options.n_ctx = 128;
  options.n_threads = 2;
  return options;
}

const std::vector<int32_t> kPrompt = {1, 40, 41, 42, 43, 44, 45, 46};

std::vector<float> logits_after(Session& session, int32_t token) {
  session.append(token);
  return {session.logits().begin(), session.logits().end()};
}

void check_io(const std::function<void()>& f) {
  try {
    f();
    FAIL("no error");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::io);
    CHECK_THAT(e.what(), Contains("toy.gguf") && Contains("truncated"));
  }
}

}  // namespace

TEST_CASE("a session on a file that was written to fails at once, on one that is gone goes on",
          "[guard]") {
  for (const Change change : kChanges) {
    CAPTURE(static_cast<int>(change));
    const test::TempDir dir;
    const auto engine = open(toy(dir));
    Session session(engine, two_threads()), other(engine, two_threads());
    session.sync(kPrompt);
    other.sync(kPrompt);
    const std::vector<float> expected = logits_after(other, 50);
    change_file(dir / "toy.gguf", change);
    if (is_harmless(change)) {
      CHECK(logits_after(session, 50) == expected);
      continue;
    }
    const size_t before = session.tokens().size();
    check_io([&] { session.append(50); });
    check_io([&] { session.sync(kPrompt); });
    CHECK(session.tokens().size() <= before);
    check_io([&] { Session(engine, two_threads()).sync(kPrompt); });
  }
}

TEST_CASE("a model that was read into memory goes on whatever happens to its file", "[guard]") {
  for (const Change change : kChanges) {
    const test::TempDir dir;
    const auto mapped = open(toy(dir));
    Session first(mapped, two_threads());
    first.sync(kPrompt);
    const std::vector<float> expected = logits_after(first, 50);
    const auto engine = open(dir / "toy.gguf", true);
    CHECK(engine->file().map()->in_memory());
    Session session(engine, two_threads());
    session.sync(kPrompt);
    change_file(dir / "toy.gguf", change);
    CHECK(logits_after(session, 50) == expected);
    const MemoryPlan plan = engine->plan(128, 64, KvType::f32);
    CHECK(plan.weights >= static_cast<int64_t>(engine->file().file_bytes().size()));
    CHECK(plan.held == plan.weights);
  }
}

TEST_CASE("threads that block the signal of a fault do not die of it", "[guard]") {
  sigset_t all, before;
  sigfillset(&all);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  {
    HostPool pool(1);  // whose thread inherits the mask
    const test::TempDir dir;
    EngineOptions how;
    how.repack = false;  // the weights stay in the file
    const auto engine = Engine::open(toy(dir), how);
    SessionOptions options = two_threads();
    options.thread_source = pool.source();
    Session session(engine, options);
    session.sync(kPrompt);
    change_file(dir / "toy.gguf", Change::truncate);
    // Every page is touched, by both threads, whatever the forward leaves out.
    Team team(2, pool.source());
    team.run([&](int, Team& t) {
      t.barrier();
      const std::span<const std::byte> bytes = engine->file().file_bytes();
      for (size_t i = 0; i < bytes.size(); i += 512) {
        (void)*static_cast<const volatile std::byte*>(&bytes[i]);
      }
    });
    check_io([&] { session.append(50); });
  }
  sigset_t now;
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &before, &now) == 0);
  CHECK(sigismember(&now, SIGBUS) == 1);  // as the host had it
}

TEST_CASE("no file is written from a model that changed meanwhile", "[guard]") {
  for (const Change change : {Change::truncate, Change::overwrite}) {
    const test::TempDir dir;
    test::write_file(dir / "toy.gguf",
                     test::quantized_toy([](std::string_view) { return DType::Q8_0; }));
    const TensorFile in = open_tensor_file(dir / "toy.gguf");
    PackFileOptions options;
    options.on_progress = [&, done = false](uint64_t, uint64_t) mutable {
      if (!done) change_file(dir / "toy.gguf", change);
      done = true;
    };
    try {
      pack_file(in, dir / "out.gguf", options);
      FAIL("written");
    } catch (const Error& e) {
      CHECK(e.code() == ErrorCode::io);
    }
    CHECK(dir.names() == std::set<std::string>{"toy.gguf"});
  }
}

namespace {

/// Tokens until an error, or for so long.
void append_for(Session& session, std::chrono::seconds most) {
  const auto end = std::chrono::steady_clock::now() + most;
  while (std::chrono::steady_clock::now() < end) {
    session.rewind(static_cast<int64_t>(kPrompt.size()));
    session.append(50);
  }
}

/// Files change at moments that nobody chose.
void check_host_lives(int n_runs) {
  const test::TempDir calm_dir;
  const auto calm = open(toy(calm_dir));
  Session calm_session(calm, two_threads());
  calm_session.sync(kPrompt);
  const std::vector<float> expected = logits_after(calm_session, 50);
  int n_errors = 0;
  for (int run = 0; run < n_runs; ++run) {
    const Change change = kChanges[run % 5];
    const test::TempDir dir;
    const std::string path = toy(dir);
    std::atomic<bool> go{false};
    std::thread enemy([&] {
      while (!go) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::microseconds(run % 60 * 50));
      change_file(path, change);
    });
    go = true;
    bool failed = false;
    try {
      const auto engine = open(path);
      Session session(engine, two_threads());
      session.sync(kPrompt);
      for (int i = 0; i < 40; ++i) session.append(30 + i);
      // On an idle machine all runs may be over before their file changes: one has to notice.
      if (n_errors == 0 && run >= n_runs - 5 && !is_harmless(change)) {
        enemy.join();
        append_for(session, std::chrono::seconds(10));
      }
    } catch (const Error& e) {
      failed = true;
      // A file that is gone before it is opened, or replaced by what is no model.
      if (is_harmless(change)) {
        CHECK((e.code() == ErrorCode::not_found || e.code() == ErrorCode::bad_file ||
               e.code() == ErrorCode::unsupported));
      }
    }
    if (enemy.joinable()) enemy.join();
    n_errors += failed ? 1 : 0;
  }
  CHECK(n_errors > 0);
  calm_session.rewind(static_cast<int64_t>(kPrompt.size()));
  CHECK(logits_after(calm_session, 50) == expected);
}

}  // namespace

TEST_CASE("the host lives whatever happens to a file in use, and other models do not notice",
          "[guard]") {
  check_host_lives(30);
}

TEST_CASE("three hundred files change in use, and the host lives", "[guard][slow]") {
  check_host_lives(300);
}
