// The C++ header: what it adds to the C API is lifetime, exceptions and ranges; the values come
// from C and are compared with what C gives.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_model.h"
// Behind what it shares the namespace with: inside this tree its names are those of api1.
#include "runtime/api/nibble.hpp"

namespace cpp = nibble::api1;
using nibble::test::TempDir;

namespace {

const cpp::Options kTwelve = {{"temp", "0"}, {"predict", "12"}, {"threads", "2"}};

struct ToyFile {
  ToyFile() { nibble::test::write_file(path, nibble::test::toy_model("llama")); }
  TempDir dir;
  std::string path = dir / "toy.gguf";
};

struct Thrown {
  int number;
};

std::string text_of(cpp::Session& session, std::string_view prompt) {
  std::string text;
  session.complete(prompt, [&text](const cpp::Event& e) {
    if (e.kind == NIBBLE_EVENT_TEXT) text += e.text;
    return true;
  });
  return text;
}

}  // namespace

TEST_CASE("C++ gives what C gives", "[api]") {
  const ToyFile file;
  const cpp::Env env({{"threads", "2"}});
  const cpp::Model model(env, file.path);
  cpp::Session session(model, kTwelve);
  CHECK(env.usage().n_sessions == 1);
  CHECK(env.usage().threads == 2);
  CHECK(model.metadata("general.architecture") == std::string("llama"));
  CHECK(model.metadata("no.such.key") == std::nullopt);
  CHECK(model.plan({{"ctx-size", "16"}}).n_ctx == 16);

  const cpp::Embeddings vectors = model.embed({"the heat", "of"}, {{"dims", "5"}});
  CHECK(vectors.n_dims == 5);
  CHECK(vectors.first_row == std::vector<std::int64_t>{0, 1, 2});
  const char* second = "of";
  nibble_embeddings alone = NIBBLE_EMBEDDINGS_INIT;
  const nibble_option five[] = {{"dims", "5"}, {nullptr, nullptr}};
  REQUIRE(nibble_embed(model.get(), &second, 1, five, nullptr, &alone, nullptr) == NIBBLE_OK);
  CHECK(std::equal(alone.values, alone.values + 5, vectors.values.begin() + 5));
  nibble_embeddings_free(&alone);

  const cpp::Tokens tokens = model.tokenize("the heat", NIBBLE_ADD_SPECIAL);
  std::size_t n = 0;
  int32_t c_tokens[64] = {};
  REQUIRE(nibble_tokenize(model.get(), "the heat", 8, NIBBLE_ADD_SPECIAL, c_tokens, 64, &n,
                          nullptr) == NIBBLE_OK);
  CHECK(tokens == cpp::Tokens(c_tokens, c_tokens + n));
  CHECK(model.detokenize(tokens) == "the heat");
  CHECK(model.detokenize({}).empty());

  std::string want;
  const auto append = [](const nibble_event* e, void* user) {
    if (e->kind == NIBBLE_EVENT_TEXT)
      static_cast<std::string*>(user)->append(e->text, e->text_size);
    return 0;
  };
  cpp::Session other(model, kTwelve);
  nibble_result c_result = NIBBLE_RESULT_INIT;
  REQUIRE(nibble_complete(other.get(), "the heat", 8, append, &want, &c_result, nullptr) ==
          NIBBLE_OK);
  CHECK(text_of(session, "the heat") == want);
  const cpp::Result result = session.complete("the heat");
  CHECK(result.n_generated == c_result.n_generated);
  CHECK(result.n_reused == result.n_prompt - 1);

  session.evaluate(tokens);
  const cpp::Logits logits = session.logits();
  CHECK(logits.size == static_cast<std::size_t>(model.info().n_vocab));
  const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  CHECK(session.sample() == best);
  session.rewind(1);
  CHECK(session.usage().n_used == 1);
}

TEST_CASE("C++ opens models from elsewhere, and saves sessions", "[api]") {
  const ToyFile file;
  const cpp::Env env;
  cpp::Session session(cpp::Model(env, file.path), kTwelve);
  const std::string want = text_of(session, "the");
  const std::string bytes = nibble::test::toy_model("llama");
  CHECK(text_of(*std::make_unique<cpp::Session>(
                    cpp::Model::from_memory(env, bytes.data(), bytes.size()), kTwelve),
                "the") == want);
  nibble_reader reader = NIBBLE_READER_INIT;
  reader.total = bytes.size();
  reader.user = const_cast<char*>(bytes.data());
  reader.read = [](void* user, uint64_t offset, void* to, size_t n) {
    std::memcpy(to, static_cast<const char*>(user) + offset, n);
    return 0;
  };
  cpp::Session read(cpp::Model::from_reader(env, reader), kTwelve);
  CHECK(text_of(read, "the") == want);
  const int fd = ::open(file.path.c_str(), O_RDONLY);
  cpp::Session mapped(cpp::Model::from_fd(env, fd), kTwelve);
  ::close(fd);
  CHECK(text_of(mapped, "the") == want);

  session.save(file.dir / "saved");
  cpp::Session other(cpp::Model(env, file.path), kTwelve);
  other.load(file.dir / "saved");
  CHECK(other.usage().n_used == session.usage().n_used);
  CHECK_THROWS_AS(other.load(file.dir / "none"), cpp::Error);
  CHECK(cpp::inspect(env, file.path).find("\"llama\"") != std::string::npos);
}

TEST_CASE("a stream in C++ is a range that ends with DONE", "[api]") {
  const ToyFile file;
  const cpp::Env env;
  const cpp::Model model(env, file.path);
  cpp::Session session(model, kTwelve);
  const std::string want = text_of(session, "the");
  std::string text;
  std::vector<nibble_event_kind> kinds;
  for (const cpp::Event& event : session.stream_text("the")) {
    text += event.text;
    kinds.push_back(event.kind);
    CHECK((event.result != nullptr) == (event.kind == NIBBLE_EVENT_DONE));
  }
  CHECK(text == want);
  CHECK(kinds.front() == NIBBLE_EVENT_PROGRESS);
  CHECK(kinds.back() == NIBBLE_EVENT_DONE);
  CHECK(std::count(kinds.begin(), kinds.end(), NIBBLE_EVENT_DONE) == 1);

  // Left early; the session answers the next one.
  cpp::Stream stream = session.stream_text("the");
  REQUIRE(stream.next());
  CHECK(text_of(session, "the") == want);
  CHECK_THROWS_AS(stream.next(), cpp::Error);
  cpp::Stream whole = session.stream_text("the");
  while (whole.next()) {
  }
  CHECK(!whole.next());
}

TEST_CASE("what a C++ callback throws comes out of the call", "[api]") {
  const ToyFile file;
  cpp::Env env;
  const cpp::Model model(env, file.path);
  cpp::Session session(model, kTwelve);
  const std::string want = text_of(session, "the");
  int calls = 0;
  const cpp::OnEvent throws = [&calls](const cpp::Event& e) -> bool {
    if (e.kind == NIBBLE_EVENT_TEXT || calls > 0) ++calls;
    if (calls > 0) throw Thrown{42};
    return true;
  };
  try {
    session.complete("the", throws);
    FAIL("nothing was thrown");
  } catch (const Thrown& thrown) {
    CHECK(thrown.number == 42);
  }
  CHECK(calls == 1);  // not called again, not even for DONE
  CHECK(text_of(session, "the") == want);
  const auto at_once = [](const cpp::Event&) -> bool { throw Thrown{1}; };
  CHECK_THROWS_AS(cpp::Model(env, file.path, {}, {at_once}), Thrown);
  CHECK_THROWS_AS(cpp::verify(env, file.path, {at_once}), Thrown);
  // false cancels, which is no error of a generation, and one of a job.
  const auto stop = [](const cpp::Event&) { return false; };
  CHECK(session.complete("the heat", stop).finish == NIBBLE_FINISH_CANCELLED);
  const cpp::Cancel cancel(env);
  cancel.request();
  try {
    const cpp::Model never(env, file.path, {}, {nullptr, &cancel});
    FAIL("it opened");
  } catch (const cpp::Error& error) {
    CHECK(error.status() == NIBBLE_CANCELLED);
  }
  // There is no call that it could come out of.
  env.set_log([](std::string_view) { throw Thrown{2}; });
  CHECK_NOTHROW(cpp::Model(env, file.path));
}

TEST_CASE("C++ objects move, name what is wrong, and end in any order", "[api]") {
  const ToyFile file;
  static_assert(!std::is_copy_constructible_v<cpp::Session>);
  static_assert(std::is_nothrow_move_constructible_v<cpp::Session>);
  static_assert(std::is_nothrow_move_assignable_v<cpp::Model>);
  std::optional<cpp::Env> env(std::in_place);
  std::optional<cpp::Model> model(std::in_place, *env, file.path);
  cpp::Session first(*model, kTwelve);
  const std::string want = text_of(first, "the");
  cpp::Session second = first.fork();
  env.reset();
  model.reset();
  CHECK(text_of(second, "the") == want);
  first = std::move(second);
  CHECK(text_of(first, "the") == want);
  try {
    first.set("no-such-option", "1");
    FAIL("it was set");
  } catch (const cpp::Error& error) {
    CHECK(error.status() == NIBBLE_BAD_ARGUMENT);
    CHECK(std::string(error.what()).find("no-such-option") != std::string::npos);
  }
  CHECK_THROWS_AS(cpp::Model(cpp::Env(), file.path + ".none"), cpp::Error);
}
