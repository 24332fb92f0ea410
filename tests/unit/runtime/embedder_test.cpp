// Vectors of texts: pooling against sums in double, limits, chunks, and the same through the C API.
#include "runtime/engine/embedder.h"

#include <cmath>

#include "formats/io/error.h"
#include "runtime/api/nibble.h"
#include "tests/support/api_fixture.h"
#include "tests/support/catch.h"

using namespace nibble;
using Catch::Matchers::Contains;
using test::ApiFixture;

namespace {

const std::vector<std::string> kTexts = {"the heat", "a", "the heat of the end and the heat",
                                         "and then"};

struct Toy {
  Toy() {
    test::write_file(dir / "toy.gguf", test::chatting_model());
    engine = Engine::open(dir / "toy.gguf");
  }
  Embedder with(Pooling pooling, bool normalize = false, int64_t n_dims = 0) const {
    EmbedderOptions options;
    options.pooling = pooling;
    options.normalize = normalize;
    options.n_dims = n_dims;
    options.n_threads = 2;
    return Embedder(engine, options);
  }
  test::TempDir dir;
  std::shared_ptr<const Engine> engine;
};

double length_of(std::span<const float> v) {
  double sum = 0;
  for (const float x : v) sum += double{x} * double{x};
  return std::sqrt(sum);
}

std::string words(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) text += i % 3 == 0 ? "the heat " : "and ";
  return text;
}

}  // namespace

TEST_CASE("vectors are what their pooling says, in any company", "[embed]") {
  Toy toy;
  const int64_t n_embd = toy.engine->n_embd();
  const auto none = toy.with(Pooling::none).of(kTexts);
  const auto mean = toy.with(Pooling::mean).of(kTexts);
  const auto cls = toy.with(Pooling::cls).of(kTexts);
  const auto last = toy.with(Pooling::last).of(kTexts);
  for (size_t i = 0; i < kTexts.size(); ++i) {
    INFO(kTexts[i]);
    const std::vector<int32_t> ids[] = {toy.engine->tokenizer().encode(kTexts[i], true, false)};
    HiddenStates states(toy.engine, 1);
    const std::span<const float> rows = states.of(ids);  // [tokens, n_embd]
    const auto n = static_cast<int64_t>(ids[0].size());
    REQUIRE(none[i].n_rows == n);
    CHECK(std::equal(rows.begin(), rows.end(), none[i].values.begin(), none[i].values.end()));
    CHECK(std::equal(rows.begin(), rows.begin() + n_embd, cls[i].values.begin()));
    CHECK(std::equal(rows.end() - n_embd, rows.end(), last[i].values.begin()));
    for (int64_t d = 0; d < n_embd; ++d) {
      double sum = 0;
      for (int64_t r = 0; r < n; ++r) sum += double{rows[static_cast<size_t>(r * n_embd + d)]};
      CHECK(mean[i].values[static_cast<size_t>(d)] == static_cast<float>(sum / double(n)));
    }
    const auto alone = toy.with(Pooling::mean).of({&kTexts[i], 1});
    CHECK(alone[0].values == mean[i].values);
  }
}

TEST_CASE("shorter vectors are the first numbers, then made length 1", "[embed]") {
  Toy toy;
  const auto whole = toy.with(Pooling::mean).of(kTexts);
  const auto some = toy.with(Pooling::mean, true, 5).of(kTexts);
  for (size_t i = 0; i < kTexts.size(); ++i) {
    REQUIRE(some[i].values.size() == 5);
    const auto first = std::span(whole[i].values).first(5);
    const double length = length_of(first);
    // Half an ulp of float for the quotient, one for the length's own rounding.
    for (size_t d = 0; d < 5; ++d) {
      CHECK(some[i].values[d] == Approx(double{first[d]} / length).epsilon(2e-7));
    }
    CHECK(similarity(Similarity::cosine, some[i].values, first) == Approx(1).epsilon(1e-6));
  }
  CHECK_THROWS_WITH(toy.with(Pooling::mean, true, toy.engine->n_embd() + 1),
                    Contains(std::to_string(toy.engine->n_embd())));
}

TEST_CASE("a text that is too long is an error with both numbers, or cut", "[embed]") {
  Toy toy;
  const std::vector<std::string> texts = {"a", words(400)};
  const auto n = toy.engine->tokenizer().encode(texts[1], true, false).size();
  auto embedder = toy.with(Pooling::mean);
  CHECK_THROWS_WITH(embedder.of(texts),
                    Contains("text 2: expected at most 256 tokens, got " + std::to_string(n)));
  EmbedderOptions options;
  options.truncate = true;
  Embedder cutting(toy.engine, options);
  const auto vectors = cutting.of(texts);
  CHECK(vectors[0].n_left_out == 0);
  CHECK(vectors[1].n_tokens == 256);
  CHECK(vectors[1].n_left_out == static_cast<int64_t>(n) - 256);
}

TEST_CASE("chunks cover the text, fit, and overlap as told", "[embed]") {
  Toy toy;
  const auto embedder = toy.with(Pooling::mean);
  const std::string text = words(200) + std::string(300, 'x') + " the end";
  const auto tokens = [&](size_t begin, size_t end) {
    return static_cast<int64_t>(
        toy.engine->tokenizer().encode(text.substr(begin, end - begin), true, false).size());
  };
  for (const int64_t overlap : {int64_t{0}, int64_t{6}}) {
    size_t end = 0;
    for (const TextChunk& c : embedder.chunks(text, 20, overlap)) {
      INFO(c.begin << " to " << c.end);
      CHECK(c.begin < c.end);
      CHECK(c.begin <= end);
      CHECK(c.end > end);
      CHECK(tokens(c.begin, c.end) <= 20);
      if (overlap == 0) CHECK(c.begin == end);
      if (c.begin < end) CHECK(tokens(c.begin, end) - 1 <= overlap);
      end = c.end;
    }
    CHECK(end == text.size());
  }
  CHECK(embedder.chunks("", 20, 0).empty());
  CHECK_THROWS_WITH(embedder.chunks(text, 6, 6), Contains("expected more than"));
  CHECK_THROWS_WITH(embedder.chunks(text, 257, 0), Contains("at most 256"));
}

TEST_CASE("the C API gives the same vectors", "[embed][api]") {
  ApiFixture f;
  Toy toy;
  const auto want = toy.with(Pooling::none, true, 7).of(kTexts);
  std::vector<const char*> texts;
  for (const std::string& t : kTexts) texts.push_back(t.c_str());
  const nibble_option options[] = {{"pooling", "none"}, {"dims", "7"}, {nullptr, nullptr}};
  nibble_embeddings got = NIBBLE_EMBEDDINGS_INIT;
  REQUIRE(nibble_embed(f.model, texts.data(), texts.size(), options, nullptr, &got, nullptr) ==
          NIBBLE_OK);
  CHECK(got.n_dims == 7);
  for (size_t i = 0; i < want.size(); ++i) {
    CHECK(got.first_row[i + 1] - got.first_row[i] == want[i].n_rows);
    CHECK(std::equal(want[i].values.begin(), want[i].values.end(),
                     got.values + got.first_row[i] * 7));
  }
  CHECK(got.first_row[want.size()] == got.n_rows);
  nibble_embeddings_free(&got);
  CHECK(got.values == nullptr);
  nibble_embeddings_free(nullptr);

  nibble_error error = NIBBLE_ERROR_INIT;
  const std::string long_text = words(400);
  texts.push_back(long_text.c_str());
  CHECK(nibble_embed(f.model, texts.data(), texts.size(), nullptr, nullptr, &got, &error) ==
        NIBBLE_BAD_ARGUMENT);
  CHECK_THAT(error.message, Contains("text 5: expected at most 256 tokens"));
  CHECK(got.values == nullptr);
  nibble_job job = NIBBLE_JOB_INIT;
  job.on_event = [](const nibble_event*, void*) { return 1; };
  CHECK(nibble_embed(f.model, texts.data(), 4, nullptr, &job, &got, nullptr) == NIBBLE_OK);
  nibble_embeddings_free(&got);
  CHECK(nibble_embed(f.model, nullptr, 1, nullptr, nullptr, &got, nullptr) == NIBBLE_BAD_ARGUMENT);
  CHECK(nibble_embed(f.model, texts.data(), 1, nullptr, nullptr, nullptr, nullptr) ==
        NIBBLE_BAD_ARGUMENT);
  CHECK(nibble_embed(f.model, nullptr, 0, nullptr, nullptr, &got, nullptr) == NIBBLE_OK);
  CHECK(got.n_rows == 0);
  nibble_embeddings_free(&got);
}
