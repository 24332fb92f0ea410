// An output head that is read in part against one that is read whole: the largest logits are the
// same, to the bit.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "runtime/engine/generate.h"
#include "tests/support/catch.h"
#include "tests/support/models.h"

using namespace nibble;

namespace {

// The k largest, lowest id first among equals.
std::vector<int32_t> largest(std::span<const float> logits, int64_t k) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::partial_sort(ids.begin(), ids.begin() + k, ids.end(), [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)];
    const float y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  ids.resize(static_cast<size_t>(k));
  return ids;
}

// Both sessions follow the whole one's greedy choice. Returns the least share of logits that were
// worked out.
double compare(const std::shared_ptr<const Engine>& engine, int64_t k, int n_tokens) {
  SessionOptions options;
  options.n_ctx = 256;
  Session whole(engine, options);
  Session partial(engine, options);
  partial.want_top(k);
  const auto prompt = engine->tokenizer().encode("The capital of France is", true, false);
  whole.sync(prompt);
  partial.sync(prompt);
  double least_share = 1;
  for (int i = 0; i < n_tokens; ++i) {
    const std::span<const float> want = whole.logits();
    const std::span<const float> got = partial.logits();
    REQUIRE(got.size() == want.size());
    int64_t there = 0;
    for (size_t j = 0; j < got.size(); ++j) {
      if (std::isinf(got[j]) && got[j] < 0) continue;
      ++there;
      REQUIRE(std::memcmp(&got[j], &want[j], sizeof(float)) == 0);
    }
    least_share =
        std::min(least_share, static_cast<double>(there) / static_cast<double>(got.size()));
    REQUIRE(largest(got, k) == largest(want, k));
    const int32_t next = largest(want, 1)[0];
    whole.append(next);
    partial.append(next);
  }
  return least_share;
}

void check_model(const char* name) {
  NIBBLE_MODEL_OR_SKIP(path, name);
  int count = 0;
  const KernelTable* const* tables = all_kernels(&count);
  for (int i = 0; i < count; ++i) {
    if (!tables[i]->supported() || tables[i]->head_bounds == nullptr) continue;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    const int n_tokens = 2;
#else
    const int n_tokens = std::string(tables[i]->name) == "baseline" ? 2 : 12;
#endif
    EngineOptions options;
    options.isa = tables[i]->name;
    const auto engine = Engine::open(path, options);
    INFO(name << " on " << tables[i]->name);
    CHECK(compare(engine, 1, n_tokens) < 0.5);
    compare(engine, 40, n_tokens);
  }
}

}  // namespace

TEST_CASE("the largest logits of SmolLM2 without reading all of its head", "[model][head]") {
  check_model(test::kSmolLM2);
}

TEST_CASE("the largest logits of Gemma 3 without reading all of its head", "[model][head]") {
  check_model(test::kGemma3);
}

TEST_CASE("logits that are too few for what is wanted next are gone", "[model][head]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kGemma3);
  SessionOptions options;
  options.n_ctx = 64;
  Session session(Engine::open(path), options);
  if (session.engine().kernels().head_bounds == nullptr) return;
  const auto prompt = session.engine().tokenizer().encode("Once upon a", true, false);
  session.want_top(1);
  session.sync(prompt);
  CHECK_FALSE(session.logits().empty());
  session.want_top(1);
  CHECK_FALSE(session.logits().empty());
  session.want_top(0);
  CHECK(session.logits().empty());
  const SyncResult again = session.sync(prompt);
  CHECK(again.n_evaluated == 1);
  for (const float x : session.logits()) REQUIRE(std::isfinite(x));
}
