// Every family: converted, run on every kernel table, in one batch and row by row, against
// transformers; and what a file of it may not say.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "formats/tensor_file.h"
#include "quant/codec.h"
#include "runtime/engine/engine.h"
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
  for (const std::string& name : test::family_names()) {
    const TensorFile file = open_tensor_file(Family(name).converted());
    proven.insert(std::string(*file.meta().get_string("general.architecture")));
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
      const bool moe = arch->name.ends_with("moe");
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
        if (want.empty()) want = logits_of(engine, prompt.size(), 512, 1);
        CHECK(std::all_of(want.begin(), want.end(), [](float x) { return std::isfinite(x); }));
        CHECK(logits_of(engine, prompt.size(), 5, 1) == want);
        CHECK(logits_of(engine, prompt.size(), 1, 1) == want);
        // Threads: the first rows are the same, whatever follows.
        for (const int64_t n_batch : {1, 3}) {
          const std::vector<float> few = logits_of(engine, 4, n_batch, 2);
          CHECK(std::equal(few.begin(), few.end(), want.begin()));
        }
      }
    }
  }
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
