// Teams of every kind keep the same promises, whatever pool a host lends; results do not depend on
// where the threads come from.
#include "runtime/threads/thread_source.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "runtime/engine/session.h"
#include "runtime/threads/team.h"
#include "tests/support/catch.h"
#include "tests/support/host_pool.h"
#include "tests/support/models.h"

using namespace nibble;

namespace {

/// What every region must show: each thread once, the caller as 0, barriers that publish.
/// Returns the number of threads that the last region had.
int check_regions(const ThreadSource& source, int n, int regions) {
  Team team(n, source);
  CHECK(team.size() == n);
  int last = 0;
  for (int region = 0; region < regions; ++region) {
    std::vector<std::atomic<int>> calls(static_cast<size_t>(n));
    std::vector<int> steps(static_cast<size_t>(n) * 32);  // plain ints: the barrier orders them
    std::atomic<int> wrong{0};
    std::thread::id first;
    int size = 0;
    team.run([&](int thread, Team& t) {
      calls[static_cast<size_t>(thread)].fetch_add(1);
      if (thread == 0) {
        first = std::this_thread::get_id();
        size = t.size();
      }
      for (int step = 1; step <= 5; ++step) {
        steps[static_cast<size_t>(thread) * 32] = step;
        t.barrier();
        for (int other = 0; other < t.size(); ++other) {
          if (steps[static_cast<size_t>(other) * 32] != step) wrong.fetch_add(1);
        }
        t.barrier();
      }
    });
    REQUIRE(size >= 1);
    REQUIRE(size <= n);
    REQUIRE(wrong == 0);
    REQUIRE(first == std::this_thread::get_id());
    for (int i = 0; i < n; ++i) REQUIRE(calls[static_cast<size_t>(i)] == (i < size ? 1 : 0));
    last = size;
  }
  CHECK(team.size() == n);
  return last;
}

ThreadSource of_kind(TeamKind kind) {
  ThreadSource source;
  source.kind = kind;
  return source;
}

}  // namespace

TEST_CASE("teams of OpenMP and of std::thread keep the promises of a team", "[threads]") {
  for (const TeamKind kind : {TeamKind::automatic, TeamKind::openmp, TeamKind::threads}) {
    for (const int n : {1, 2, 5}) check_regions(of_kind(kind), n, 10);
  }
  CHECK(check_regions(of_kind(TeamKind::threads), 3, 1) == 3);
}

TEST_CASE("a host's pool of any size serves a team of any size", "[threads]") {
  for (const int pool_size : {1, 2, 5}) {
    CAPTURE(pool_size);
    HostPool pool(pool_size);
    for (const int n : {1, 2, 3, 6}) {
      CHECK(check_regions(pool.source(), n, 30) <= pool_size + 1);
    }
  }
}

TEST_CASE("a host's pool that runs tasks at once or refuses them leaves the caller alone",
          "[threads]") {
  ThreadSource source = of_kind(TeamKind::host);
  source.executor.submit = [](void*, void (*task)(void*), void* arg, int n) {
    for (int i = 0; i < n; ++i) task(arg);
    return n;
  };
  CHECK(check_regions(source, 3, 10) == 1);
  source.executor.submit = [](void*, void (*)(void*), void*, int) { return 0; };
  CHECK(check_regions(source, 3, 10) == 1);
  source.executor.submit = [](void*, void (*)(void*), void*, int) { return -7; };
  CHECK(check_regions(source, 3, 10) == 1);
  source.executor.submit = nullptr;
  CHECK(check_regions(source, 3, 10) == 1);
}

TEST_CASE("a host's task that starts after its region returns, and no more are queued than needed",
          "[threads]") {
  HostPool pool(1);
  std::atomic<bool> go{false};
  // The pool's only thread is busy until long after the regions.
  pool.executor().submit(
      pool.executor().user,
      [](void* flag) {
        while (!static_cast<std::atomic<bool>*>(flag)->load()) std::this_thread::yield();
      },
      &go, 1);
  std::atomic<int> calls{0};
  {
    Team team(3, pool.source());
    for (int i = 0; i < 20; ++i) team.run([&](int, Team&) { calls.fetch_add(1); });
    CHECK(calls == 20);              // the caller alone
    CHECK(pool.n_tasks() == 1 + 2);  // ours, and one for each thread that the team lacks
    go = true;
  }
  CHECK(calls == 20);
}

TEST_CASE("several teams share one host's pool", "[threads]") {
  HostPool pool(2);
  std::vector<std::thread> callers;
  std::atomic<int> regions{0};
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 3; ++round) {
        Team team(2, pool.source());
        for (int i = 0; i < 20; ++i) {
          team.run([&](int thread, Team& t) {
            t.barrier();
            if (thread == 0) regions.fetch_add(1);
          });
        }
      }
    });
  }
  for (std::thread& t : callers) t.join();
  CHECK(regions == 3 * 3 * 20);
}

TEST_CASE("a budget deals out its threads and always leaves a caller their own", "[threads]") {
  ThreadBudget budget(4);
  CHECK(budget.take(3) == 3);
  CHECK(budget.take(3) == 1);
  CHECK(budget.take(8) == 1);  // nothing is left
  budget.give(1);
  budget.give(1);
  budget.give(3);
  CHECK(budget.take(8) == 4);
}

TEST_CASE("teams that share a budget have no more threads at once than it holds", "[threads]") {
  for (const TeamKind kind : {TeamKind::openmp, TeamKind::threads}) {
    ThreadSource source = of_kind(kind);
    source.budget = std::make_shared<ThreadBudget>(3);
    CHECK(check_regions(source, 8, 5) <= 3);
    Team outer(2, source), inner(8, source);
    int inside = 0;
    outer.run([&](int thread, Team& t) {
      const int left = 3 - t.size();
      if (thread == 0)
        inner.run([&](int n, Team& u) {
          if (n == 0) inside = u.size() - left;
        });
    });
    CHECK(inside <= 0);
    CHECK(check_regions(source, 8, 1) <= 3);  // all was given back
    CHECK(source.budget->take(8) == 3);
  }
}

#if !defined(__SANITIZE_THREAD__)  // which cannot follow a fork of a process with threads
TEST_CASE("in a forked child a team is its caller alone, and can be destroyed", "[threads]") {
  HostPool pool(1);
  for (const ThreadSource& source :
       {of_kind(TeamKind::openmp), of_kind(TeamKind::threads), pool.source()}) {
    auto team = std::make_unique<Team>(2, source);
    team->run([](int, Team& t) { t.barrier(); });
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      int calls = 0;
      team->run([&](int, Team& t) {
        t.barrier();
        calls += t.size();
      });
      team.reset();
      ::_exit(calls == 1 ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    std::atomic<int> calls{0};
    team->run([&](int, Team&) { calls.fetch_add(1); });
    CHECK(calls >= 1);  // the parent goes on
  }
}
#endif

TEST_CASE("a model answers with the same bits on every kind of team", "[threads][model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  HostPool pool(2);
  ThreadSource tight = of_kind(TeamKind::threads);
  tight.budget = std::make_shared<ThreadBudget>(2);
  std::vector<float> expected;
  for (const ThreadSource& source :
       {of_kind(TeamKind::openmp), of_kind(TeamKind::threads), pool.source(), tight}) {
    EngineOptions how;
    how.n_threads = 3;
    how.thread_source = source;
    const auto engine = Engine::open(path, how);
    SessionOptions options;
    options.n_ctx = 512;
    options.n_threads = 3;
    options.thread_source = source;
    Session session(engine, options);
    const std::string text = "The threads come from somewhere else, the numbers do not change.";
    session.sync(engine->tokenizer().encode(text, true, false));
    session.append(1);
    const std::span<const float> logits = session.logits();
    if (expected.empty()) expected.assign(logits.begin(), logits.end());
    REQUIRE(logits.size() == expected.size());
    CHECK(std::memcmp(logits.data(), expected.data(), logits.size_bytes()) == 0);
  }
}
