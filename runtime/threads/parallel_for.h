#pragma once
// Independent pieces of work, dealt out to a team that lives as long as the function. For layers
// below this one, which take the function and know no team.
#include <cstdint>
#include <functional>
#include <memory>

#include "runtime/threads/team.h"

namespace nibble {

/// A function that calls work(0) to work(n - 1) and returns when all are done; one caller at a
/// time, and work must not throw. n_threads < 1: what suits the machine.
inline std::function<void(int64_t n, const std::function<void(int64_t)>& work)> parallel_for(
    int n_threads, const ThreadSource& source = {}) {
  return [n_threads, source, team = std::shared_ptr<Team>()](
             int64_t n, const std::function<void(int64_t)>& work) mutable {
    if (!team) team = std::make_shared<Team>(n_threads < 1 ? default_threads() : n_threads, source);
    TileCounter counter;
    team->run([&](int, Team&) {
      for (int64_t i = counter.next(); i < n; i = counter.next()) work(i);
    });
  };
}

}  // namespace nibble
