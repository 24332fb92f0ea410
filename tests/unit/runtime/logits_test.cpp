// The whole model against transformers in float32 (tests/oracle/logits.py, tests/fixtures/logits).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/engine/session.h"
#include "tests/support/catch.h"
#include "tests/support/models.h"

using namespace nibble;

namespace {

// The project's bound for slow kernels with float32 keys and values. Logits are sums of 576 or 640
// products of magnitude up to 10; float32 in another order moves them by about 1e-4.
constexpr double kBound = 2e-3;

// A sanitizer looks for wrong accesses, not for wrong numbers, and makes the reference kernels take
// minutes a prompt: there the shortest prompt goes through them, and a few greedy tokens.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kMaxPrompt = 8, kMaxGreedy = 3;
#else
constexpr size_t kMaxPrompt = 1024, kMaxGreedy = 1024;
#endif

std::string fixture(const std::string& name) {
  std::ifstream in(std::string(NIBBLE_SOURCE_DIR) + "/tests/fixtures/logits/" + name,
                   std::ios::binary);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

double log_sum_exp(std::span<const float> x) {
  const double max = double{*std::max_element(x.begin(), x.end())};
  double sum = 0;
  for (const float v : x) sum += std::exp(double{v} - max);
  return max + std::log(sum);
}

Session reference_session(const std::string& path, int64_t n_ctx) {
  EngineOptions engine_options;
  engine_options.isa = "reference";
  SessionOptions options;
  options.n_ctx = n_ctx;
  options.kv_type = KvType::f32;
  return Session(Engine::open(path, engine_options), options);
}

// Largest difference over the kept logits of one row. Each end of the 20 largest is checked too:
// nothing else of the vocabulary may rise above them.
double compare_row(const nlohmann::json& row, const std::vector<int32_t>& vocab_ids,
                   std::span<const float> logits) {
  double worst = 0;
  const auto check = [&](int32_t id, const nlohmann::json& expected) {
    const double got = double{logits[static_cast<size_t>(id)]};
    REQUIRE(std::isfinite(got));
    worst = std::max(worst, std::abs(got - expected.get<double>()));
  };
  for (size_t i = 0; i < vocab_ids.size(); ++i) check(vocab_ids[i], row["logits"][i]);
  const auto top_ids = row["top_ids"].get<std::vector<int32_t>>();
  for (size_t i = 0; i < top_ids.size(); ++i) check(top_ids[i], row["top_logits"][i]);
  const double twentieth = row["top_logits"].back().get<double>();
  int64_t above = 0;
  for (const float x : logits) above += double{x} > twentieth + kBound ? 1 : 0;
  CHECK(above < static_cast<int64_t>(top_ids.size()));
  return std::max(worst, std::abs(log_sum_exp(logits) - row["log_sum_exp"].get<double>()));
}

void check_prompts(const std::string& path, const std::string& fixture_name, bool long_ones) {
  const auto data = nlohmann::json::parse(fixture(fixture_name));
  const auto vocab_ids = data["vocab_ids"].get<std::vector<int32_t>>();
  Session session = reference_session(path, 1024);
  REQUIRE(session.engine().n_vocab() == data["n_vocab"].get<int64_t>());
  double largest = 0;
  for (const auto& prompt : data["prompts"]) {
    const auto name = prompt["name"].get<std::string>();
    if ((name == "long") != long_ones) continue;
    const auto ids = prompt["ids"].get<std::vector<int32_t>>();
    if (ids.size() > kMaxPrompt) continue;
    session.rewind(0);
    for (const auto& row : prompt["rows"]) {
      const auto n = row["row"].get<size_t>() + 1;
      session.sync(std::span(ids).first(n));
      const double worst = compare_row(row, vocab_ids, session.logits());
      INFO(name << ", row " << n - 1 << ": " << worst);
      CHECK(worst <= kBound);
      largest = std::max(largest, worst);
    }
  }
  WARN(fixture_name << ", reference kernels: largest difference " << largest);
}

// Greedy continuation by the reference kernels, as far as the reference's own choice is clear:
// two logits of opposite error may differ by twice the bound.
void check_greedy(const std::string& path, const std::string& fixture_name) {
  const auto data = nlohmann::json::parse(fixture(fixture_name));
  Session session = reference_session(path, 1024);
  for (const auto& prompt : data["prompts"]) {
    const auto ids = prompt["ids"].get<std::vector<int32_t>>();
    if (prompt["greedy"].empty() || ids.size() > kMaxPrompt) continue;
    INFO(prompt["name"].get<std::string>());
    session.sync(ids);
    for (size_t i = 0; i < std::min(prompt["greedy"].size(), kMaxGreedy); ++i) {
      if (prompt["greedy_margins"][i].get<double>() <= 2 * kBound) break;
      const std::span<const float> logits = session.logits();
      const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
      REQUIRE(best == prompt["greedy"][i].get<int64_t>());
      session.append(static_cast<int32_t>(best));
    }
  }
}

// tests/oracle/logits.py describes the layout.
struct KlFixture {
  struct Row {
    uint32_t window;
    uint32_t row;
    float rest;
    std::vector<int32_t> ids;
    std::vector<float> log_probs;
  };
  std::vector<std::vector<int32_t>> windows;
  std::vector<Row> rows;
};

KlFixture read_kl(const std::string& name) {
  const std::string bytes = fixture(name);
  size_t at = 4;
  const auto read = [&](auto* to, size_t n) {
    REQUIRE(n * sizeof *to <= bytes.size() - at);
    std::memcpy(to, bytes.data() + at, n * sizeof *to);
    at += n * sizeof *to;
  };
  REQUIRE(bytes.substr(0, 4) == "NKL1");
  uint32_t head[4];  // windows, n_ctx, rows, top
  read(head, 4);
  KlFixture out;
  out.windows.assign(head[0], std::vector<int32_t>(head[1]));
  for (auto& window : out.windows) read(window.data(), window.size());
  out.rows.resize(head[2]);
  for (auto& row : out.rows) {
    read(&row.window, 1);
    read(&row.row, 1);
    read(&row.rest, 1);
    row.ids.resize(head[3]);
    row.log_probs.resize(head[3]);
    read(row.ids.data(), head[3]);
    read(row.log_probs.data(), head[3]);
  }
  REQUIRE(at == bytes.size());
  return out;
}

// Sum of p log(p/q) over the reference's 256 likeliest tokens and one bucket for all others: a
// lower bound of the KL divergence. Over all 765 scored rows the difference is what
// tests/oracle/perplexity.py shows.
double divergence(const KlFixture::Row& row, std::span<const float> logits) {
  const double normalizer = log_sum_exp(logits);
  double kl = 0, q_sum = 0;
  for (size_t i = 0; i < row.ids.size(); ++i) {
    const double log_p = double{row.log_probs[i]};
    const double log_q = double{logits[static_cast<size_t>(row.ids[i])]} - normalizer;
    kl += std::exp(log_p) * (log_p - log_q);
    q_sum += std::exp(log_q);
  }
  const double rest = double{row.rest};
  if (rest > 0) kl += rest * (std::log(rest) - std::log(std::max(1 - q_sum, 1e-12)));
  return kl;
}

// The project's bounds for the fast kernels with their own type of keys and values.
void check_divergence(const std::string& path, const std::string& fixture_name) {
  const KlFixture data = read_kl(fixture_name);
  SessionOptions options;
  options.n_ctx = 512;
  Session session(Engine::open(path), options);
  INFO("kernels " << session.engine().kernels().name);
  const auto n_vocab = static_cast<size_t>(session.engine().n_vocab());
  double sum = 0;
  int same = 0;
  for (uint32_t window = 0; window < data.windows.size(); ++window) {
    session.evaluate_all(data.windows[window], [&](int64_t first, int64_t n, const float* logits) {
      for (const auto& row : data.rows) {
        const int64_t at = int64_t{row.row} - first;
        if (row.window != window || at < 0 || at >= n) continue;
        const std::span<const float> got(logits + static_cast<size_t>(at) * n_vocab, n_vocab);
        sum += divergence(row, got);
        same += std::max_element(got.begin(), got.end()) - got.begin() == row.ids[0] ? 1 : 0;
      }
    });
  }
  const auto n = static_cast<double>(data.rows.size());
  WARN(fixture_name << ", kernels " << session.engine().kernels().name << ": mean KL " << sum / n
                    << ", same argmax " << 100 * same / n << " % of " << n << " rows");
  CHECK(sum / n <= 0.0046);
  CHECK(same / n >= 0.96);
}

}  // namespace

TEST_CASE("reference logits of SmolLM2 are transformers' logits", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  check_prompts(path, "smollm2.json", false);
}

TEST_CASE("reference logits of Gemma 3 are transformers' logits", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kGemma3);
  check_prompts(path, "gemma3.json", false);
}

TEST_CASE("reference logits over 320 tokens of SmolLM2", "[model][slow]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  check_prompts(path, "smollm2.json", true);
}

TEST_CASE("reference logits past the window of Gemma 3", "[model][slow]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kGemma3);
  check_prompts(path, "gemma3.json", true);
}

TEST_CASE("greedy continuations of SmolLM2 are transformers'", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  check_greedy(path, "smollm2.json");
}

TEST_CASE("greedy continuations of Gemma 3 are transformers'", "[model][slow]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kGemma3);
  check_greedy(path, "gemma3.json");
}

TEST_CASE("fast kernels of SmolLM2 stay near the reference", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  check_divergence(path, "smollm2.kl");
}

TEST_CASE("fast kernels of Gemma 3 stay near the reference", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kGemma3);
  check_divergence(path, "gemma3.kl");
}
