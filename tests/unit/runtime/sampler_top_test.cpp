// How many of the largest logits a sampler looks at: the others may be anything lower.
#include <algorithm>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "runtime/engine/sampler.h"
#include "tests/support/catch.h"

using namespace nibble;

TEST_CASE("logits below the n_top() largest make no difference") {
  std::mt19937 random(7);
  std::uniform_int_distribution<int> coarse(-20, 20);  // many equal logits
  int partial = 0;
  for (int round = 0; round < 400; ++round) {
    SamplerOptions o;
    o.random_seed = false;
    o.seed = random();
    o.temperature = round % 3 == 0 ? 0.0f : 0.7f;
    o.top_k = round % 5 == 0 ? 0 : static_cast<int32_t>(1 + random() % 12);
    if (round % 7 == 0) o.stages = {"top_p", "top_k", "temperature"};
    if (round % 11 == 0) o.repeat_penalty = 1.3f;
    if (round % 13 == 0) o.logit_bias = {{3, 4.0f}};
    std::vector<float> logits(64);
    for (float& x : logits) x = static_cast<float>(coarse(random)) / 4;
    Sampler whole(o, 64);
    Sampler part(o, 64);
    const std::vector<int32_t> history = {1, 2, 3, 3};
    whole.set_history(history);
    part.set_history(history);
    const int64_t k = whole.n_top();
    std::vector<float> largest = logits;
    if (k > 0) {
      ++partial;
      std::vector<float> sorted = logits;
      std::sort(sorted.begin(), sorted.end(), std::greater<>());
      for (float& x : largest) {
        if (x < sorted[static_cast<size_t>(k - 1)]) x = -std::numeric_limits<float>::infinity();
      }
    }
    for (int i = 0; i < 8; ++i) REQUIRE(whole.sample(logits) == part.sample(largest));
  }
  CHECK(partial > 200);
  SamplerOptions o;
  CHECK(Sampler(o, 64).n_top() == 40);
  o.top_k = 0;
  CHECK(Sampler(o, 64).n_top() == 0);
  o.temperature = 0;
  CHECK(Sampler(o, 64).n_top() == 1);
  o.presence_penalty = 0.5f;
  CHECK(Sampler(o, 64).n_top() == 0);
}
