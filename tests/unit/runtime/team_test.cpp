#include "runtime/threads/team.h"

#include <set>
#include <thread>
#include <vector>

#include "runtime/threads/cpu_limits.h"
#include "tests/support/catch.h"

using namespace nibble;

TEST_CASE("every thread of a team runs once, the caller as thread 0", "[threads]") {
  for (int n : {1, 2, 3, 8}) {
    Team team(n);
    CHECK(team.size() == n);
    for (int repeat = 0; repeat < 50; ++repeat) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(n));
      std::thread::id first;
      int size = 0;
      team.run([&](int thread, Team& t) {
        calls[static_cast<size_t>(thread)].fetch_add(1);
        if (thread == 0) {
          first = std::this_thread::get_id();
          size = t.size();
        }
      });
      REQUIRE(size >= 1);
      REQUIRE(size <= n);
      for (int i = 0; i < n; ++i) REQUIRE(calls[static_cast<size_t>(i)] == (i < size ? 1 : 0));
      REQUIRE(first == std::this_thread::get_id());
    }
    CHECK(team.size() == n);
  }
}

TEST_CASE("a team of less than one thread has one", "[threads]") {
  Team team(0);
  int calls = 0;
  team.run([&](int, Team& t) {
    t.barrier();
    ++calls;
  });
  CHECK(calls == 1);
  CHECK(team.size() == 1);
}

TEST_CASE("a barrier publishes every thread's writes, also with more threads than cores",
          "[threads]") {
  for (int n : {2, 3, 9}) {
    Team team(n);
    std::vector<int> steps(static_cast<size_t>(n) * 32);  // plain ints: the barrier orders them
    std::atomic<int> wrong{0};
    team.run([&](int thread, Team& t) {
      for (int step = 1; step <= 300; ++step) {
        steps[static_cast<size_t>(thread) * 32] = step;
        t.barrier();
        for (int other = 0; other < t.size(); ++other) {
          if (steps[static_cast<size_t>(other) * 32] != step) wrong.fetch_add(1);
        }
        t.barrier();
      }
    });
    CHECK(wrong == 0);
  }
}

TEST_CASE("a tile counter deals every tile once", "[threads]") {
  Team team(4);
  TileCounter tiles;
  std::vector<std::atomic<int>> dealt(1000);
  for (int round = 1; round <= 3; ++round) {
    tiles.reset();
    team.run([&](int, Team&) {
      for (int64_t i = tiles.next(); i < 1000; i = tiles.next()) {
        dealt[static_cast<size_t>(i)].fetch_add(1);
      }
    });
    for (const auto& d : dealt) REQUIRE(d == round);
  }
}

TEST_CASE("teams of several callers work side by side", "[threads]") {
  std::vector<std::thread> callers;
  std::atomic<int> total{0};
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([&] {
      Team team(2);
      for (int i = 0; i < 20; ++i) {
        team.run([&](int, Team& t) {
          t.barrier();
          total.fetch_add(2 / t.size());
        });
      }
    });
  }
  for (std::thread& t : callers) t.join();
  CHECK(total == 3 * 20 * 2);
}

TEST_CASE("the default number of threads is at least one and at most what there is", "[threads]") {
  CHECK(default_threads() >= 1);
  const auto cpus = static_cast<int>(std::thread::hardware_concurrency());
  if (cpus > 0) CHECK(default_threads() <= cpus);
}

TEST_CASE("a cgroup's quota is rounded up to whole CPUs", "[threads]") {
  CHECK(quota_of_cpu_max("200000 100000\n") == 2);
  CHECK(quota_of_cpu_max("150000 100000") == 2);
  CHECK(quota_of_cpu_max("1000 100000") == 1);
  CHECK(quota_of_cpu_max("max 100000") == 0);
  CHECK(quota_of_cpu_max("") == 0);
  CHECK(quota_of_cpu_max("100000") == 0);
  CHECK(quota_of_cpu_max("100000 0") == 0);
  CHECK(quota_of_cpu_max("-5 100000") == 0);
  CHECK(quota_of_cpu_max("99999999999999999999 1") == 0);
  CHECK(quota_of_cpu_max("9223372036854775807 1") >= 1);
}

TEST_CASE("the unified cgroup is found among the others", "[threads]") {
  CHECK(cgroup_v2_path("0::/user.slice/a\n") == "/user.slice/a");
  CHECK(cgroup_v2_path("12:cpu:/x\n0::/\n") == "/");
  CHECK(cgroup_v2_path("12:cpu:/x\n") == "");
  CHECK(cgroup_v2_path("") == "");
  CHECK(first_of_cpu_list("4-5,20\n") == 4);
  CHECK(first_of_cpu_list("7") == 7);
  CHECK(first_of_cpu_list("") == -1);
  CHECK(first_of_cpu_list("x") == -1);
}
