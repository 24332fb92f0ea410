// What a host may count on whatever it does: requests to stop that come at any moment, callbacks
// that throw, forks, pools of its own.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/api/nibble.h"
#include "tests/support/api_fixture.h"
#include "tests/support/catch.h"

using namespace nibble;
using nibble::test::ApiFixture;
using nibble::test::hear;
using nibble::test::Heard;
using nibble::test::kQuestion;

namespace {

std::string answer_of(nibble_session* session) {
  Heard heard;
  REQUIRE(nibble_chat(session, kQuestion, 1, hear, &heard, nullptr, nullptr) == NIBBLE_OK);
  return heard.text;
}

// A pool that starts a thread for each task.
struct Pool {
  std::vector<std::thread> threads;
  std::atomic<int> n_tasks{0};

  static int submit(void* user, void (*task)(void*), void* arg, int n) {
    auto& pool = *static_cast<Pool*>(user);
    for (int i = 0; i < n; ++i) {
      pool.threads.emplace_back([task, arg] { task(arg); });
    }
    pool.n_tasks += n;
    return n;
  }
  static void wait(void* user) {
    auto& pool = *static_cast<Pool*>(user);
    for (std::thread& t : pool.threads) t.join();
    pool.threads.clear();
  }
};

}  // namespace

TEST_CASE("a request to stop between two steps ends the generation", "[api]") {
  ApiFixture f;
  REQUIRE(nibble_chat_begin(f.session, kQuestion, 1, nullptr) == NIBBLE_OK);
  REQUIRE(nibble_session_cancel(f.session) == NIBBLE_OK);
  nibble_event event = NIBBLE_EVENT_INIT;
  REQUIRE(nibble_next(f.session, &event, nullptr) == NIBBLE_OK);
  REQUIRE(event.kind == NIBBLE_EVENT_DONE);
  CHECK(event.result->finish == NIBBLE_FINISH_CANCELLED);
  CHECK(nibble_next(f.session, &event, nullptr) == NIBBLE_NOT_FOUND);
  // With nothing under way it is none for what comes later.
  REQUIRE(nibble_session_cancel(f.session) == NIBBLE_OK);
  CHECK_FALSE(answer_of(f.session).empty());
}

TEST_CASE("a call that fails has ended the generation before it", "[api]") {
  ApiFixture f;
  REQUIRE(nibble_chat_begin(f.session, kQuestion, 1, nullptr) == NIBBLE_OK);
  CHECK(nibble_chat_begin(f.session, nullptr, 1, nullptr) == NIBBLE_BAD_ARGUMENT);
  nibble_event event = NIBBLE_EVENT_INIT;
  CHECK(nibble_next(f.session, &event, nullptr) == NIBBLE_NOT_FOUND);
}

TEST_CASE("structs without a size are refused before any work", "[api]") {
  ApiFixture f;
  REQUIRE(nibble_chat_begin(f.session, kQuestion, 1, nullptr) == NIBBLE_OK);
  nibble_event event = {};
  CHECK(nibble_next(f.session, &event, nullptr) == NIBBLE_BAD_ARGUMENT);
  CHECK(nibble_next(f.session, nullptr, nullptr) == NIBBLE_BAD_ARGUMENT);
  event = NIBBLE_EVENT_INIT;
  REQUIRE(nibble_next(f.session, &event, nullptr) == NIBBLE_OK);
  CHECK(event.kind == NIBBLE_EVENT_PROGRESS);  // none was lost

  nibble_result result = {};
  Heard heard;
  CHECK(nibble_chat(f.session, kQuestion, 1, hear, &heard, &result, nullptr) ==
        NIBBLE_BAD_ARGUMENT);
  CHECK(heard.kinds.empty());
  nibble_job job = {};
  CHECK(nibble_verify(f.env, f.path().c_str(), &job, nullptr) == NIBBLE_BAD_ARGUMENT);
}

TEST_CASE("an exception of a callback's ends the call, not the process", "[api]") {
  ApiFixture f;
  const auto throws = [](const nibble_event* event, void*) -> int {
    if (event->kind == NIBBLE_EVENT_PROGRESS) throw std::runtime_error("of the host");
    return 0;
  };
  nibble_job job = NIBBLE_JOB_INIT;
  job.on_event = throws;
  CHECK(nibble_verify(f.env, f.path().c_str(), &job, &f.error) == NIBBLE_INTERNAL);
  CHECK(std::string(f.error.message) == "of the host");
  const std::string out = f.dir / "q8.gguf";
  CHECK(nibble_quantize(f.env, f.path().c_str(), out.c_str(), "Q8_0", nullptr, &job, &f.error) ==
        NIBBLE_INTERNAL);
  CHECK(std::string(f.error.message) == "of the host");
  CHECK(access(out.c_str(), F_OK) != 0);
  CHECK(nibble_chat(f.session, kQuestion, 1, throws, nullptr, nullptr, &f.error) ==
        NIBBLE_INTERNAL);
  nibble_event event = NIBBLE_EVENT_INIT;
  CHECK(nibble_next(f.session, &event, nullptr) == NIBBLE_NOT_FOUND);
  CHECK_FALSE(answer_of(f.session).empty());
}

TEST_CASE("a copy of a session draws the same numbers, also before its first", "[api]") {
  ApiFixture f;
  REQUIRE(nibble_session_set(f.session, "temp", "2", nullptr) == NIBBLE_OK);
  REQUIRE(nibble_session_set(f.session, "seed", "-1", nullptr) == NIBBLE_OK);
  nibble_session* copy = nullptr;
  REQUIRE(nibble_session_fork(f.session, &copy, nullptr) == NIBBLE_OK);
  CHECK(answer_of(copy) == answer_of(f.session));
  CHECK(nibble_session_free(copy) == NIBBLE_OK);
}

TEST_CASE("the prompt that is shown is the one that is evaluated", "[api]") {
  ApiFixture f;
  const auto shown = [&](const std::vector<nibble_message>& messages) {
    nibble_buffer prompt = NIBBLE_BUFFER_INIT;
    REQUIRE(nibble_chat_render(f.model, messages.data(), messages.size(), &prompt, nullptr) ==
            NIBBLE_OK);
    std::string text(prompt.data, prompt.size);
    nibble_buffer_free(&prompt);
    return text;
  };
  CHECK(shown({{"user", "hi"}}) == "[u]hi[a]");
  CHECK(shown({{"system", "be"}, {"user", "hi"}}) == "[s]be[u]hi[a]");
  CHECK(shown({{"system", ""}, {"user", "hi"}}) == "[u]hi[a]");
  CHECK(shown({{"user", "hi"}, {"assistant", "th"}}) == "[u]hi[a]th");
}

TEST_CASE("all pools of threads give the same answer", "[api]") {
  ApiFixture f;
  const std::string want = answer_of(f.session);
  const nibble_option openmp[] = {{"team", "openmp"}, {nullptr, nullptr}};
  const nibble_option unknown[] = {{"team", "mine"}, {nullptr, nullptr}};
  Pool pool;
  nibble_executor executor = NIBBLE_EXECUTOR_INIT;
  executor.user = &pool;
  executor.submit = Pool::submit;
  executor.wait = Pool::wait;
  nibble_env* env = nullptr;
  CHECK(nibble_env_create(unknown, &env, &f.error) == NIBBLE_BAD_ARGUMENT);
  CHECK(std::string(f.error.message) == "team: expected threads or openmp, got 'mine'");
  for (const bool host : {false, true}) {
    REQUIRE(nibble_env_create(openmp, &env, nullptr) == NIBBLE_OK);
    if (host) {
      REQUIRE(nibble_env_set_executor(env, &executor, nullptr) == NIBBLE_OK);
    }
    nibble_model* model = nullptr;
    nibble_session* session = nullptr;
    REQUIRE(nibble_model_open(env, f.path().c_str(), nullptr, nullptr, &model, nullptr) ==
            NIBBLE_OK);
    REQUIRE(nibble_session_create(model, test::kGreedy, &session, nullptr) == NIBBLE_OK);
    CHECK(answer_of(session) == want);
    nibble_session_free(session);
    nibble_model_free(model);
    nibble_env_free(env);
  }
  CHECK(pool.n_tasks > 0);
  CHECK(pool.threads.empty());

  executor.submit = nullptr;
  CHECK(nibble_env_set_executor(f.env, &executor, nullptr) == NIBBLE_BAD_ARGUMENT);
}

#if !defined(__SANITIZE_THREAD__)  // which cannot follow a fork of a process with threads
TEST_CASE("a forked child answers with an environment of its own", "[api]") {
  ApiFixture f;
  const std::string want = answer_of(f.session);
  // From within a call, which the child then leaves: its handle is none of the child's.
  struct Inside {
    const ApiFixture* fixture;
    const std::string* want;
    pid_t parent;
    pid_t child;
    int failures;
  } inside = {&f, &want, getpid(), 0, 0};
  const auto on_event = [](const nibble_event* event, void* user) {
    auto& i = *static_cast<Inside*>(user);
    if (event->kind != NIBBLE_EVENT_TEXT || i.child != 0 || getpid() != i.parent) return 0;
    i.child = fork();
    if (i.child != 0) return 0;
    nibble_env* env = nullptr;
    nibble_model* model = nullptr;
    nibble_session* session = nullptr;
    const std::string path = i.fixture->path();
    i.failures += nibble_env_create(nullptr, &env, nullptr) != NIBBLE_OK;
    i.failures += nibble_model_open(env, path.c_str(), nullptr, nullptr, &model, nullptr) != 0;
    i.failures += nibble_session_create(model, test::kGreedy, &session, nullptr) != NIBBLE_OK;
    Heard heard;
    i.failures += nibble_chat(session, kQuestion, 1, hear, &heard, nullptr, nullptr) != NIBBLE_OK;
    i.failures += heard.text != *i.want;
    i.child = -1;
    return 1;
  };
  (void)nibble_chat(f.session, kQuestion, 1, on_event, &inside, nullptr, nullptr);
  if (getpid() != inside.parent) _exit(inside.failures);
  REQUIRE(inside.child > 0);
  int status = -1;
  REQUIRE(waitpid(inside.child, &status, 0) == inside.child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(answer_of(f.session) == want);
}
#endif

TEST_CASE("a model opens from a path, a descriptor, memory and a reader", "[api]") {
  ApiFixture f;
  const std::string want = answer_of(f.session);
  const std::string bytes = test::chatting_model();
  const auto answers = [&](nibble_model* model) {
    nibble_session* session = nullptr;
    REQUIRE(nibble_session_create(model, test::kGreedy, &session, nullptr) == NIBBLE_OK);
    std::string text = answer_of(session);
    nibble_session_free(session);
    nibble_model_free(model);
    return text;
  };
  nibble_model* model = nullptr;
  nibble_error& error = f.error;

  // In a bundle: at a page's start, where it is mapped, and elsewhere, where it is read.
  for (const size_t offset : {size_t{4096}, size_t{100}}) {
    const std::string bundle = f.dir / "bundle";
    test::write_file(bundle, std::string(offset, 'x') + bytes + "more");
    const int fd = open(bundle.c_str(), O_RDONLY);
    REQUIRE(fd >= 0);
    REQUIRE(nibble_model_open_fd(f.env, fd, offset, bytes.size(), nullptr, nullptr, &model,
                                 nullptr) == NIBBLE_OK);
    nibble_model* too_long = model;
    CHECK(nibble_model_open_fd(f.env, fd, offset, bytes.size() + 5, nullptr, nullptr, &too_long,
                               &error) == NIBBLE_BAD_ARGUMENT);
    CHECK(too_long == nullptr);
    close(fd);
    CHECK(answers(model) == want);
  }
  CHECK(nibble_model_open_fd(f.env, -1, 0, 0, nullptr, nullptr, &model, nullptr) == NIBBLE_IO);

  std::vector<uint64_t> memory((bytes.size() + 7) / 8 + 1);
  std::memcpy(memory.data(), bytes.data(), bytes.size());
  REQUIRE(nibble_model_open_memory(f.env, memory.data(), bytes.size(), nullptr, nullptr, &model,
                                   nullptr) == NIBBLE_OK);
  CHECK(answers(model) == want);
  CHECK(nibble_model_open_memory(f.env, reinterpret_cast<char*>(memory.data()) + 1, bytes.size(),
                                 nullptr, nullptr, &model, nullptr) == NIBBLE_BAD_ARGUMENT);
  CHECK(nibble_model_open_memory(f.env, memory.data(), bytes.size() - 1, nullptr, nullptr, &model,
                                 nullptr) == NIBBLE_BAD_FILE);

  struct Source {
    const std::string* bytes;
    bool fails;
  } source = {&bytes, false};
  nibble_reader reader = NIBBLE_READER_INIT;
  reader.user = &source;
  reader.total = bytes.size();
  reader.read = [](void* user, uint64_t offset, void* to, size_t n) {
    const auto& s = *static_cast<Source*>(user);
    if (s.fails || offset + n > s.bytes->size()) return -1;
    std::memcpy(to, s.bytes->data() + offset, n);
    return 0;
  };
  REQUIRE(nibble_model_open_reader(f.env, &reader, nullptr, nullptr, &model, nullptr) == NIBBLE_OK);
  CHECK(answers(model) == want);
  reader.total = bytes.size() - 1;
  CHECK(nibble_model_open_reader(f.env, &reader, nullptr, nullptr, &model, nullptr) ==
        NIBBLE_BAD_FILE);
  source.fails = true;
  CHECK(nibble_model_open_reader(f.env, &reader, nullptr, nullptr, &model, &error) == NIBBLE_IO);
  CHECK(std::string(error.message).find("the reader failed") != std::string::npos);
  reader.total = ~uint64_t{0} >> 2;
  CHECK(nibble_model_open_reader(f.env, &reader, nullptr, nullptr, &model, nullptr) ==
        NIBBLE_OUT_OF_MEMORY);
  reader.read = nullptr;
  CHECK(nibble_model_open_reader(f.env, &reader, nullptr, nullptr, &model, nullptr) ==
        NIBBLE_BAD_ARGUMENT);
}

TEST_CASE("a session that was saved answers as the one it was saved from", "[api]") {
  ApiFixture f;
  REQUIRE(nibble_session_set(f.session, "temp", "2", nullptr) == NIBBLE_OK);
  const std::string first = answer_of(f.session);
  const std::string path = f.dir / "saved";
  REQUIRE(nibble_session_save(f.session, path.c_str(), nullptr) == NIBBLE_OK);
  nibble_session* restored = nullptr;
  REQUIRE(nibble_session_create(f.model, test::kGreedy, &restored, nullptr) == NIBBLE_OK);
  REQUIRE(nibble_session_set(restored, "temp", "2", nullptr) == NIBBLE_OK);
  REQUIRE(nibble_session_load(restored, path.c_str(), nullptr) == NIBBLE_OK);

  const nibble_message more[] = {{"user", "the heat"}, {"assistant", first.c_str()}, {"user", "a"}};
  Heard want, got;
  nibble_result want_result = NIBBLE_RESULT_INIT, got_result = NIBBLE_RESULT_INIT;
  REQUIRE(nibble_chat(f.session, more, 3, hear, &want, &want_result, nullptr) == NIBBLE_OK);
  REQUIRE(nibble_chat(restored, more, 3, hear, &got, &got_result, nullptr) == NIBBLE_OK);
  CHECK(got.text == want.text);
  CHECK(got_result.n_reused == want_result.n_reused);
  CHECK(got_result.n_reused > 0);

  test::write_file(path, "no session");
  CHECK(nibble_session_load(restored, path.c_str(), nullptr) == NIBBLE_BAD_FILE);
  CHECK(nibble_session_load(restored, (f.dir / "none").c_str(), nullptr) == NIBBLE_NOT_FOUND);
  CHECK(nibble_session_save(restored, f.path().c_str(), nullptr) == NIBBLE_BAD_ARGUMENT);
  CHECK(nibble_session_free(restored) == NIBBLE_OK);
}

TEST_CASE("a file is described without being opened", "[api]") {
  ApiFixture f;
  const auto inspect = [&](const nibble_option* options) {
    nibble_buffer json = NIBBLE_BUFFER_INIT;
    REQUIRE(nibble_inspect(f.env, f.path().c_str(), options, &json, nullptr) == NIBBLE_OK);
    const auto parsed = nlohmann::json::parse(std::string(json.data, json.size));
    nibble_buffer_free(&json);
    return parsed;
  };
  const nibble_option small[] = {{"ctx-size", "100"}, {nullptr, nullptr}};
  const nlohmann::json described = inspect(small);
  CHECK(described["architecture"] == "llama");
  CHECK(described["runs"] == true);
  CHECK(described["memory_plan"]["context"] == 100);
  CHECK(described["tokenizer"]["tokens"] == test::kToyVocab);
  // A key of many items is cut, unless all are wanted.
  const auto items = [](const nlohmann::json& j) {
    for (const auto& row : j["metadata"]) {
      if (row["key"] == "tokenizer.ggml.tokens") return row["value"].size();
    }
    return size_t{0};
  };
  const nibble_option full[] = {{"full", ""}, {nullptr, nullptr}};
  CHECK(items(described) == 16);
  CHECK(items(inspect(full)) == static_cast<size_t>(test::kToyVocab));
  nibble_buffer json = NIBBLE_BUFFER_INIT;
  CHECK(nibble_inspect(f.env, (f.dir / "none").c_str(), nullptr, &json, nullptr) ==
        NIBBLE_NOT_FOUND);
  CHECK(json.data == nullptr);
}
