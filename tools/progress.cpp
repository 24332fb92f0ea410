// Draws at most ten times a second, on one line that is rewritten.
#include "tools/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/output.h"

namespace nibble {

std::string progress_line(const std::string& label, const std::string& unit, uint64_t done,
                          uint64_t total, double seconds, int columns) {
  const double share =
      total == 0 ? 0.0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  std::string tail = fmt::format(" {:3.0f} %", 100.0 * share);
  if (unit == "B") {
    tail += fmt::format("  {}/{} MB", done / 1'000'000, total / 1'000'000);
  } else {
    tail += fmt::format("  {}/{} {}", done, total, unit);
  }
  if (share > 0.02 && share < 1.0) {
    tail += fmt::format("  ETA {:.0f} s", seconds / share * (1.0 - share));
  }
  const int room = columns - 1 - static_cast<int>(label.size() + tail.size()) - 3;
  const int width = std::min(room, 30);
  if (width < 5) return (label + tail).substr(0, static_cast<size_t>(std::max(0, columns - 1)));
  const int full = static_cast<int>(share * width);
  return label + " [" + std::string(static_cast<size_t>(full), '#') +
         std::string(static_cast<size_t>(width - full), '-') + "]" + tail;
}

Progress::Progress(const Terminal& terminal, std::string label, std::string unit)
    : terminal_(terminal), label_(std::move(label)), unit_(std::move(unit)) {}

void Progress::update(uint64_t done, uint64_t total) {
  if (!terminal_.cursor) return;
  const Clock::time_point now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - start_).count();
  if (seconds < 0.5) return;
  if (visible_ && std::chrono::duration<double>(now - drawn_).count() < 0.1 && done < total) return;
  drawn_ = now;
  visible_ = true;
  write_stderr("\r" + progress_line(label_, unit_, done, total, seconds, terminal_.columns()) +
               "\033[K");
}

void Progress::finish() {
  if (visible_) write_stderr("\r\033[K");
  visible_ = false;
}

}  // namespace nibble
