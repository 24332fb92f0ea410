// Double precision but for the exponentials of log_sum_exp: a vocabulary has up to 262144 tokens,
// and that many calls of std::exp take longer than the model does for the row. They are computed in
// float, kLanes side by side in loops without a branch that compilers vectorize, and summed in
// double.
#include "tools/score.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace nibble {
namespace {

constexpr size_t kLanes = 16;

/// e^x for x <= 0, relative error below 3e-7 (rounding included); at least e^-87, so that neither
/// the exponent nor the result leaves the range of normal floats. NaN stays NaN.
/// x = n ln 2 + r with |r| <= ln 2 / 2, e^x = 2^n e^r, e^r by its Taylor polynomial of degree 7
/// (remainder r^8 / 8! < 6e-9).
inline float exp_of_negative(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;  // 9 bits, so that n times it is exact
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: its last bit is worth 1
  x = x < -87.0f ? -87.0f : x;
  const float shifted = x * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // The low bits of `shifted` are n in two's complement.
  const uint32_t exponent = (std::bit_cast<uint32_t>(shifted) + 127u) << 23;
  return p * std::bit_cast<float>(exponent);
}

float highest_of(std::span<const float> x) {
  std::array<float, kLanes> best;
  best.fill(-std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + kLanes <= x.size(); i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) best[k] = best[k] < x[i + k] ? x[i + k] : best[k];
  }
  for (; i < x.size(); ++i) best[0] = best[0] < x[i] ? x[i] : best[0];
  return *std::max_element(best.begin(), best.end());
}

}  // namespace

double log_sum_exp(std::span<const float> logits) {
  const float highest = highest_of(logits);
  std::array<double, kLanes> sums{};
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) {
      sums[k] += static_cast<double>(exp_of_negative(logits[i + k] - highest));
    }
  }
  for (; i < logits.size(); ++i)
    sums[0] += static_cast<double>(exp_of_negative(logits[i] - highest));
  double sum = 0;
  for (const double s : sums) sum += s;
  return static_cast<double>(highest) + std::log(sum);
}

double negative_log_likelihood(std::span<const float> logits, int32_t token) {
  return log_sum_exp(logits) - static_cast<double>(logits[static_cast<size_t>(token)]);
}

std::vector<TokenScore> top_tokens(std::span<const float> logits, int64_t n) {
  std::vector<int32_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  const auto middle = order.begin() + std::clamp<int64_t>(n, 0, static_cast<int64_t>(order.size()));
  const auto logit = [&](int32_t id) { return logits[static_cast<size_t>(id)]; };
  std::partial_sort(order.begin(), middle, order.end(), [&](int32_t a, int32_t b) {
    return logit(a) > logit(b) || (logit(a) == logit(b) && a < b);
  });
  const double total = log_sum_exp(logits);
  std::vector<TokenScore> out;
  for (auto it = order.begin(); it != middle; ++it) {
    out.push_back({*it, logit(*it), std::exp(static_cast<double>(logit(*it)) - total)});
  }
  return out;
}

PerplexityChunks::PerplexityChunks(int64_t n_tokens, int64_t context, int64_t most_chunks)
    : n_ctx(context), n_chunks(n_tokens / context) {
  if (most_chunks > 0) n_chunks = std::min(n_chunks, most_chunks);
}

std::vector<int32_t> PerplexityChunks::tokens(std::span<const int32_t> text, int64_t i,
                                              int32_t bos) const {
  const auto part = text.subspan(static_cast<size_t>(i * n_ctx), static_cast<size_t>(n_ctx));
  std::vector<int32_t> out(part.begin(), part.end());
  if (bos >= 0) out.front() = bos;
  return out;
}

void PerplexityEstimate::add(double nll) noexcept {
  ++count_;
  sum_ += nll;
  sum_of_squares_ += nll * nll;
}

double PerplexityEstimate::perplexity() const noexcept {
  return count_ == 0 ? 0.0 : std::exp(sum_ / static_cast<double>(count_));
}

double PerplexityEstimate::error() const noexcept {
  if (count_ < 2) return 0.0;
  const double n = static_cast<double>(count_);
  const double mean = sum_ / n;
  const double variance = sum_of_squares_ / n - mean * mean;
  return variance <= 0 ? 0.0 : std::sqrt(variance / (n - 1)) * std::exp(mean);
}

}  // namespace nibble
