// See stats.h.
#include "tools/stats.h"

#include <fmt/format.h>
#include <sys/resource.h>

namespace nibble {

std::string format_duration(double seconds) {
  if (seconds >= 60) {
    const auto minutes = static_cast<int64_t>(seconds / 60);
    return fmt::format("{}m{:.1f}s", minutes, seconds - static_cast<double>(minutes) * 60);
  }
  if (seconds >= 1) return fmt::format("{:.3f}s", seconds);
  if (seconds >= 1e-3) return fmt::format("{:.1f}ms", seconds * 1e3);
  return fmt::format("{:.0f}µs", seconds * 1e6);
}

std::string format_bytes(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (value >= 1e9) return fmt::format("{:.2f} GB", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f} MB", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.1f} kB", value / 1e3);
  return fmt::format("{} B", bytes);
}

double rate(int64_t count, double seconds) noexcept {
  return count > 0 && seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
}

std::string stats_line(const AnswerStats& s) {
  return fmt::format("[ Prompt: {:.1f} t/s | Generation: {:.1f} t/s | ctx {}/{} ]",
                     rate(s.prompt_tokens, s.prompt_seconds),
                     rate(s.evaluated_tokens, s.answer_seconds), s.context_used, s.context_size);
}

std::string stats_block(const AnswerStats& s, int64_t peak_memory) {
  return fmt::format(
      "total duration:       {}\n"
      "load duration:        {}\n"
      "prompt eval count:    {} token(s)\n"
      "prompt eval duration: {}\n"
      "prompt eval rate:     {:.2f} tokens/s\n"
      "eval count:           {} token(s)\n"
      "eval duration:        {}\n"
      "eval rate:            {:.2f} tokens/s\n"
      "reused tokens:        {} token(s)\n"
      "context:              {}/{} tokens\n"
      "peak memory:          {}\n"
      "threads:              {}\n",
      format_duration(s.total_seconds), format_duration(s.load_seconds), s.prompt_tokens,
      format_duration(s.prompt_seconds), rate(s.prompt_tokens, s.prompt_seconds), s.answer_tokens,
      format_duration(s.answer_seconds), rate(s.evaluated_tokens, s.answer_seconds),
      s.reused_tokens, s.context_used, s.context_size, format_bytes(peak_memory), s.threads);
}

int64_t peak_resident_bytes() noexcept {
  rusage usage{};
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss * int64_t{1024} : 0;
}

}  // namespace nibble
