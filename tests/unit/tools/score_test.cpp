// Perplexity: the cutting of a text against a plain restatement, the sums against closed forms.
#include "tools/score.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

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

namespace {

/// The plain twin in double precision.
double slow_log_sum_exp(const std::vector<float>& x) {
  const double highest = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const float v : x) sum += std::exp(static_cast<double>(v) - highest);
  return highest + std::log(sum);
}

}  // namespace

// The bound: a term e^d, d = x - highest, has the relative error |d| 2^-24 of the float subtraction
// and 3e-7 of the exponential. n equal terms at d weigh at most min(1, n e^d) of the sum, which
// for n = 2^18 makes |d| 2^-24 less than 7e-7 (at d = -12); in all less than 1e-6. As the error of
// the sum is relative, that of its logarithm is absolute.
TEST_CASE("log_sum_exp is that of double precision within 1e-6") {
  std::mt19937 random(7);
  for (const size_t n : {1u, 2u, 15u, 16u, 17u, 33u, 49152u, 262144u}) {
    for (const float spread : {0.0f, 0.01f, 1.0f, 4.0f, 30.0f, 400.0f}) {
      std::uniform_real_distribution<float> value(-spread, spread);
      std::vector<float> x(n);
      for (float& v : x) v = 12.5f + value(random);
      INFO(n << " logits, spread " << spread);
      CHECK(std::fabs(log_sum_exp(x) - slow_log_sum_exp(x)) < 1e-6);
    }
  }
  for (float d = 0; d < 40; d += 0.37f) {  // one likely token above a plain, each depth
    std::vector<float> x(262144, -d);
    x[100000] = 0;
    INFO("plain at " << -d);
    CHECK(std::fabs(log_sum_exp(x) - slow_log_sum_exp(x)) < 1e-6);
  }
}

TEST_CASE("log_sum_exp of infinite and undefined logits") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> x(40, -kInfinity);
  x[3] = 2.0f;
  CHECK(log_sum_exp(x) == Approx(2.0).margin(1e-12));  // forbidden tokens weigh nothing
  for (const size_t at : {5u, 39u}) {
    std::vector<float> bad(40, 1.0f);
    bad[at] = std::numeric_limits<float>::quiet_NaN();
    CHECK(std::isnan(log_sum_exp(bad)));
  }
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
