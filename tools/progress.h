#pragma once
// A progress bar on standard error for work that takes more than half a second; nothing where
// standard error is not a terminal.
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "tools/terminal.h"

namespace nibble {

/// "Loading [#####-----]  52 %  510/980 MB  ETA 3 s", at most `columns` wide.
/// unit "B": bytes, shown as MB; else a count of `unit`.
std::string progress_line(const std::string& label, const std::string& unit, uint64_t done,
                          uint64_t total, double seconds, int columns);

class Progress {
 public:
  Progress(const Terminal& terminal, std::string label, std::string unit);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void update(uint64_t done, uint64_t total);
  /// Takes the bar away.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  const Terminal& terminal_;
  std::string label_;
  std::string unit_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_{};
  bool visible_ = false;
};

}  // namespace nibble
