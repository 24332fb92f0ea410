// Ranks order tokens as their scores do, whichever way they are found.
#include "runtime/text/score_ranks.h"

#include <limits>
#include <random>

#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tests/support/toy_vocab.h"

namespace nibble::test {
namespace {

ScoreRanks ranks_of(const std::vector<float>& scores) {
  ToyMetadata meta;
  meta.add_numbers("scores", MetaType::f32, scores);
  return read_score_ranks(meta.get(), scores.size(), nullptr);
}

void check_order(const std::vector<float>& scores) {
  const ScoreRanks ranks = ranks_of(scores);
  REQUIRE(ranks.of.size() == scores.size());
  for (size_t a = 0; a < scores.size(); ++a) {
    CHECK((ranks.of[a] >= 0 && ranks.of[a] < ranks.count));
    for (size_t b = 0; b < scores.size(); ++b) {
      REQUIRE((scores[a] > scores[b]) == (ranks.of[a] < ranks.of[b]));
    }
  }
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("ranks follow scores") {
  check_order({0});
  check_order({0, -1, -2, -3});
  check_order({-1000, -1000, 0, -0.0f, -1, -7, 3});
  check_order({-1.5f, 2.25f, -1.5f, 0, -0.0f, 1e-40f, -1e-40f});
  check_order({kInfinity, -kInfinity, 0, 3e38f, -3e38f, 16777216, -16777216, 1});
  check_order({0, 1e7f, -1e7f});  // whole, but too far apart to count
  std::mt19937 random(1);
  for (const float unit : {1.0f, 0.25f}) {
    std::vector<float> scores;
    for (int i = 0; i < 300; ++i) scores.push_back(unit * static_cast<float>(random() % 500));
    check_order(scores);
  }
}

TEST_CASE("memory for ranks is bounded by the vocabulary") {
  CHECK(ranks_of({0, 16777216, -16777216}).count == 3);
  std::vector<float> scores(100, -5.0f);
  scores[3] = -4000;
  CHECK(ranks_of(scores).count <= 4 * 100 + 4096);
}

TEST_CASE("scores that are none are refused") {
  ToyMetadata none;
  CHECK_THROWS_AS(read_score_ranks(none.get(), 1, nullptr), Error);
  CHECK_THROWS_AS(ranks_of({0, std::numeric_limits<float>::quiet_NaN()}), Error);
  ToyMetadata few;
  few.add_numbers("scores", MetaType::f32, std::vector<float>{0, 1});
  CHECK_THROWS_AS(read_score_ranks(few.get(), 3, nullptr), Error);
  ToyMetadata wide;
  wide.add_numbers("scores", MetaType::f64, std::vector<double>{-1, 0.5, -1});
  CHECK(read_score_ranks(wide.get(), 3, nullptr).of == std::vector<int32_t>{1, 0, 1});
}

}  // namespace nibble::test
