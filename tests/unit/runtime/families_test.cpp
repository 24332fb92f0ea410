// Every family: converted, run on every kernel table, in one batch and row by row, against
// transformers; and what a file of it may not say.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "formats/tensor_file.h"
#include "quant/codec.h"
#include "quant/stored_type.h"
#include "runtime/convert/pack_file.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/hidden_states.h"
#include "runtime/engine/session.h"
#include "runtime/model/arch.h"
#include "tests/support/catch.h"
#include "tests/support/families.h"
#include "tests/support/toy_family.h"

using namespace nibble;
using Catch::Matchers::Contains;
using test::Family;

namespace {

// The project's bound for float32. Logits here are up to 10 and sums of at most 240 products, over
// four layers: float32 in another order moves them by about 5e-5.
constexpr double kBound = 1e-3;

Session session_of(const std::shared_ptr<const Engine>& engine, const Family& family,
                   int64_t n_batch, int n_threads) {
  SessionOptions options;
  options.n_ctx = family.n_ctx;
  options.n_batch = n_batch;
  options.n_threads = n_threads;
  options.kv_type = KvType::f32;
  return Session(engine, options);
}

std::shared_ptr<const Engine> engine_of(const std::string& path, const char* isa) {
  EngineOptions options;
  options.isa = isa;
  return Engine::open(path, options);
}

/// All logits of a prompt: [prompt, n_vocab].
std::vector<float> all_logits(Session& session, const std::vector<int32_t>& prompt) {
  const auto n_vocab = static_cast<size_t>(session.engine().n_vocab());
  std::vector<float> out;
  session.evaluate_all(prompt, [&](int64_t, int64_t n, const float* logits) {
    out.insert(out.end(), logits, logits + static_cast<size_t>(n) * n_vocab);
  });
  return out;
}

double worst_of(const std::vector<float>& got, const Family& family, size_t n_vocab) {
  REQUIRE(got.size() == family.prompt.size() * n_vocab);
  double worst = 0;
  for (size_t i = 0; i < family.logits.size(); ++i) {
    const size_t row = i / Family::kColumns, column = i % Family::kColumns;
    const double delta = double{got[row * n_vocab + column]} - double{family.logits[i]};
    worst = std::max(worst, std::isnan(delta) ? 1e9 : std::abs(delta));
  }
  return worst;
}

}  // namespace

TEST_CASE("every architecture has a family that proves it") {
  std::set<std::string> proven;
  for (const bool encoders : {false, true}) {
    for (const std::string& name : test::family_names(encoders)) {
      const TensorFile file = open_tensor_file(Family(name).converted());
      proven.insert(std::string(*file.meta().get_string("general.architecture")));
    }
  }
  proven.insert("gemma3");  // tests/fixtures/convert
  for (const Arch* arch : all_archs()) {
    INFO(arch->name);
    CHECK(proven.count(std::string(arch->name)) == 1);
  }
}

TEST_CASE("families give the logits and greedy tokens of transformers on every kernel table") {
  int count = 0;
  const KernelTable* const* tables = all_kernels(&count);
  for (const std::string& name : test::family_names()) {
    const Family family(name);
    const std::string path = family.converted(DType::F32);
    for (int i = 0; i < count; ++i) {
      if (!tables[i]->supported()) continue;
      INFO(name << " on " << tables[i]->name);
      const auto engine = engine_of(path, tables[i]->name);
      const auto n_vocab = static_cast<size_t>(engine->n_vocab());
      Session whole = session_of(engine, family, 512, 1);
      const std::vector<float> logits = all_logits(whole, family.prompt);
      CHECK(worst_of(logits, family, n_vocab) <= kBound);
      // Row by row on every table; what threads share on the best one.
      const bool best = tables[i] == best_kernels();
      Session rows = session_of(engine, family, 1, 1);
      CHECK(all_logits(rows, family.prompt) == logits);
      if (best) {
        Session sevens = session_of(engine, family, 7, 2);
        CHECK(all_logits(sevens, family.prompt) == logits);
      }
      if (!best && tables[i] != kernels_named("reference")) continue;
      Session session = session_of(engine, family, 512, 1);
      session.sync(family.prompt);
      for (const int32_t token : family.greedy) {
        const std::span<const float> row = session.logits();
        REQUIRE(std::max_element(row.begin(), row.end()) - row.begin() == token);
        session.append(token);
      }
    }
  }
}

TEST_CASE("every architecture gives the same packed and in the file's layout") {
  const test::ToyEncode q8 = [](const std::vector<float>& x, int64_t cols, uint32_t& type) {
    type = static_cast<uint32_t>(DType::Q8_0);
    std::string bytes;
    std::string row(static_cast<size_t>(row_bytes(DType::Q8_0, cols)), '\0');
    for (size_t at = 0; at < x.size(); at += static_cast<size_t>(cols)) {
      quantize_row(DType::Q8_0, x.data() + at, cols, row.data());
      bytes += row;
    }
    return bytes;
  };
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 21; ++i) prompt.push_back(i * 37 % 266);
  for (const Arch* arch : all_archs()) {
    for (const bool experts : {false, true}) {
      const bool moe = test::has_experts_only(*arch);
      if (moe ? !experts : experts && arch->name != "llama") continue;
      INFO(arch->name << (experts ? " with experts" : ""));
      const test::TempDir dir;
      test::write_file(dir / "toy.gguf", test::toy_family(*arch, experts, q8));
      std::vector<float> want;
      const auto logits_of = [&](const auto& engine, size_t n, int64_t n_batch, int n_threads) {
        SessionOptions how;
        how.n_ctx = 64;
        how.n_batch = n_batch;
        how.n_threads = n_threads;
        Session session(engine, how);
        return all_logits(session, {prompt.begin(), prompt.begin() + static_cast<long>(n)});
      };
      for (const bool repack : {false, true}) {
        EngineOptions options;
        options.repack = repack;
        options.n_threads = 1;
        const auto engine = Engine::open(dir / "toy.gguf", options);
        if (!engine->model().config.causal) break;  // its rows need all others
        if (want.empty()) want = logits_of(engine, prompt.size(), 512, 1);
        REQUIRE_FALSE(want.empty());
        CHECK(std::all_of(want.begin(), want.end(), [](float x) { return std::isfinite(x); }));
        CHECK(logits_of(engine, prompt.size(), 5, 1) == want);
        CHECK(logits_of(engine, prompt.size(), 1, 1) == want);
        if (repack) {
          const TensorFile plain = open_tensor_file(dir / "toy.gguf");
          pack_file(plain, dir / "packed.gguf", {});
          const TensorFile packed = open_tensor_file(dir / "packed.gguf");
          for (const TensorInfo& info : packed.tensors()) {
            if (info.name.find("_exps.weight") == std::string::npos) continue;
            CHECK(find_stored_type(info.type_id)->packed);
          }
          CHECK(logits_of(Engine::open(dir / "packed.gguf", options), 7, 512, 1) ==
                logits_of(engine, 7, 512, 1));
          unpack_file(packed, dir / "back.gguf", {});
          CHECK(test::read_file(dir / "back.gguf") == test::read_file(dir / "toy.gguf"));
        }
        // Threads: the first rows are the same, whatever follows.
        for (const int64_t n_batch : {1, 3}) {
          const std::vector<float> few = logits_of(engine, 4, n_batch, 2);
          CHECK(std::equal(few.begin(), few.end(), want.begin()));
        }
      }
    }
  }
}

TEST_CASE("encoders give the hidden states of transformers, alone and in company") {
  int count = 0;
  const KernelTable* const* tables = all_kernels(&count);
  for (const std::string& name : test::family_names(true)) {
    const Family family(name);
    const std::string path = family.converted(DType::F32);
    for (int i = 0; i < count; ++i) {
      if (!tables[i]->supported()) continue;
      INFO(name << " on " << tables[i]->name);
      const auto engine = engine_of(path, tables[i]->name);
      const std::vector<int32_t> alone[] = {family.prompt};
      HiddenStates hidden(engine, 1);
      const std::span<const float> got = hidden.of(alone);
      REQUIRE(got.size() == family.logits.size());
      double worst = 0;
      for (size_t k = 0; k < got.size(); ++k) {
        worst = std::max(worst, std::abs(double{got[k]} - double{family.logits[k]}));
      }
      CHECK(worst <= kBound);
      const std::vector<int32_t> three[] = {{5, 6, 7}, family.prompt, {8}};
      HiddenStates together(engine, 2);
      const std::span<const float> all = together.of(three);
      CHECK(std::equal(got.begin(), got.end(), all.begin() + 3 * engine->n_embd()));
    }
    const auto engine = engine_of(path, "");
    CHECK_THROWS_WITH(Session(engine, {}), Contains("encoder"));
    HiddenStates hidden(engine, 1);
    const auto most = static_cast<size_t>(hidden.most_tokens());
    const std::vector<int32_t> longest[] = {std::vector<int32_t>(most, 9)};
    CHECK(hidden.of(longest).size() == most * static_cast<size_t>(engine->n_embd()));
    const std::vector<int32_t> longer[] = {std::vector<int32_t>(most + 1, 9)};
    CHECK_THROWS_WITH(hidden.of(longer),
                      Contains(std::to_string(most)) && Contains(std::to_string(most + 1)));
    const std::vector<int32_t> none[] = {{}},
                               unknown[] = {{static_cast<int32_t>(engine->n_vocab())}};
    CHECK_THROWS_WITH(hidden.of(none), Contains("at least one"));
    CHECK_THROWS_WITH(hidden.of(unknown), Contains("token"));
  }
}

TEST_CASE("hidden states of a decoder do not depend on what follows") {
  const Family family("qwen2");
  const auto engine = engine_of(family.converted(DType::F32), "");
  HiddenStates hidden(engine, 1);
  const std::vector<int32_t> whole[] = {family.prompt};
  const std::span<const float> got = hidden.of(whole);
  const std::vector<float> want(got.begin(), got.end());
  const std::vector<int32_t> first[] = {{family.prompt.begin(), family.prompt.begin() + 5}};
  const std::span<const float> five = hidden.of(first);
  REQUIRE(five.size() == 5 * static_cast<size_t>(engine->n_embd()));
  CHECK(std::equal(five.begin(), five.end(), want.begin()));
}

TEST_CASE("sentence-transformers say how a vector is made of hidden states") {
  const Family family("bert");
  std::filesystem::create_directory(family.dir / "1_Pooling");
  const auto pooling = [&](const std::string& modes, const std::string& module) {
    test::write_file(family.dir / "1_Pooling/config.json", "{" + modes + "}");
    test::write_file(family.dir / "modules.json", R"([{"type": "a.b.)" + module + R"("}])");
    const TensorFile file = open_tensor_file(family.converted());
    return file.meta().get_int("bert.pooling_type");
  };
  const std::string mean = R"("pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true)";
  CHECK(pooling(mean, "Pooling") == 1);
  CHECK(pooling(R"("pooling_mode_cls_token": true)", "Normalize") == 2);
  CHECK(pooling(R"("pooling_mode_lasttoken": true)", "Transformer") == 3);
  CHECK(pooling("", "Pooling") == std::nullopt);
  CHECK_THROWS_WITH(pooling(R"("pooling_mode_max_tokens": true)", "Pooling"),
                    Contains("pooling_mode_max_tokens"));
  CHECK_THROWS_WITH(pooling(mean + R"(, "pooling_mode_lasttoken": true)", "Pooling"),
                    Contains("pooling_mode_lasttoken"));
  CHECK_THROWS_WITH(pooling(mean, "Dense"), Contains("a.b.Dense"));
}

TEST_CASE("what no family may have is refused by name") {
  const Family family("qwen2");
  const std::string path = family.converted(DType::F32);
  const TensorFile file = open_tensor_file(path);
  const auto refusal = [&](const std::string& from, const std::string& to) {
    std::string bytes = test::read_file(path);
    REQUIRE(from.size() == to.size());
    const size_t at = bytes.find(from);
    REQUIRE(at != std::string::npos);
    bytes.replace(at, from.size(), to);
    test::write_file(family.out / "changed.gguf", bytes);
    try {
      Engine::open(family.out / "changed.gguf", {});
    } catch (const Error& error) {
      return error.message();
    }
    return std::string("opened");
  };
  CHECK_THAT(refusal("blk.1.attn_k.bias", "blk.1.attn_x.bias"), Contains("blk.1.attn_x.bias"));
  CHECK_THAT(refusal("blk.1.ffn_up.weight", "blk.1.ffn_up.woight"),
             Contains("blk.1.ffn_up.weight"));
  CHECK_THAT(refusal("qwen2.block_count", "qwen2.block_caunt"), Contains("qwen2.block_count"));
}

TEST_CASE("a table of positions bounds the context") {
  const Family family("gpt2");
  const auto engine = engine_of(family.converted(), "");
  SessionOptions options;
  options.n_ctx = 97;
  CHECK_THROWS_WITH(Session(engine, options), Contains("at most 96") && Contains("97"));
  options.n_ctx = 96;
  CHECK_NOTHROW(Session(engine, options));
}
