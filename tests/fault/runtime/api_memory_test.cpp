// The C API without memory: whichever allocation fails, once or for ever, a call gives an error
// code, what was there before is as it was, and the next call works.
#include <string>
#include <vector>

#include "tests/fault/faults.h"
#include "tests/support/api_fixture.h"
#include "tests/support/catch.h"

using namespace nibble;
using test::Heard;
using test::kQuestion;

namespace {

// Faults are for one thread at a time.
constexpr nibble_option kOneThread[] = {
    {"temp", "0"}, {"predict", "4"}, {"threads", "1"}, {nullptr, nullptr}};

struct Host {
  Host() {
    test::write_file(file, test::chatting_model());
    REQUIRE(nibble_env_create(nullptr, &env, nullptr) == NIBBLE_OK);
    REQUIRE(open(&model) == NIBBLE_OK);
    REQUIRE(nibble_session_create(model, kOneThread, &session, nullptr) == NIBBLE_OK);
    want = answer();
    REQUIRE(nibble_session_save(session, saved.c_str(), nullptr) == NIBBLE_OK);
  }
  ~Host() {
    nibble_session_free(session);
    nibble_model_free(model);
    nibble_env_free(env);
  }
  nibble_status open(nibble_model** to) const {
    const nibble_option one[] = {{"threads", "1"}, {nullptr, nullptr}};
    return nibble_model_open(env, file.c_str(), one, nullptr, to, nullptr);
  }
  std::string answer() const {
    Heard heard;
    REQUIRE(nibble_chat(session, kQuestion, 1, test::hear, &heard, nullptr, nullptr) == NIBBLE_OK);
    return heard.text;
  }

  test::TempDir dir;
  // Made before: the calls below take no memory but the library's.
  const std::string file = dir / "toy.gguf", saved = dir / "saved", again = dir / "again",
                    quantized = dir / "q8.gguf";
  nibble_env* env = nullptr;
  nibble_model* model = nullptr;
  nibble_session* session = nullptr;
  std::string want;
};

nibble_status open_and_free(Host& host) {
  nibble_model* model = nullptr;
  const nibble_status status = host.open(&model);
  const bool agrees = (model != nullptr) == (status == NIBBLE_OK);
  nibble_model_free(model);
  return agrees ? status : NIBBLE_INTERNAL;
}

nibble_status create_and_free(Host& host) {
  nibble_session* session = nullptr;
  const nibble_status status = nibble_session_create(host.model, kOneThread, &session, nullptr);
  const bool agrees = (session != nullptr) == (status == NIBBLE_OK);
  nibble_session_free(session);
  return agrees ? status : NIBBLE_INTERNAL;
}

nibble_status tokenize(Host& host) {
  size_t n = 0;
  return nibble_tokenize(host.model, "the heat", 8, 0, nullptr, 0, &n, nullptr);
}

nibble_status chat(Host& host) {
  return nibble_chat(host.session, kQuestion, 1, nullptr, nullptr, nullptr, nullptr);
}

nibble_status embed(Host& host) {
  const nibble_option one[] = {{"threads", "1"}, {nullptr, nullptr}};
  const char* const text = "the heat";
  nibble_embeddings vectors = NIBBLE_EMBEDDINGS_INIT;
  const nibble_status status = nibble_embed(host.model, &text, 1, one, nullptr, &vectors, nullptr);
  const bool agrees = (vectors.values != nullptr) == (status == NIBBLE_OK);
  nibble_embeddings_free(&vectors);
  return agrees ? status : NIBBLE_INTERNAL;
}

nibble_status save(Host& host) {
  return nibble_session_save(host.session, host.again.c_str(), nullptr);
}

nibble_status load(Host& host) {
  return nibble_session_load(host.session, host.saved.c_str(), nullptr);
}

nibble_status quantize(Host& host) {
  const nibble_option one[] = {{"threads", "1"}, {nullptr, nullptr}};
  return nibble_quantize(host.env, host.file.c_str(), host.quantized.c_str(), "Q8_0", one, nullptr,
                         nullptr);
}

// Every nth allocation of the call fails, n = first, first + step ... Returns how many there were.
long check(Host& host, nibble_status (*call)(Host&), bool sticky, long first, long step) {
  for (long nth = first;; nth += step) {
    nibble_status status = NIBBLE_OK;
    bool struck = false;
    {
      const faults::NoMemory none(nth, sticky);
      status = call(host);
      struck = none.struck();
    }
    INFO("allocation " << nth << (sticky ? " and all behind it" : ""));
    if (!struck) {
      CHECK(status == NIBBLE_OK);
      return nth;
    }
    // What could do without the memory may also have gone on.
    CHECK((status == NIBBLE_OK || status == NIBBLE_OUT_OF_MEMORY));
    nibble_env_usage usage = NIBBLE_ENV_USAGE_INIT;
    REQUIRE(nibble_env_get_usage(host.env, &usage, nullptr) == NIBBLE_OK);
    CHECK(usage.n_models == 1);
    CHECK(usage.n_sessions == 1);
  }
}

void check_all(long step) {
  Host host;
  for (const auto call :
       {open_and_free, create_and_free, tokenize, chat, embed, save, load, quantize}) {
    for (const bool sticky : {false, true}) {
      // Another place in each call, so that a step leaves nothing out for good.
      static long first = 0;
      first = first % step + 1;
      CHECK(check(host, call, sticky, first, step) > 1);
      CHECK(host.answer() == host.want);
    }
  }
  CHECK(host.dir.names() == std::set<std::string>{"toy.gguf", "saved", "again", "q8.gguf"});
}

}  // namespace

TEST_CASE("the C API without memory, at one allocation in 29", "[api]") {
  check_all(29);
}

TEST_CASE("the C API without memory, at every allocation", "[.][slow][api]") {
  check_all(1);
}
