// The generation loop on the real SmolLM2: what it emits, keeps and reports, however it ends.
#include "runtime/engine/generate.h"

#include <algorithm>
#include <string>
#include <vector>

#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tests/support/models.h"

using namespace nibble;

namespace {

SamplerOptions greedy() {
  SamplerOptions o;
  o.temperature = 0;
  o.random_seed = false;
  return o;
}

struct Fixture {
  std::shared_ptr<const Engine> engine;
  Session session;
  Sampler sampler;
  std::string heard;  // through on_text

  explicit Fixture(const std::string& path, int64_t n_ctx = 256, SamplerOptions o = greedy())
      : engine(Engine::open(path)),
        session(engine, session_options(n_ctx)),
        sampler(o, static_cast<int32_t>(engine->n_vocab())) {}

  static SessionOptions session_options(int64_t n_ctx) {
    SessionOptions options;
    options.n_ctx = n_ctx;
    return options;
  }
  std::vector<int32_t> prompt(std::string_view text) const {
    return engine->tokenizer().encode(text, true, true);
  }
  GenerateResult run(const std::vector<int32_t>& ids, const GenerateOptions& options) {
    heard.clear();
    return generate(session, sampler, ids, options, [this](std::string_view text) {
      heard += text;
      return true;
    });
  }
  // The contract: the prompt and the result's tokens, but for the last of a limited length.
  void check_timeline(const std::vector<int32_t>& ids, const GenerateResult& result) const {
    std::vector<int32_t> expected = ids;
    expected.insert(expected.end(), result.tokens.begin(), result.tokens.end());
    const bool cut = result.finish == FinishReason::length && !result.tokens.empty();
    if (cut) expected.pop_back();
    CHECK(result.n_evaluated == static_cast<int64_t>(result.tokens.size()) - (cut ? 1 : 0));
    const auto have = session.tokens();
    CHECK(std::equal(have.begin(), have.end(), expected.begin(), expected.end()));
  }
};

GenerateOptions predict(int64_t n) {
  GenerateOptions options;
  options.n_predict = n;
  return options;
}

const std::string kCount = "1, 2, 3, 4, 5, 6, 7,";
const std::string kChat =
    "<|im_start|>user\nSay hello in one word.<|im_end|>\n<|im_start|>assistant\n";

}  // namespace

TEST_CASE("generate: length", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  Fixture f(path);
  const auto ids = f.prompt(kCount);
  const GenerateResult result = f.run(ids, predict(8));
  CHECK(result.finish == FinishReason::length);
  CHECK(result.tokens.size() == 8);
  CHECK(result.text == f.heard);
  CHECK(result.text == f.engine->tokenizer().decode(result.tokens, false));
  CHECK(result.text.find("8") != std::string::npos);
  CHECK(result.prompt.n_reused == 0);
  CHECK(result.prompt.n_evaluated == static_cast<int64_t>(ids.size()));
  CHECK(result.prompt_seconds > 0);
  CHECK(result.decode_seconds > 0);
  f.check_timeline(ids, result);

  SECTION("the same again reuses the prompt and gives the same text") {
    const GenerateResult again = f.run(ids, predict(8));
    CHECK(again.text == result.text);
    CHECK(again.prompt.n_reused >= static_cast<int64_t>(ids.size()) - 1);
    CHECK(again.prompt.n_evaluated <= 1);
  }
  SECTION("going on from prompt and answer evaluates nothing twice") {
    std::vector<int32_t> more = ids;
    more.insert(more.end(), result.tokens.begin(), result.tokens.end());
    const GenerateResult rest = f.run(more, predict(4));
    Fixture fresh(path);
    CHECK(fresh.run(ids, predict(12)).text == result.text + rest.text);
    CHECK(rest.prompt.n_evaluated <= 1);
  }
  SECTION("nothing is predicted when nothing is wanted") {
    const GenerateResult none = f.run(ids, predict(0));
    CHECK(none.finish == FinishReason::length);
    CHECK(none.text.empty());
    CHECK(none.tokens.empty());
  }
}

TEST_CASE("generate: end of generation", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  Fixture f(path);
  const auto ids = f.prompt(kChat);
  const GenerateResult result = f.run(ids, predict(-1));
  CHECK(result.finish == FinishReason::stop);
  CHECK(result.text.find("<|im_end|>") == std::string::npos);
  for (const int32_t id : result.tokens) CHECK_FALSE(f.engine->tokenizer().is_eog(id));
  f.check_timeline(ids, result);

  GenerateOptions on = predict(static_cast<int64_t>(result.tokens.size()) + 4);
  on.ignore_eog = true;
  const GenerateResult longer = f.run(ids, on);
  CHECK(longer.finish == FinishReason::length);
  CHECK(f.engine->tokenizer().is_eog(longer.tokens[result.tokens.size()]));
  CHECK(longer.text.find("<|im_end|>") == std::string::npos);
  on.special = true;
  CHECK(f.run(ids, on).text.find("<|im_end|>") != std::string::npos);
}

TEST_CASE("generate: stop strings, also across token borders", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  Fixture f(path);
  const auto ids = f.prompt(kCount);
  const std::string whole = f.run(ids, predict(24)).text;
  REQUIRE(whole.size() > 12);
  // Every pair and every run of five characters that occurs: the text ends before the first.
  for (const size_t width : {size_t{2}, size_t{5}}) {
    for (size_t at = 0; at + width <= 12; ++at) {
      GenerateOptions options = predict(24);
      options.stop = {"never there", whole.substr(at, width)};
      const GenerateResult result = f.run(ids, options);
      CHECK(result.finish == FinishReason::stop);
      CHECK(result.text == whole.substr(0, whole.find(options.stop[1])));
      CHECK(f.heard == result.text);
      f.check_timeline(ids, result);
    }
  }
  // A beginning that never completes comes out at the end.
  GenerateOptions options = predict(24);
  options.stop = {whole.substr(whole.size() - 3) + "\x01"};
  CHECK(f.run(ids, options).text == whole);
  options.stop = {""};
  CHECK_THROWS_AS(f.run(ids, options), Error);
}

TEST_CASE("generate: full context", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  Fixture f(path, 32);
  const auto ids = f.prompt(kCount);
  REQUIRE(ids.size() < 32);
  GenerateOptions options = predict(-1);
  options.ignore_eog = true;
  const GenerateResult result = f.run(ids, options);
  CHECK(result.finish == FinishReason::context);
  CHECK(f.session.n_used() == 32);
  CHECK(result.tokens.size() == 32 - ids.size());
  f.check_timeline(ids, result);

  const std::vector<int32_t> too_long(33, ids[0]);
  try {
    f.run(too_long, options);
    FAIL("no error");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::context_full);
    CHECK(e.message().find("33") != std::string::npos);
    CHECK(e.message().find("32") != std::string::npos);
  }
}

TEST_CASE("generate: cancelled", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  Fixture f(path);
  const auto ids = f.prompt(kCount);
  const std::string whole = f.run(ids, predict(12)).text;

  SECTION("by the receiver of the text") {
    std::string heard;
    const GenerateResult result =
        generate(f.session, f.sampler, ids, predict(12), [&](std::string_view text) {
          heard += text;
          return heard.size() < 4;
        });
    CHECK(result.finish == FinishReason::cancelled);
    CHECK(result.text == heard);
    CHECK(whole.substr(0, heard.size()) == heard);
    f.check_timeline(ids, result);
  }
  SECTION("by the token, between tokens") {
    CancelToken cancel;
    std::string heard;
    const GenerateResult result = generate(
        f.session, f.sampler, ids, predict(12),
        [&](std::string_view text) {
          heard += text;
          if (heard.size() >= 4) cancel.request();
          return true;
        },
        &cancel);
    CHECK(result.finish == FinishReason::cancelled);
    CHECK(result.text == heard);
    CHECK(heard.size() < whole.size());
    f.check_timeline(ids, result);
  }
  SECTION("before the prompt") {
    f.session.rewind(0);
    CancelToken cancel;
    cancel.request();
    const GenerateResult result = generate(f.session, f.sampler, ids, predict(12), {}, &cancel);
    CHECK(result.finish == FinishReason::cancelled);
    CHECK(result.text.empty());
    CHECK(result.tokens.empty());
  }
  // The session is as good as new.
  CHECK(f.run(ids, predict(12)).text == whole);
}

TEST_CASE("generate: the seed decides", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  SamplerOptions o;
  o.random_seed = false;
  o.seed = 7;
  Fixture f(path, 256, o);
  const auto ids = f.prompt("Once upon a time");
  const std::string first = f.run(ids, predict(16)).text;
  const std::string second = f.run(ids, predict(16)).text;
  CHECK(first != second);  // the random sequence goes on: another answer to the same prompt
  f.sampler.reset();
  CHECK(f.run(ids, predict(16)).text == first);
  CHECK(f.run(ids, predict(16)).text == second);
}

TEST_CASE("generate: penalties see the prompt and the answer", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  SamplerOptions o = greedy();
  o.presence_penalty = 1000;
  o.repeat_last_n = -1;
  Fixture f(path, 256, o);
  const auto ids = f.prompt(kCount);
  GenerateOptions options = predict(30);
  options.ignore_eog = true;
  const GenerateResult result = f.run(ids, options);
  std::vector<int32_t> all = ids;
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  const size_t distinct = all.size();
  all.insert(all.end(), result.tokens.begin(), result.tokens.end());
  std::sort(all.begin(), all.end());
  CHECK(std::unique(all.begin(), all.end()) - all.begin() ==
        static_cast<std::ptrdiff_t>(distinct + result.tokens.size()));
}
