// Double precision throughout.
#include "tools/score.h"

#include <algorithm>
#include <cmath>

namespace nibble {

double log_sum_exp(std::span<const float> logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - highest);
  return highest + std::log(sum);
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
