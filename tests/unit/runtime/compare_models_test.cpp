// Comparing models and collecting importance on toys, against sums made here from logits and
// embeddings.
#include "runtime/engine/compare_models.h"

#include <cmath>

#include "formats/io/error.h"
#include "quant/codec.h"
#include "runtime/engine/collect_imatrix.h"
#include "runtime/engine/session.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_model.h"

using namespace nibble;
using test::TempDir;

namespace {

const std::string& text() {
  static const std::string out = [] {
    std::string s;
    for (int i = 0; i < 100; ++i) s += static_cast<char>('a' + i * i % 17);
    return s;
  }();
  return out;
}

std::shared_ptr<const Engine> open(const std::string& path) {
  EngineOptions options;
  options.repack = false;
  options.isa = "reference";
  return Engine::open(path, options);
}

/// A toy and one whose output norm is larger: sharper predictions from the same order of logits.
std::string sharper(const TempDir& dir) {
  const std::string bytes = test::toy_model("llama");
  test::write_file(dir / "a", bytes);
  std::string other = bytes;
  const TensorFile file = open_tensor_file(dir / "a");
  const TensorInfo* norm = file.find("output_norm.weight");
  REQUIRE(norm != nullptr);
  auto* values = reinterpret_cast<float*>(other.data() + norm->offset);
  for (int64_t i = 0; i < norm->cols(); ++i) values[i] *= 1.25f;
  test::write_file(dir / "b", other);
  return other;
}

CompareOptions compare_options() {
  CompareOptions options;
  options.chunk_size = 24;
  options.n_threads = 1;
  return options;
}

}  // namespace

TEST_CASE("a model does not differ from itself") {
  const TempDir dir;
  sharper(dir);
  const ModelComparison m =
      compare_models(open(dir / "a"), open(dir / "a"), text(), compare_options());
  CHECK(m.divergence == 0.0);
  CHECK(m.same_top == 1.0);
  CHECK(m.perplexity == m.other_perplexity);
  CHECK(m.n_tokens % 11 == 0);  // 24 - 1 - 12 of each chunk
}

TEST_CASE("divergence and perplexity are those of the logits") {
  const TempDir dir;
  sharper(dir);
  CompareOptions options = compare_options();
  options.most_chunks = 1;
  const ModelComparison m = compare_models(open(dir / "a"), open(dir / "b"), text(), options);
  const auto engine = open(dir / "a");
  std::vector<int32_t> ids = engine->tokenizer().encode(text(), true, false);
  ids.resize(24);
  ids[0] = engine->tokenizer().bos();
  std::vector<std::vector<double>> logs[2];  // log probabilities of positions 12 to 22
  const char* names[] = {"a", "b"};
  for (int i = 0; i < 2; ++i) {
    SessionOptions how;
    how.n_ctx = 24;
    how.n_threads = 1;
    Session session(open(dir / names[i]), how);
    session.evaluate_all(ids, [&](int64_t, int64_t n, const float* logits) {
      for (int64_t r = 0; r < n; ++r) {
        std::vector<double> row(logits + r * test::kToyVocab, logits + (r + 1) * test::kToyVocab);
        double sum = 0;
        for (const double v : row) sum += std::exp(v);
        for (double& v : row) v -= std::log(sum);
        logs[i].push_back(row);
      }
    });
  }
  double divergence = 0, loss = 0;
  for (size_t t = 12; t < 23; ++t) {
    for (size_t v = 0; v < static_cast<size_t>(test::kToyVocab); ++v) {
      divergence += std::exp(logs[0][t][v]) * (logs[0][t][v] - logs[1][t][v]);
    }
    loss -= logs[0][t][static_cast<size_t>(ids[t + 1])];
  }
  CHECK(m.n_tokens == 11);
  CHECK(divergence > 0);
  // Float exponentials: 266 terms of relative error 2^-22 each.
  CHECK(m.divergence == Approx(divergence / 11).epsilon(1e-4));
  CHECK(m.perplexity == Approx(std::exp(loss / 11)).epsilon(1e-5));
  CHECK(m.same_top == 1.0);
}

TEST_CASE("texts that are too short and models of other tokens are refused") {
  const TempDir dir;
  sharper(dir);
  CompareOptions options = compare_options();
  options.chunk_size = 4096;
  CHECK_THROWS_AS(compare_models(open(dir / "a"), open(dir / "b"), text(), options), Error);
  CollectOptions collect;
  CHECK_THROWS_AS(collect_imatrix(open(dir / "a"), text(), collect), Error);
}

TEST_CASE("importance is the sum of squared inputs, for any number of threads") {
  const TempDir dir;
  sharper(dir);
  CollectOptions options;
  options.chunk_size = 32;
  options.n_threads = 1;
  const auto engine = open(dir / "a");
  const Imatrix one = collect_imatrix(engine, text(), options);
  options.n_threads = 3;
  const Imatrix three = collect_imatrix(engine, text(), options);
  CHECK(one.chunk_count >= 2);
  REQUIRE(one.entries.size() == 14);  // 7 matrices of 2 layers
  REQUIRE(three.entries.size() == 14);
  for (size_t i = 0; i < one.entries.size(); ++i) {
    CHECK(one.entries[i].name == three.entries[i].name);
    CHECK(one.entries[i].sums == three.entries[i].sums);
    CHECK(one.entries[i].counts == std::vector<float>{static_cast<float>(32 * one.chunk_count)});
  }
  CHECK(one.find("blk.0.attn_q.weight")->sums == one.find("blk.0.attn_v.weight")->sums);
  // The first layer's input is the normalized embedding.
  const TensorFile& file = engine->file();
  const auto* table = reinterpret_cast<const float*>(
      file.data(*file.find("token_embd.weight")).data());  // [n_vocab, 48]
  const auto* norm =
      reinterpret_cast<const float*>(file.data(*file.find("blk.0.attn_norm.weight")).data());
  std::vector<int32_t> ids = engine->tokenizer().encode(text(), true, false);
  std::vector<double> want(48);
  for (int64_t t = 0; t < 32 * one.chunk_count; ++t) {
    const int32_t id = t % 32 == 0 ? engine->tokenizer().bos() : ids[static_cast<size_t>(t)];
    const float* x = table + id * 48;
    double mean = 0;
    for (int64_t c = 0; c < 48; ++c) mean += static_cast<double>(x[c]) * static_cast<double>(x[c]);
    for (int64_t c = 0; c < 48; ++c) {
      const double normed =
          static_cast<double>(x[c]) * static_cast<double>(norm[c]) / std::sqrt(mean / 48 + 1e-5);
      want[static_cast<size_t>(c)] += normed * normed;
    }
  }
  const ImatrixEntry& entry = *one.find("blk.0.attn_q.weight");
  // Inputs are floats made by a few float operations, each of relative error 2^-24.
  for (size_t c = 0; c < 48; ++c) {
    CHECK(static_cast<double>(entry.sums[c]) == Approx(want[c]).epsilon(1e-5));
  }
  // With the head, the results of everything else are the same.
  options.output_head = true;
  const Imatrix head = collect_imatrix(engine, text(), options);
  CHECK(head.entries.size() == 15);
  CHECK(head.find("blk.1.ffn_down.weight")->sums == one.find("blk.1.ffn_down.weight")->sums);
}
