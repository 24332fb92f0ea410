// A host that rounds upwards and flushes small numbers to zero gets the same model, logits and
// tokens, and keeps its settings.
#include "runtime/threads/float_environment.h"

#include <algorithm>

#include "runtime/engine/sampler.h"
#include "runtime/engine/session.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_model.h"

using namespace nibble;

namespace {

/// Upwards, and on x86 without denormals, for as long as it lives.
class OddHost {
 public:
  OddHost() {
    std::fegetenv(&before_);
    std::fesetround(FE_UPWARD);
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | kFlags);
#endif
  }
  ~OddHost() {
    std::fesetenv(&before_);
  }
  OddHost(const OddHost&) = delete;
  OddHost& operator=(const OddHost&) = delete;
  bool unchanged() const {
#if defined(__x86_64__)
    if ((__builtin_ia32_stmxcsr() & kFlags) != kFlags) return false;
#endif
    return std::fegetround() == FE_UPWARD;
  }

 private:
  static constexpr unsigned kFlags = 0x8040;  // flush to zero, denormals are zero
  std::fenv_t before_{};
};

struct Outcome {
  std::vector<float> logits;
  std::vector<int32_t> tokens;
  bool operator==(const Outcome&) const = default;
};

Outcome run(const std::string& path, int n_threads) {
  const auto engine = Engine::open(path);
  SessionOptions options;
  options.n_ctx = 128;
  options.n_threads = n_threads;
  Session session(engine, options);
  SamplerOptions sampling;
  sampling.random_seed = false;
  sampling.repeat_penalty = 1.1f;
  Sampler sampler(sampling, static_cast<int32_t>(engine->n_vocab()));
  std::vector<int32_t> prompt = {1};
  for (int32_t i = 0; i < 40; ++i) prompt.push_back(i * 37 % 266);
  session.sync(prompt);
  Outcome out;
  for (int i = 0; i < 20; ++i) {
    out.logits.insert(out.logits.end(), session.logits().begin(), session.logits().end());
    out.tokens.push_back(sampler.sample(session.logits()));
    session.append(out.tokens.back());
  }
  return out;
}

}  // namespace

TEST_CASE("a host's rounding and flushing change nothing and stay") {
  const test::TempDir dir;
  test::write_file(dir / "toy.gguf", test::toy_model("llama"));
  for (const int n_threads : {1, 3}) {
    const Outcome want = run(dir / "toy.gguf", n_threads);
    const OddHost host;
    REQUIRE(host.unchanged());
    const Outcome got = run(dir / "toy.gguf", n_threads);
    CHECK(host.unchanged());
    CHECK(got == want);
  }
}
