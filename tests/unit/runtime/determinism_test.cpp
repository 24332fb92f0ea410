// Same request, same bits: whatever the number of threads, the split of a prompt into batches, the
// reuse of a prefix, a fork, and company in the batch.
#include <cstring>
#include <optional>
#include <vector>

#include "runtime/engine/session.h"
#include "runtime/model/forward.h"
#include "tests/support/catch.h"
#include "tests/support/models.h"

using namespace nibble;

namespace {

/// A prompt long enough to leave Gemma's window of 512 and to fill several pages.
std::vector<int32_t> prompt_of(const Engine& engine, size_t n) {
  std::string text;
  for (int i = 0; text.size() < n * 8; ++i) {
    text += "In chapter " + std::to_string(i * 37 % 101) + " the machine counts to " +
            std::to_string(i * i) + ", and says: öfter, 漢字, \"why?\"\n";
  }
  std::vector<int32_t> ids = engine.tokenizer().encode(text, true, false);
  ids.resize(n);
  return ids;
}

/// Of the last token. n_whole > 0: so many tokens in one batch, the others one by one.
std::vector<float> logits_of(const std::shared_ptr<const Engine>& engine,
                             const std::vector<int32_t>& ids, int n_threads, int64_t n_batch,
                             std::optional<KvType> kv_type = std::nullopt, size_t n_whole = 0) {
  SessionOptions options;
  options.kv_type = kv_type;
  options.n_ctx = 2048;
  options.n_threads = n_threads;
  options.n_batch = n_whole > 0 ? static_cast<int64_t>(n_whole) : n_batch;
  Session session(engine, options);
  if (n_whole > 0) {
    session.sync(std::vector<int32_t>(ids.begin(), ids.begin() + static_cast<long>(n_whole)));
    for (size_t i = n_whole; i < ids.size(); ++i) session.append(ids[i]);
  } else {
    session.sync(ids);
  }
  return {session.logits().begin(), session.logits().end()};
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// What is tried on one table: the best of this CPU gets all, the others what takes seconds.
struct Effort {
  struct Run {
    int n_threads;
    int64_t n_batch;
    size_t n_whole = 0;
  };
  size_t n_tokens;
  std::vector<Run> runs;  // each against one thread and batches of 512
};

Effort effort_for(const KernelTable& table) {
  const std::string isa = table.name;
  if (isa == "reference") return {8, {{3, 7}}};
  if (isa == "baseline") return {24, {{3, 7}}};
  if (isa == "sse") return {270, {{3, 7}}};  // more than a page of keys, more than a split
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return {270, {{3, 1}}};  // more than a page of keys, more than a split of attention
#else
  if (&table != best_kernels()) return {600, {{3, 7}}};
  return {600, {{2, 512}, {4, 512}, {2, 1, 490}, {3, 7}, {2, 32}}};
#endif
}

void check_model(const char* name) {
  NIBBLE_MODEL_OR_SKIP(path, name);
  int count = 0;
  const KernelTable* const* tables = all_kernels(&count);
  for (int i = 0; i < count; ++i) {
    const std::string isa = tables[i]->name;
    if (!tables[i]->supported()) continue;
    const Effort effort = effort_for(*tables[i]);
    INFO(name << " on " << isa);
    EngineOptions options;
    options.isa = isa;
    const std::shared_ptr<const Engine> engine = Engine::open(path, options);
    const std::vector<int32_t> ids = prompt_of(*engine, effort.n_tokens);
    const std::vector<float> want = logits_of(engine, ids, 1, 512);
    for (const Effort::Run& run : effort.runs) {
      INFO(run.n_threads << " threads, batches of " << run.n_batch);
      CHECK(same_bits(
          want, logits_of(engine, ids, run.n_threads, run.n_batch, std::nullopt, run.n_whole)));
    }

    // A session continued, with another ending in between, against one started afresh.
    SessionOptions session_options;
    session_options.n_ctx = 2048;
    Session session(engine, session_options);
    std::vector<int32_t> half(ids.begin(), ids.begin() + static_cast<long>(ids.size() / 2));
    session.sync(half);
    for (const int32_t other : {5, 6, 7, 8, 9}) session.append(other);
    Session forked = session.fork();
    const SyncResult reused = session.sync(ids);
    CHECK(reused.n_reused == static_cast<int64_t>(half.size()));
    CHECK(reused.n_evaluated == static_cast<int64_t>(ids.size() - half.size()));
    CHECK(same_bits(want, session.logits()));
    // The fork kept its own ending while the original overwrote it.
    CHECK(forked.n_used() == static_cast<int64_t>(half.size()) + 5);
    forked.sync(ids);
    CHECK(same_bits(want, forked.logits()));
  }
}

}  // namespace

TEST_CASE("same bits: SmolLM2", "[model]") {
  check_model(test::kSmolLM2);
}
TEST_CASE("same bits: Gemma 3", "[model]") {
  check_model(test::kGemma3);
}

TEST_CASE("same bits for every type of keys and values", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  const std::shared_ptr<const Engine> engine = Engine::open(path);
  const std::vector<int32_t> ids = prompt_of(*engine, 290);
  for (const KvType type : {KvType::f16, KvType::f32, KvType::q8, KvType::q4}) {
    INFO("type " << static_cast<int>(type));
    const std::vector<float> want = logits_of(engine, ids, 1, 512, type);
    CHECK(same_bits(want, logits_of(engine, ids, 2, 37, type)));
    CHECK(same_bits(want, logits_of(engine, ids, 3, 1, type)));
    SessionOptions options;
    options.n_ctx = 512;
    options.kv_type = type;
    Session session(engine, options);
    session.sync(std::vector<int32_t>(ids.begin(), ids.begin() + 100));
    Session forked = session.fork();
    for (const int32_t other : {5, 6, 7}) session.append(other);
    forked.sync(ids);
    CHECK(same_bits(want, forked.logits()));
  }
}

TEST_CASE("logits from a row on are those of all rows", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  const std::shared_ptr<const Engine> engine = Engine::open(path);
  const std::vector<int32_t> ids = prompt_of(*engine, 100);
  const auto n_vocab = engine->n_vocab();
  SessionOptions options;
  options.n_ctx = 128;
  options.n_batch = 32;
  Session session(engine, options);
  const auto rows_from = [&](int64_t first_row) {
    std::vector<float> out;  // [rows, n_vocab]
    int64_t next = first_row;
    session.evaluate_all(
        ids,
        [&](int64_t first, int64_t n, const float* logits) {
          CHECK(first == next);
          next = first + n;
          out.insert(out.end(), logits, logits + n * n_vocab);
        },
        nullptr, first_row);
    CHECK(session.n_used() == 100);
    return out;
  };
  const std::vector<float> all = rows_from(0);
  REQUIRE(static_cast<int64_t>(all.size()) == 100 * n_vocab);
  for (const int64_t first : {1, 32, 50, 99}) {
    INFO("from row " << first);
    CHECK(
        same_bits(std::span(all).subspan(static_cast<size_t>(first * n_vocab)), rows_from(first)));
  }
  CHECK(rows_from(100).empty());
}

TEST_CASE("rows of several sequences in one batch do not see each other", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  const std::shared_ptr<const Engine> engine = Engine::open(path);
  const KernelTable& kernels = engine->kernels();
  const std::vector<int32_t> a = prompt_of(*engine, 70);
  std::vector<int32_t> b(a.rbegin(), a.rend());
  b.resize(33);
  auto layout =
      std::make_shared<const KvLayout>(KvLayout::of(engine->model().config, kernels.default_kv));
  SequenceState state_a(layout);
  SequenceState state_b(layout);
  state_a.reserve(70);
  state_b.reserve(33);
  std::vector<Row> rows;
  for (size_t i = 0; i < 70; ++i) {  // interleaved
    rows.push_back(
        {a[i], static_cast<int64_t>(i), &state_a, i == 69 ? RowOutput::logits : RowOutput::none});
    if (i < 33) {
      rows.push_back(
          {b[i], static_cast<int64_t>(i), &state_b, i == 32 ? RowOutput::logits : RowOutput::none});
    }
  }
  Team team(2);
  Workspace workspace;
  workspace.reserve(engine->model(), kernels, 2, 103, 2, 0);
  REQUIRE(forward(engine->model(), kernels, team, workspace, rows, nullptr) == ForwardStatus::ok);
  const size_t n_vocab = static_cast<size_t>(engine->n_vocab());
  // b's last row comes first.
  CHECK(same_bits({workspace.logits.data(), n_vocab}, logits_of(engine, b, 1, 512)));
  CHECK(same_bits({workspace.logits.data() + n_vocab, n_vocab}, logits_of(engine, a, 1, 512)));
}

TEST_CASE("hidden rows stand beside logits rows", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  const std::shared_ptr<const Engine> engine = Engine::open(path);
  const std::vector<int32_t> ids = prompt_of(*engine, 9);
  auto layout = std::make_shared<const KvLayout>(
      KvLayout::of(engine->model().config, engine->kernels().default_kv));
  SequenceState state(layout);
  state.reserve(9);
  std::vector<Row> rows;
  for (size_t i = 0; i < 9; ++i) {
    rows.push_back(
        {ids[i], static_cast<int64_t>(i), &state, i == 8 ? RowOutput::logits : RowOutput::hidden});
  }
  Team team(2);
  Workspace workspace;
  workspace.reserve(engine->model(), engine->kernels(), 2, 9, 1, 8);
  REQUIRE(forward(engine->model(), engine->kernels(), team, workspace, rows, nullptr) ==
          ForwardStatus::ok);
  const size_t n_vocab = static_cast<size_t>(engine->n_vocab());
  CHECK(same_bits({workspace.logits.data(), n_vocab}, logits_of(engine, ids, 1, 512)));
  double sum = 0;
  for (int64_t i = 0; i < 8 * engine->n_embd(); ++i) {
    sum += std::abs(static_cast<double>(workspace.hidden.data()[i]));
  }
  CHECK(sum > 0);
}

TEST_CASE("a cancelled prompt leaves a session that goes on", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  const std::shared_ptr<const Engine> engine = Engine::open(path);
  const std::vector<int32_t> ids = prompt_of(*engine, 300);
  SessionOptions options;
  options.n_ctx = 512;
  options.n_batch = 100;
  Session session(engine, options);
  CancelToken cancel;
  CHECK_THROWS_AS(session.sync(ids, &cancel, [&](int64_t, int64_t) { cancel.request(); }), Error);
  CHECK(session.n_used() == 100);
  CHECK(session.logits().size() == static_cast<size_t>(engine->n_vocab()));
  cancel.reset();
  const SyncResult rest = session.sync(ids, &cancel);
  CHECK(rest.n_reused == 100);
  CHECK(same_bits(session.logits(), logits_of(engine, ids, 1, 512)));
}

TEST_CASE("a prompt over the context is an error with both numbers", "[model]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  const std::shared_ptr<const Engine> engine = Engine::open(path);
  SessionOptions options;
  options.n_ctx = 64;
  Session session(engine, options);
  const std::vector<int32_t> ids = prompt_of(*engine, 65);
  try {
    session.sync(ids);
    FAIL("expected context_full");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::context_full);
    CHECK(e.message() == "context: expected at most 64 tokens, got 65");
  }
  session.sync(std::span(ids).first(64));
  CHECK_THROWS_AS(session.append(1), Error);
  CHECK_THROWS_AS(session.sync(std::vector<int32_t>{-1}), Error);
  CHECK_THROWS_AS(session.sync(std::vector<int32_t>{49152}), Error);
  CHECK_THROWS_AS(session.sync({}), Error);
}
