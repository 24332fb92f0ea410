// The C API: what it gives, and what it refuses.
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "runtime/api/nibble.h"
#include "runtime/engine/generate.h"
#include "tests/support/api_fixture.h"
#include "tests/support/catch.h"
#include "tests/support/models.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_model.h"

using namespace nibble;
using nibble::test::ApiFixture;
using nibble::test::hear;
using nibble::test::Heard;
using nibble::test::kGreedy;
using nibble::test::kQuestion;

TEST_CASE("the C API gives what the engine gives", "[api]") {
  ApiFixture f;
  const auto engine = Engine::open(f.path());
  Session session(engine);
  SamplerOptions options = engine->sampling();
  options.temperature = 0;
  Sampler sampler(options, static_cast<int32_t>(engine->n_vocab()));
  GenerateOptions generate_options;
  generate_options.n_predict = 12;
  const std::vector<int32_t> prompt = engine->tokenizer().encode("the heat", true, true);
  const GenerateResult want = generate(session, sampler, prompt, generate_options, {});

  Heard heard;
  nibble_result result = NIBBLE_RESULT_INIT;
  REQUIRE(nibble_complete(f.session, "the heat", 8, hear, &heard, &result, &f.error) == NIBBLE_OK);
  CHECK(heard.text == want.text);
  CHECK(heard.kinds.front() == NIBBLE_EVENT_PROGRESS);
  CHECK(heard.kinds.back() == NIBBLE_EVENT_DONE);
  CHECK(result.n_prompt == static_cast<int64_t>(prompt.size()));
  CHECK(result.n_generated == static_cast<int64_t>(want.tokens.size()));
  CHECK(result.finish == NIBBLE_FINISH_LENGTH);

  size_t n = 0;
  std::vector<int32_t> tokens(3);
  REQUIRE(nibble_tokenize(f.model, "the heat", 8, NIBBLE_ADD_SPECIAL | NIBBLE_PARSE_SPECIAL,
                          tokens.data(), 3, &n, nullptr) == NIBBLE_OK);
  CHECK(n == prompt.size());
  CHECK(std::equal(tokens.begin(), tokens.end(), prompt.begin()));
  nibble_buffer text = NIBBLE_BUFFER_INIT;
  REQUIRE(nibble_detokenize(f.model, prompt.data(), n, 0, &text, nullptr) == NIBBLE_OK);
  CHECK(std::string(text.data, text.size) == "the heat");
  nibble_buffer_free(&text);
  CHECK(text.data == nullptr);

  REQUIRE(nibble_evaluate(f.session, prompt.data(), n, nullptr, nullptr, nullptr) == NIBBLE_OK);
  const float* logits = nullptr;
  size_t n_logits = 0;
  REQUIRE(nibble_logits(f.session, &logits, &n_logits, nullptr) == NIBBLE_OK);
  session.sync(prompt);
  const std::span<const float> expected = session.logits();
  CHECK(std::equal(expected.begin(), expected.end(), logits, logits + n_logits));
  int32_t token = -1;
  REQUIRE(nibble_sample(f.session, &token, nullptr) == NIBBLE_OK);
  CHECK(token == want.tokens.front());
}

TEST_CASE("a model says what it is", "[api]") {
  ApiFixture f;
  nibble_model_info info = NIBBLE_MODEL_INFO_INIT;
  REQUIRE(nibble_model_get_info(f.model, &info, nullptr) == NIBBLE_OK);
  CHECK(info.n_vocab == test::kToyVocab);
  CHECK(info.n_ctx_train == 256);
  CHECK(info.has_chat_template == 1);
  CHECK(std::string(info.description) == "llama 48K F32");
  const auto metadata = [&](const char* key) {
    nibble_buffer value = NIBBLE_BUFFER_INIT;
    const nibble_status status = nibble_model_get_metadata(f.model, key, &value, nullptr);
    std::string text = status == NIBBLE_OK ? std::string(value.data, value.size)
                                           : std::string(nibble_status_name(status));
    nibble_buffer_free(&value);
    return text;
  };
  CHECK(metadata("general.name") == "toy");
  CHECK(metadata("llama.block_count") == "2");
  CHECK(metadata("nothing") == "NIBBLE_NOT_FOUND");
  CHECK(metadata("tokenizer.ggml.tokens") == "NIBBLE_UNSUPPORTED");
  nibble_plan plan = NIBBLE_PLAN_INIT;
  const nibble_option context[] = {{"ctx-size", "128"}, {nullptr, nullptr}};
  REQUIRE(nibble_model_plan(f.model, context, &plan, nullptr) == NIBBLE_OK);
  CHECK(plan.n_ctx == 128);
  CHECK(plan.fits == 1);
  CHECK(plan.keys_and_values > 0);
}

TEST_CASE("a conversation is answered, and what is known of it reused", "[api]") {
  ApiFixture f;
  Heard heard;
  nibble_result first = NIBBLE_RESULT_INIT;
  REQUIRE(nibble_chat(f.session, kQuestion, 1, hear, &heard, &first, nullptr) == NIBBLE_OK);
  CHECK(first.n_generated > 8);
  CHECK(first.n_reused == 0);
  size_t n = 0;
  REQUIRE(nibble_count_tokens(f.model, kQuestion, 1, &n, nullptr) == NIBBLE_OK);
  CHECK(first.n_prompt == static_cast<int64_t>(n));
  nibble_buffer prompt = NIBBLE_BUFFER_INIT;
  REQUIRE(nibble_chat_render(f.model, kQuestion, 1, &prompt, nullptr) == NIBBLE_OK);
  CHECK(std::string(prompt.data, prompt.size) == "[u]the heat[a]");
  nibble_buffer_free(&prompt);

  // Event by event, in a second session: the same text.
  nibble_session* other = nullptr;
  REQUIRE(nibble_session_create(f.model, kGreedy, &other, nullptr) == NIBBLE_OK);
  REQUIRE(nibble_chat_begin(other, kQuestion, 1, nullptr) == NIBBLE_OK);
  std::string pulled;
  nibble_event event = NIBBLE_EVENT_INIT;
  do {
    REQUIRE(nibble_next(other, &event, nullptr) == NIBBLE_OK);
    if (event.kind == NIBBLE_EVENT_TEXT) pulled.append(event.text, event.text_size);
  } while (event.kind != NIBBLE_EVENT_DONE);
  CHECK(pulled == heard.text);
  CHECK(event.result->n_generated == first.n_generated);
  CHECK(nibble_next(other, &event, nullptr) == NIBBLE_NOT_FOUND);
  nibble_session_free(other);

  const nibble_message more[] = {
      {"user", "the heat"}, {"assistant", heard.text.c_str()}, {"user", "eh"}};
  nibble_result second = NIBBLE_RESULT_INIT;
  REQUIRE(nibble_chat(f.session, more, 3, nullptr, nullptr, &second, nullptr) == NIBBLE_OK);
  CHECK(second.n_reused >= first.n_prompt);

  // A fork goes on from there; a rewind forgets.
  nibble_session* copy = nullptr;
  REQUIRE(nibble_session_fork(f.session, &copy, nullptr) == NIBBLE_OK);
  nibble_result again = NIBBLE_RESULT_INIT;
  REQUIRE(nibble_chat(copy, more, 3, nullptr, nullptr, &again, nullptr) == NIBBLE_OK);
  CHECK(again.n_reused >= second.n_prompt - 1);
  REQUIRE(nibble_session_rewind(copy, 4, nullptr) == NIBBLE_OK);
  nibble_session_usage usage = NIBBLE_SESSION_USAGE_INIT;
  REQUIRE(nibble_session_get_usage(copy, &usage, nullptr) == NIBBLE_OK);
  CHECK(usage.n_used == 4);
  CHECK(usage.n_ctx == 256);
  nibble_session_free(copy);
}

TEST_CASE("a full context is an error, or drops turns and says so", "[api]") {
  ApiFixture f;
  const std::string longer(150, 'h');
  const nibble_message messages[] = {
      {"user", longer.c_str()}, {"assistant", "the"}, {"user", longer.c_str()}};
  CHECK(nibble_chat(f.session, messages, 3, nullptr, nullptr, nullptr, &f.error) ==
        NIBBLE_CONTEXT_FULL);
  CHECK_THAT(std::string(f.error.message), Catch::Contains("256"));
  CHECK(std::string(f.error.hint) != "");
  REQUIRE(nibble_session_set(f.session, "overflow", "drop", nullptr) == NIBBLE_OK);
  nibble_result result = NIBBLE_RESULT_INIT;
  REQUIRE(nibble_chat(f.session, messages, 3, nullptr, nullptr, &result, &f.error) == NIBBLE_OK);
  CHECK(result.dropped_messages == 2);
  CHECK(result.dropped_tokens > 100);
}

TEST_CASE("handles that are none are refused", "[api]") {
  ApiFixture f;
  nibble_session* session = nullptr;
  CHECK(nibble_session_create(nullptr, nullptr, &session, &f.error) == NIBBLE_BAD_HANDLE);
  CHECK_THAT(std::string(f.error.message), Catch::Contains("model"));
  auto* wrong = reinterpret_cast<nibble_model*>(f.env);
  CHECK(nibble_session_create(wrong, nullptr, &session, nullptr) == NIBBLE_BAD_HANDLE);
  auto* garbage = reinterpret_cast<nibble_model*>(&f);
  CHECK(nibble_session_create(garbage, nullptr, &session, nullptr) == NIBBLE_BAD_HANDLE);
  CHECK(session == nullptr);
  REQUIRE(nibble_session_create(f.model, nullptr, &session, nullptr) == NIBBLE_OK);
  CHECK(nibble_session_free(session) == NIBBLE_OK);
  CHECK(nibble_session_free(session) == NIBBLE_BAD_HANDLE);
  CHECK(nibble_session_cancel(session) == NIBBLE_BAD_HANDLE);
  CHECK(nibble_chat(session, kQuestion, 1, nullptr, nullptr, nullptr, nullptr) ==
        NIBBLE_BAD_HANDLE);
  // Its place is used again; the old handle stays what it was.
  nibble_session* next = nullptr;
  REQUIRE(nibble_session_create(f.model, nullptr, &next, nullptr) == NIBBLE_OK);
  CHECK(next != session);
  CHECK(nibble_session_rewind(session, 0, nullptr) == NIBBLE_BAD_HANDLE);
  CHECK(nibble_session_free(next) == NIBBLE_OK);
  CHECK(nibble_session_free(nullptr) == NIBBLE_OK);
  CHECK(nibble_model_free(nullptr) == NIBBLE_OK);
  CHECK(nibble_env_free(nullptr) == NIBBLE_OK);
  CHECK(nibble_cancel_free(nullptr) == NIBBLE_OK);
  nibble_buffer_free(nullptr);
}

TEST_CASE("NULL where something must be is an error", "[api]") {
  ApiFixture f;
  CHECK(nibble_env_create(nullptr, nullptr, nullptr) == NIBBLE_BAD_ARGUMENT);
  CHECK(nibble_model_open(f.env, nullptr, nullptr, nullptr, &f.model, nullptr) ==
        NIBBLE_BAD_ARGUMENT);
  f.model = nullptr;  // as every call that fails leaves it
  CHECK(nibble_chat(f.session, nullptr, 1, nullptr, nullptr, nullptr, nullptr) ==
        NIBBLE_BAD_ARGUMENT);
  CHECK(nibble_chat(f.session, nullptr, 0, nullptr, nullptr, nullptr, nullptr) ==
        NIBBLE_BAD_ARGUMENT);
  const nibble_message half[] = {{"user", nullptr}};
  CHECK(nibble_chat(f.session, half, 1, nullptr, nullptr, nullptr, nullptr) == NIBBLE_BAD_ARGUMENT);
  CHECK(nibble_session_get_usage(f.session, nullptr, nullptr) == NIBBLE_BAD_ARGUMENT);
  nibble_session_usage unsized = {};
  CHECK(nibble_session_get_usage(f.session, &unsized, nullptr) == NIBBLE_BAD_ARGUMENT);
  CHECK(nibble_evaluate(f.session, nullptr, 2, nullptr, nullptr, nullptr) == NIBBLE_BAD_ARGUMENT);
  const int32_t outside[] = {-1};
  CHECK(nibble_evaluate(f.session, outside, 1, nullptr, nullptr, nullptr) == NIBBLE_BAD_ARGUMENT);
}

TEST_CASE("options are the command's, and name what they refuse", "[api]") {
  ApiFixture f;
  const auto refused = [&](const char* name, const char* value) {
    CHECK(nibble_session_set(f.session, name, value, &f.error) == NIBBLE_BAD_ARGUMENT);
    return std::string(f.error.message);
  };
  CHECK_THAT(refused("heat", "1"), Catch::Contains("'heat'") && Catch::Contains("temp"));
  CHECK_THAT(refused("temp", "warm"), Catch::Contains("temp: expected a number, got 'warm'"));
  CHECK_THAT(refused("top-p", "1.5"), Catch::Contains("top-p"));
  CHECK_THAT(refused("top-k", "-1"), Catch::Contains("top-k"));
  CHECK_THAT(refused("samplers", "coin"), Catch::Contains("coin"));
  CHECK_THAT(refused("logit-bias", "9999999+1"), Catch::Contains("logit-bias"));
  CHECK_THAT(refused("ctx-size", "64"), Catch::Contains("'ctx-size'"));  // too late for that
  const nibble_option unknown[] = {{"size", "1"}, {nullptr, nullptr}};
  nibble_session* session = nullptr;
  CHECK(nibble_session_create(f.model, unknown, &session, nullptr) == NIBBLE_BAD_ARGUMENT);
  // What was refused changed nothing; what is set is kept.
  CHECK(nibble_session_set(f.session, "predict", "3", &f.error) == NIBBLE_OK);
  CHECK(std::string(f.error.message).empty());
  nibble_result result = NIBBLE_RESULT_INIT;
  REQUIRE(nibble_complete(f.session, "the", 3, nullptr, nullptr, &result, nullptr) == NIBBLE_OK);
  CHECK(result.n_generated == 3);
}

TEST_CASE("a session in use is busy, also for its own callback", "[api]") {
  ApiFixture f;
  struct Inside {
    nibble_session* session;
    nibble_status set, usage;
  } inside = {f.session, NIBBLE_OK, NIBBLE_OK};
  const auto on_event = [](const nibble_event*, void* user) {
    auto& i = *static_cast<Inside*>(user);
    i.set = nibble_session_set(i.session, "temp", "0", nullptr);
    nibble_session_usage usage = NIBBLE_SESSION_USAGE_INIT;
    i.usage = nibble_session_get_usage(i.session, &usage, nullptr);
    return 0;
  };
  REQUIRE(nibble_complete(f.session, "the", 3, on_event, &inside, nullptr, nullptr) == NIBBLE_OK);
  CHECK(inside.set == NIBBLE_BUSY);
  CHECK(inside.usage == NIBBLE_BUSY);
  CHECK(nibble_session_set(f.session, "temp", "0", nullptr) == NIBBLE_OK);
}

TEST_CASE("what a callback or another thread cancels ends soon", "[api]") {
  ApiFixture f;
  REQUIRE(nibble_session_set(f.session, "predict", "200", nullptr) == NIBBLE_OK);
  Heard heard;
  heard.answer = 1;
  nibble_result result = NIBBLE_RESULT_INIT;
  REQUIRE(nibble_complete(f.session, "the", 3, hear, &heard, &result, nullptr) == NIBBLE_OK);
  CHECK(result.finish == NIBBLE_FINISH_CANCELLED);
  CHECK(std::count(heard.kinds.begin(), heard.kinds.end(), NIBBLE_EVENT_TEXT) == 1);
  CHECK(heard.kinds.back() == NIBBLE_EVENT_DONE);

  // From within: asked to stop, and freed.
  for (const auto stop : {nibble_session_cancel, nibble_session_free}) {
    nibble_session* session = nullptr;
    REQUIRE(nibble_session_fork(f.session, &session, nullptr) == NIBBLE_OK);
    struct Inside {
      nibble_session* session;
      nibble_status (*stop)(nibble_session*);
    } inside = {session, stop};
    const auto on_event = [](const nibble_event* event, void* user) {
      auto& i = *static_cast<Inside*>(user);
      if (event->kind == NIBBLE_EVENT_TEXT) i.stop(i.session);
      return 0;
    };
    nibble_result ended = NIBBLE_RESULT_INIT;
    CHECK(nibble_complete(session, "the", 3, on_event, &inside, &ended, nullptr) == NIBBLE_OK);
    CHECK(ended.finish == NIBBLE_FINISH_CANCELLED);
    nibble_session_free(session);
  }

  nibble_cancel* cancel = nullptr;
  REQUIRE(nibble_cancel_create(f.env, &cancel, nullptr) == NIBBLE_OK);
  nibble_job job = NIBBLE_JOB_INIT;
  job.cancel = cancel;
  REQUIRE(nibble_cancel_request(cancel) == NIBBLE_OK);
  nibble_model* model = nullptr;
  CHECK(nibble_model_open(f.env, f.path().c_str(), nullptr, &job, &model, nullptr) ==
        NIBBLE_CANCELLED);
  CHECK(model == nullptr);
  REQUIRE(nibble_cancel_reset(cancel) == NIBBLE_OK);
  CHECK(nibble_model_open(f.env, f.path().c_str(), nullptr, &job, &model, nullptr) == NIBBLE_OK);
  nibble_model_free(model);
  CHECK(nibble_cancel_free(cancel) == NIBBLE_OK);
}

TEST_CASE("objects may be freed in any order", "[api]") {
  ApiFixture f;
  CHECK(nibble_env_free(f.env) == NIBBLE_OK);
  CHECK(nibble_model_free(f.model) == NIBBLE_OK);
  nibble_result result = NIBBLE_RESULT_INIT;
  CHECK(nibble_chat(f.session, kQuestion, 1, nullptr, nullptr, &result, nullptr) == NIBBLE_OK);
  CHECK(result.n_generated > 8);
  f.env = nullptr;
  f.model = nullptr;
}

TEST_CASE("an environment counts what is there", "[api]") {
  ApiFixture f;
  const auto usage = [&] {
    nibble_env_usage now = NIBBLE_ENV_USAGE_INIT;
    REQUIRE(nibble_env_get_usage(f.env, &now, nullptr) == NIBBLE_OK);
    return now;
  };
  REQUIRE(nibble_chat(f.session, kQuestion, 1, nullptr, nullptr, nullptr, nullptr) == NIBBLE_OK);
  CHECK(usage().n_models == 1);
  CHECK(usage().n_sessions == 1);
  CHECK(usage().bytes > 0);
  for (int i = 0; i < 300; ++i) {
    nibble_session* session = nullptr;
    REQUIRE(nibble_session_create(f.model, kGreedy, &session, nullptr) == NIBBLE_OK);
    REQUIRE(nibble_session_free(session) == NIBBLE_OK);
  }
  CHECK(usage().n_sessions == 1);
  nibble_session_free(f.session);
  nibble_model_free(f.model);
  f.session = nullptr;
  f.model = nullptr;
  CHECK(usage().n_models == 0);
  CHECK(usage().file_bytes == 0);
  CHECK(usage().bytes == 0);
}

TEST_CASE("a forked child gets an error, and may start anew", "[api]") {
  ApiFixture f;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int failures = 0;
    failures += nibble_session_rewind(f.session, 0, nullptr) != NIBBLE_FORKED;
    failures += nibble_session_free(f.session) != NIBBLE_FORKED;
    nibble_env* env = nullptr;
    failures += nibble_env_create(nullptr, &env, nullptr) != NIBBLE_OK;
    failures += nibble_session_rewind(f.session, 0, nullptr) != NIBBLE_BAD_HANDLE;
    failures += nibble_env_free(env) != NIBBLE_OK;
    _exit(failures);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(nibble_chat(f.session, kQuestion, 1, nullptr, nullptr, nullptr, nullptr) == NIBBLE_OK);
}

TEST_CASE("threads share a model, each with sessions of its own", "[api]") {
  ApiFixture f;
  Heard want;
  REQUIRE(nibble_chat(f.session, kQuestion, 1, hear, &want, nullptr, nullptr) == NIBBLE_OK);
  std::vector<std::string> got(3);
  std::vector<std::thread> threads;
  for (std::string& text : got) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) {
        nibble_session* session = nullptr;
        if (nibble_session_create(f.model, kGreedy, &session, nullptr) != NIBBLE_OK) return;
        text.clear();
        const auto append = [](const nibble_event* event, void* user) {
          if (event->kind == NIBBLE_EVENT_TEXT) *static_cast<std::string*>(user) += event->text;
          return 0;
        };
        nibble_chat(session, kQuestion, 1, append, &text, nullptr, nullptr);
        nibble_session_free(session);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  for (const std::string& text : got) CHECK(text == want.text);
}

TEST_CASE("files are verified, quantized and converted through the C API", "[api]") {
  ApiFixture f;
  CHECK(nibble_verify(f.env, f.path().c_str(), nullptr, &f.error) == NIBBLE_OK);
  const std::string out = f.dir / "small.gguf";
  Heard heard;
  nibble_job job = NIBBLE_JOB_INIT;
  job.on_event = hear;
  job.user = &heard;
  REQUIRE(nibble_quantize(f.env, f.path().c_str(), out.c_str(), "q8_0", nullptr, &job, &f.error) ==
          NIBBLE_OK);
  CHECK_FALSE(heard.kinds.empty());
  nibble_model* model = nullptr;
  REQUIRE(nibble_model_open(f.env, out.c_str(), nullptr, nullptr, &model, &f.error) == NIBBLE_OK);
  nibble_model_free(model);
  CHECK(nibble_quantize(f.env, f.path().c_str(), out.c_str(), "q9", nullptr, nullptr, &f.error) ==
        NIBBLE_BAD_ARGUMENT);
  const std::string tensors = f.dir / "model.safetensors";
  CHECK(nibble_convert(f.env, f.path().c_str(), tensors.c_str(), nullptr, nullptr, &f.error) ==
        NIBBLE_OK);
  test::write_file(f.dir / "cut.gguf", test::read_file(out).substr(0, 3000));
  CHECK(nibble_verify(f.env, (f.dir / "cut.gguf").c_str(), nullptr, &f.error) == NIBBLE_BAD_FILE);
  CHECK(nibble_verify(f.env, (f.dir / "none.gguf").c_str(), nullptr, &f.error) == NIBBLE_NOT_FOUND);
}

TEST_CASE("the C API chats with a real model, and reuses its own answers", "[model][api]") {
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  nibble_env* env = nullptr;
  nibble_model* model = nullptr;
  nibble_session* session = nullptr;
  const nibble_option options[] = {{"temp", "0"}, {"predict", "24"}, {nullptr, nullptr}};
  REQUIRE(nibble_env_create(nullptr, &env, nullptr) == NIBBLE_OK);
  REQUIRE(nibble_model_open(env, path.c_str(), nullptr, nullptr, &model, nullptr) == NIBBLE_OK);
  REQUIRE(nibble_session_create(model, options, &session, nullptr) == NIBBLE_OK);
  const nibble_message question[] = {{"user", "Why is the sky blue?"}};
  Heard heard;
  nibble_result first = NIBBLE_RESULT_INIT;
  REQUIRE(nibble_chat(session, question, 1, hear, &heard, &first, nullptr) == NIBBLE_OK);
  CHECK_THAT(heard.text, Catch::Contains("sky"));
  const nibble_message more[] = {
      question[0], {"assistant", heard.text.c_str()}, {"user", "And at night?"}};
  nibble_result second = NIBBLE_RESULT_INIT;
  REQUIRE(nibble_chat(session, more, 3, nullptr, nullptr, &second, nullptr) == NIBBLE_OK);
  // All but the answer's last token, which was not evaluated.
  CHECK(first.finish == NIBBLE_FINISH_LENGTH);
  CHECK(second.n_reused == first.n_prompt + first.n_generated - 1);
  nibble_session_free(session);
  nibble_model_free(model);
  nibble_env_free(env);
}
