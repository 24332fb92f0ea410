// What an observer sees of matrices whose parts have inputs of their own (experts, heads), against
// the products made here from the model's floats; and the importance that is collected of it.
#include "runtime/engine/collect_imatrix.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "runtime/engine/engine.h"
#include "runtime/engine/session.h"
#include "runtime/model/model.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_family.h"

using namespace nibble;
using test::TempDir;

namespace {

using Rows = std::vector<std::vector<float>>;

/// Keeps all inputs by matrix and part, in order. For one thread.
class Keeper : public MatmulObserver {
 public:
  void input(const Matrix& w, const MatmulInput& in, int64_t begin, int64_t end) noexcept override {
    for (int64_t r = 0; r < in.rows; ++r) {
      const float* x = in.x + r * in.stride;
      seen[{w.data, in.part}].emplace_back(x + begin, x + end);
    }
  }
  std::map<std::pair<const void*, int64_t>, Rows> seen;
};

std::shared_ptr<const Engine> open_toy(const TempDir& dir, const char* arch, bool experts) {
  test::write_file(dir / "toy", test::toy_family(*find_arch(arch), experts));
  EngineOptions options;
  options.repack = false;
  options.isa = "reference";
  return Engine::open(dir / "toy", options);
}

/// Row r of w, which is F32, times x.
double product(const Matrix& w, int64_t r, const std::vector<float>& x) {
  const float* row = static_cast<const float*>(w.data) + r * w.cols;
  return std::inner_product(x.begin(), x.end(), row, 0.0);
}

/// How far a sum in floats, in any order, is from it at most.
double product_error(const Matrix& w, int64_t r, const std::vector<float>& x) {
  const float* row = static_cast<const float*>(w.data) + r * w.cols;
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += std::abs(double{x[i]} * double{row[i]});
  return static_cast<double>(w.cols + 1) * std::ldexp(sum, -24);
}

/// The inputs of all rows of a batch, a batch of one row among them.
Keeper inputs_of(const std::shared_ptr<const Engine>& engine) {
  Keeper keeper;
  SessionOptions how;
  how.n_ctx = 64;
  how.n_batch = 10;
  how.n_threads = 1;
  how.observer = &keeper;
  Session session(engine, how);
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 21; ++i) prompt.push_back(i * 37 % 266);
  session.evaluate_all(prompt, [](int64_t, int64_t, const float*) {});
  return keeper;
}

}  // namespace

TEST_CASE("an observer sees what each expert reads") {
  const TempDir dir;
  const auto engine = open_toy(dir, "llama", true);
  Keeper keeper = inputs_of(engine);
  const ExpertSpec& spec = engine->model().config.layers[0].experts;
  for (const LayerWeights& w : engine->model().weights.layers) {
    const Rows& all = keeper.seen[{w[Role::router].data, 0}];
    REQUIRE(all.size() == 21);
    std::vector<Rows> want(static_cast<size_t>(spec.n));
    for (const auto& x : all) {
      std::vector<std::pair<double, size_t>> scores;
      for (int64_t e = 0; e < spec.n; ++e) {
        scores.emplace_back(-product(w[Role::router], e, x), static_cast<size_t>(e));
      }
      std::sort(scores.begin(), scores.end());
      for (int64_t i = 0; i < spec.n_used; ++i) {
        want[scores[static_cast<size_t>(i)].second].push_back(x);
      }
    }
    for (int64_t e = 0; e < spec.n; ++e) {
      INFO("expert " << e);
      const Rows& gates = keeper.seen[{w[Role::experts_gate].data, e}];
      CHECK(gates == want[static_cast<size_t>(e)]);
      CHECK(gates == keeper.seen[{w[Role::experts_up].data, e}]);
      const Rows& downs = keeper.seen[{w[Role::experts_down].data, e}];
      REQUIRE(downs.size() == gates.size());
      for (size_t t = 0; t < downs.size(); ++t) {
        for (int64_t i = 0; i < spec.n_ff; ++i) {
          const int64_t row = e * spec.n_ff + i;
          const double gate = product(w[Role::experts_gate], row, gates[t]);
          const double up = product(w[Role::experts_up], row, gates[t]);
          const double want_down = gate / (1 + std::exp(-gate)) * up;
          // The slope of SiLU is 1.1 at most; the activation itself is good to 1e-6 of its value.
          const double error =
              1.1 * product_error(w[Role::experts_gate], row, gates[t]) * std::abs(up) +
              product_error(w[Role::experts_up], row, gates[t]) * std::abs(gate) +
              1e-6 * std::abs(want_down);
          CHECK(std::abs(double{downs[t][static_cast<size_t>(i)]} - want_down) <= error);
        }
      }
    }
  }
}

TEST_CASE("an observer sees what each head reads of latents' matrices") {
  const TempDir dir;
  const auto engine = open_toy(dir, "deepseek2", true);
  Keeper keeper = inputs_of(engine);
  const LayerSpec& spec = engine->model().config.layers[0];
  const int64_t dim = spec.latent.n_plain + spec.latent.n_rotated;
  for (const LayerWeights& w : engine->model().weights.layers) {
    const Rows& all = keeper.seen[{w[Role::attn_q_b].data, 0}];
    REQUIRE(all.size() == 21);
    for (int64_t h = 0; h < spec.n_head; ++h) {
      const Rows& queries = keeper.seen[{w[Role::attn_k_b].data, h}];
      REQUIRE(queries.size() == 21);
      for (size_t t = 0; t < 21; ++t) {
        for (int64_t i = 0; i < spec.latent.n_plain; ++i) {
          const double want = product(w[Role::attn_q_b], h * dim + i, all[t]);
          CHECK(std::abs(double{queries[t][static_cast<size_t>(i)]} - want) <=
                product_error(w[Role::attn_q_b], h * dim + i, all[t]));
        }
      }
      const Rows& values = keeper.seen[{w[Role::attn_v_b].data, h}];
      REQUIRE(values.size() == 21);
      CHECK(values[0].size() == static_cast<size_t>(spec.latent.rank));
    }
  }
}

TEST_CASE("importance of experts and heads: a matrix of the entry each, for any threads") {
  std::string text;
  for (int i = 0; i < 90; ++i) text += static_cast<char>('a' + i * i % 17);
  for (const char* arch : {"llama", "qwen2moe", "deepseek2"}) {
    INFO(arch);
    const TempDir dir;
    const auto engine = open_toy(dir, arch, true);
    CollectOptions options;
    options.chunk_size = 29;
    options.n_threads = 1;
    const Imatrix one = collect_imatrix(engine, text, options);
    options.n_threads = 3;
    const Imatrix three = collect_imatrix(engine, text, options);
    REQUIRE(one.entries.size() == three.entries.size());
    for (size_t i = 0; i < one.entries.size(); ++i) {
      CHECK(one.entries[i].name == three.entries[i].name);
      CHECK(one.entries[i].sums == three.entries[i].sums);
      CHECK(one.entries[i].counts == three.entries[i].counts);
    }
    const auto n_tokens = static_cast<float>(29 * one.chunk_count);
    int n_gates = 0;
    for (const ImatrixEntry& entry : one.entries) {
      const size_t at = entry.name.find("ffn_gate_exps");
      if (at == std::string::npos) continue;
      ++n_gates;
      REQUIRE(entry.n_matrices() == 5);
      // Three experts a token, and they read what the router reads.
      CHECK(std::accumulate(entry.counts.begin(), entry.counts.end(), 0.0f) == 3 * n_tokens);
      const ImatrixEntry* router = one.find(entry.name.substr(0, at) + "ffn_gate_inp.weight");
      REQUIRE(router != nullptr);
      for (size_t c = 0; c < 96; ++c) {
        double sum = 0;
        for (size_t e = 0; e < 5; ++e) sum += static_cast<double>(entry.sums[e * 96 + c]);
        // Six sums that were rounded to float.
        CHECK(sum == Approx(3 * static_cast<double>(router->sums[c])).epsilon(1e-6));
      }
      CHECK(one.find(entry.name.substr(0, at) + "ffn_down_exps.weight")->counts == entry.counts);
    }
    CHECK(n_gates >= 3);
    const bool latent = std::string_view(arch) == "deepseek2";
    for (const char* name : {"blk.1.attn_k_b.weight", "blk.1.attn_v_b.weight"}) {
      REQUIRE((one.find(name) != nullptr) == latent);
      if (latent) CHECK(one.find(name)->counts == std::vector<float>(4, n_tokens));
    }
    CHECK((one.find("blk.1.ffn_down_shexp.weight") != nullptr) == (std::string(arch) != "llama"));
  }
}
