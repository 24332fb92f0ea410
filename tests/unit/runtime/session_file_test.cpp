// Sessions in files: what comes back, and what is refused.
#include "runtime/engine/session_file.h"

#include <cstring>

#include "formats/io/error.h"
#include "runtime/engine/generate.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_model.h"

using namespace nibble;
using Catch::Matchers::Contains;
using test::TempDir;

namespace {

std::vector<float> logits_of(const Session& session) {
  const std::span<const float> all = session.logits();
  return {all.begin(), all.end()};
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.message();
  }
  return "no error";
}

struct Saved {
  Saved() {
    test::write_file(dir / "toy.gguf", test::toy_model("llama"));
    engine = Engine::open(dir / "toy.gguf");
    for (int32_t i = 0; i < 70; ++i) tokens.push_back(3 + i % 40);  // more than a page
  }
  TempDir dir;
  std::shared_ptr<const Engine> engine;
  std::vector<int32_t> tokens;
  const SessionExtras extras{{7, 12}, {{"an answer", {5, 6, 7}}, {"", {}}}};
};

}  // namespace

TEST_CASE("a session that was saved goes on as if it had not been", "[session_file]") {
  Saved s;
  for (const KvType type : {KvType::f16, KvType::f32, KvType::q8, KvType::q4}) {
    SessionOptions options;
    options.kv_type = type;
    Session session(s.engine, options);
    session.sync(s.tokens);
    save_session(session, s.extras, s.dir / "saved");
    session.append(9);

    Session other(s.engine, options);
    other.sync(std::vector<int32_t>{1, 2, 3});
    const SessionExtras extras = load_session(other, s.dir / "saved");
    CHECK(extras.random.seed == 7);
    CHECK(extras.random.draws == 12);
    REQUIRE(extras.answers.size() == 2);
    CHECK(extras.answers[0].text == "an answer");
    CHECK(extras.answers[0].tokens == std::vector<int32_t>{5, 6, 7});
    CHECK(
        std::equal(other.tokens().begin(), other.tokens().end(), s.tokens.begin(), s.tokens.end()));
    CHECK(other.logits().empty());
    other.append(9);
    CHECK(logits_of(other) == logits_of(session));
  }
  // None of it is evaluated again, but the last token for its logits.
  Session again(s.engine);
  Session first(s.engine);
  first.sync(s.tokens);
  save_session(first, {}, s.dir / "saved");
  load_session(again, s.dir / "saved");
  CHECK(again.sync(s.tokens).n_evaluated == 1);
  CHECK(logits_of(again) == logits_of(first));
}

TEST_CASE("a session without tokens can be saved", "[session_file]") {
  Saved s;
  Session session(s.engine);
  save_session(session, {}, s.dir / "saved");
  session.sync(s.tokens);
  load_session(session, s.dir / "saved");
  CHECK(session.n_used() == 0);
}

TEST_CASE("sessions of others are refused, and the session stays", "[session_file]") {
  Saved s;
  Session session(s.engine);
  session.sync(s.tokens);
  save_session(session, {}, s.dir / "saved");

  SessionOptions options;
  options.n_ctx = 64;
  Session small(s.engine, options);
  CHECK_THAT(message_of([&] { load_session(small, s.dir / "saved"); }),
             Contains("expected at most 64 tokens, got 70"));
  options = {};
  options.kv_type = KvType::f32;
  Session other_type(s.engine, options);
  other_type.sync(std::vector<int32_t>{1, 2, 3});
  CHECK_THAT(message_of([&] { load_session(other_type, s.dir / "saved"); }),
             Contains("saved: expected keys and values of type 1, got type"));
  CHECK(other_type.n_used() == 3);

  // Another model: one byte in the middle of one tensor.
  std::string bytes = test::read_file(s.dir / "toy.gguf");
  const TensorInfo* matrix = s.engine->file().find("blk.0.ffn_up.weight");
  REQUIRE(matrix != nullptr);
  bytes[matrix->offset + matrix->bytes / 2] ^= 1;
  test::write_file(s.dir / "other.gguf", bytes);
  Session other(Engine::open(s.dir / "other.gguf"));
  CHECK_THAT(message_of([&] { load_session(other, s.dir / "saved"); }),
             Contains("other.gguf, got one of another model"));

  CHECK_THAT(message_of([&] { load_session(session, s.dir / "none"); }), Contains("none"));
  CHECK_THAT(message_of([&] { save_session(session, {}, s.dir / "toy.gguf"); }),
             Contains("toy.gguf"));
  CHECK(test::read_file(s.dir / "toy.gguf").size() == bytes.size());
}

TEST_CASE("a session file that is cut short or damaged is an error", "[session_file]") {
  Saved s;
  Session session(s.engine);
  session.sync(std::span(s.tokens).first(5));
  save_session(session, s.extras, s.dir / "saved");
  const std::string good = test::read_file(s.dir / "saved");
  const auto read = [](const std::string& bytes) {
    (void)read_session_file(std::as_bytes(std::span(bytes)), "saved");
  };
  read(good);
  // All of the head, and samples of what is behind it.
  const size_t step = 97;
  for (size_t n = 0; n < good.size(); n += n < 400 ? 1 : step) {
    INFO(n);
    CHECK_THROWS_AS(read(good.substr(0, n)), Error);
    std::string bad = good;
    bad[n] = static_cast<char>(bad[n] ^ 0x40);
    CHECK_THROWS_AS(read(bad), Error);
  }
  CHECK_THROWS_AS(read(good + "x"), Error);
  CHECK_THAT(message_of([&] { read("GGUF....................."); }),
             Contains("saved: expected a session that nibble saved"));
}
