#pragma once
// Probabilities from logits, and the sums behind a perplexity.
#include <cstdint>
#include <span>
#include <vector>

namespace nibble {

/// log(sum(exp(x))), within 1e-6 (the sum relatively) for up to 2^18 logits. NaN if there is one.
double log_sum_exp(std::span<const float> logits);

/// -log of the probability of one token.
double negative_log_likelihood(std::span<const float> logits, int32_t token);

struct TokenScore {
  int32_t id;
  float logit;
  double probability;
};
/// The n likeliest tokens, likeliest first, ties by id.
std::vector<TokenScore> top_tokens(std::span<const float> logits, int64_t n);

/// How llama.cpp's llama-perplexity cuts a text: chunks of n_ctx tokens, one after the other; the
/// rest at the end is not used. In each, the first token is replaced by BOS if the model adds one,
/// and the logits at positions n_ctx/2 .. n_ctx-2 are scored on the token that follows each.
struct PerplexityChunks {
  int64_t n_ctx;
  int64_t n_chunks;
  PerplexityChunks(int64_t n_tokens, int64_t context, int64_t most_chunks);  // most 0: all
  int64_t first_scored() const noexcept { return n_ctx / 2; }
  int64_t last_scored() const noexcept { return n_ctx - 2; }  // inclusive
  /// Tokens of chunk i. bos -1: leave the first token.
  std::vector<int32_t> tokens(std::span<const int32_t> text, int64_t i, int32_t bos) const;
};

/// Running mean of negative log likelihoods and its standard error, as a perplexity.
class PerplexityEstimate {
 public:
  void add(double negative_log_likelihood) noexcept;
  int64_t count() const noexcept { return count_; }
  double perplexity() const noexcept;
  double error() const noexcept;  // of the perplexity; 0 with fewer than two scores

 private:
  int64_t count_ = 0;
  double sum_ = 0;
  double sum_of_squares_ = 0;
};

}  // namespace nibble
