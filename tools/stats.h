#pragma once
// Figures of an answer: the dim line after it, and the block that /stats and --verbose print. The
// block has ollama's lines first, word for word, because scripts read them.
#include <cstdint>
#include <string>

namespace nibble {

struct AnswerStats {
  double total_seconds = 0;
  double load_seconds = 0;
  int64_t prompt_tokens = 0;  // evaluated, without the reused ones
  int64_t reused_tokens = 0;
  double prompt_seconds = 0;
  int64_t answer_tokens = 0;
  int64_t evaluated_tokens = 0;  // of the answer's; the rate is theirs
  double answer_seconds = 0;
  int64_t context_used = 0;
  int64_t context_size = 0;
  int threads = 0;
};

/// "1m2.5s", "4.538s", "12.3ms", "45µs"
std::string format_duration(double seconds);
/// "98.4 MB", "1.21 GB" (powers of ten)
std::string format_bytes(int64_t bytes);
/// Tokens a second; 0 if nothing was measured.
double rate(int64_t count, double seconds) noexcept;

/// "[ Prompt: 112.4 t/s | Generation: 14.2 t/s | ctx 1834/8192 ]"
std::string stats_line(const AnswerStats& stats);
/// peak_memory: bytes resident at most.
std::string stats_block(const AnswerStats& stats, int64_t peak_memory);

/// Bytes this process had resident at most.
int64_t peak_resident_bytes() noexcept;

}  // namespace nibble
