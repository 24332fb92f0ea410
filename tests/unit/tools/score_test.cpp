// Perplexity: the cutting of a text against a plain restatement, the sums against closed forms.
#include "tools/score.h"

#include <cmath>

#include "tests/support/catch.h"

using namespace nibble;

TEST_CASE("chunks are cut as llama-perplexity cuts them") {
  std::vector<int32_t> text(21);
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<int32_t>(100 + i);
  const PerplexityChunks chunks(21, 8, 0);
  CHECK(chunks.n_chunks == 2);  // the 5 tokens left over are not used
  CHECK(chunks.first_scored() == 4);
  CHECK(chunks.last_scored() == 6);  // predicts the chunk's last token
  CHECK(chunks.tokens(text, 1, -1) == std::vector<int32_t>{108, 109, 110, 111, 112, 113, 114, 115});
  CHECK(chunks.tokens(text, 1, 1).front() == 1);
  CHECK(chunks.tokens(text, 1, 1).back() == 115);
  CHECK(PerplexityChunks(21, 8, 1).n_chunks == 1);
  CHECK(PerplexityChunks(7, 8, 0).n_chunks == 0);
  // An odd context: llama.cpp scores n_ctx - n_ctx/2 - 1 positions.
  const PerplexityChunks odd(100, 9, 0);
  CHECK(odd.last_scored() - odd.first_scored() + 1 == 9 - 4 - 1);
}

TEST_CASE("likelihoods") {
  const std::vector<float> even(4, 1000.0f);  // would overflow without the maximum taken out
  CHECK(negative_log_likelihood(even, 2) == Approx(std::log(4.0)));
  const std::vector<float> logits = {0.0f, std::log(3.0f)};
  CHECK(negative_log_likelihood(logits, 1) == Approx(-std::log(0.75)).margin(1e-7));
}

TEST_CASE("the estimate and its error") {
  PerplexityEstimate e;
  CHECK(e.perplexity() == 0);
  e.add(1.0);
  CHECK(e.error() == 0);
  e.add(3.0);
  CHECK(e.count() == 2);
  CHECK(e.perplexity() == Approx(std::exp(2.0)));
  // variance 1 over n - 1 = 1: standard error 1, times the perplexity
  CHECK(e.error() == Approx(std::exp(2.0)));
}

TEST_CASE("likeliest tokens, ties by id") {
  const auto top = top_tokens(std::vector<float>{1, 5, 5, 0}, 3);
  REQUIRE(top.size() == 3);
  CHECK(top[0].id == 1);
  CHECK(top[1].id == 2);
  CHECK(top[2].id == 0);
  CHECK(top[0].probability == Approx(std::exp(5.0) / (2 * std::exp(5.0) + std::exp(1.0) + 1)));
  CHECK(top_tokens(std::vector<float>{1, 2}, 10).size() == 2);
}
