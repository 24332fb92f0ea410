// Threads that do at random, for a while, whatever the C API lets them do with handles that others
// free, cancel, save and open at the same time. Right is: no status that the call cannot give here,
// every undisturbed answer the expected one, nothing left at the end.
// usage: api_stress SECONDS [THREADS [SEED]]
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "runtime/api/nibble.h"
#include "tests/support/chatting_model.h"
#include "tests/support/temp_dir.h"

using namespace nibble;

namespace {

using Clock = std::chrono::steady_clock;
using test::hear;
using test::Heard;
using test::kQuestion;

constexpr size_t kModels = 3;
constexpr size_t kSessions = 8;

std::atomic<int64_t> n_calls{0};
std::atomic<int64_t> n_answers{0};
std::atomic<bool> wrong{false};

void expect(bool right, const char* what, nibble_status status) {
  if (right) return;
  std::printf("%s: %s\n", what, nibble_status_name(status));
  wrong = true;
}

bool is_one_of(nibble_status status, std::initializer_list<nibble_status> all) {
  ++n_calls;
  for (const nibble_status one : all) {
    if (status == one) return true;
  }
  return false;
}

// Handles that any thread takes, uses, replaces and frees.
struct Board {
  nibble_env* env = nullptr;
  std::array<std::atomic<nibble_model*>, kModels> models{};
  std::array<std::atomic<nibble_session*>, kSessions> sessions{};
  std::string path;
  std::string want;
  test::TempDir dir;
};

class Player {
 public:
  Player(Board& board, unsigned seed, int number)
      : board_(board), random_(seed), saved_(board.dir / ("saved" + std::to_string(number))) {}

  void play(Clock::time_point end) {
    while (Clock::now() < end && !wrong) step();
  }

 private:
  size_t pick(size_t n) { return random_() % n; }
  nibble_session* session() { return board_.sessions[pick(kSessions)]; }
  nibble_model* model() { return board_.models[pick(kModels)]; }

  void step() {
    switch (pick(16)) {
      case 0:
        return open();
      case 1:
      case 2:
        return create();
      case 3:
        return fork();
      case 4:
        return cancel();
      case 5:
        return save();
      case 6:
        return load();
      case 7:
        return steps();
      case 8:
        return look();
      default:
        return chat();
    }
  }

  void open() {
    nibble_model* model = nullptr;
    const nibble_status status =
        nibble_model_open(board_.env, board_.path.c_str(), nullptr, nullptr, &model, nullptr);
    expect(is_one_of(status, {NIBBLE_OK}), "open", status);
    nibble_model* old = board_.models[pick(kModels)].exchange(model);
    const nibble_status freed = nibble_model_free(old);
    expect(is_one_of(freed, {NIBBLE_OK}), "free a model", freed);
  }

  void create() {
    nibble_session* session = nullptr;
    const nibble_status status = nibble_session_create(model(), test::kGreedy, &session, nullptr);
    expect(is_one_of(status, {NIBBLE_OK, NIBBLE_BAD_HANDLE}), "create", status);
    replace(session);
  }

  void fork() {
    nibble_session* copy = nullptr;
    const nibble_status status = nibble_session_fork(session(), &copy, nullptr);
    expect(is_one_of(status, {NIBBLE_OK, NIBBLE_BAD_HANDLE, NIBBLE_BUSY}), "fork", status);
    replace(copy);
  }

  void replace(nibble_session* session) {
    nibble_session* old = board_.sessions[pick(kSessions)].exchange(session);
    const nibble_status freed = nibble_session_free(old);
    expect(is_one_of(freed, {NIBBLE_OK}), "free a session", freed);
  }

  void cancel() {
    const nibble_status status = nibble_session_cancel(session());
    expect(is_one_of(status, {NIBBLE_OK, NIBBLE_BAD_HANDLE}), "cancel", status);
  }

  void save() {
    const nibble_status status = nibble_session_save(session(), saved_.c_str(), nullptr);
    expect(is_one_of(status, {NIBBLE_OK, NIBBLE_BAD_HANDLE, NIBBLE_BUSY, NIBBLE_CANCELLED}), "save",
           status);
  }

  void load() {
    const nibble_status status = nibble_session_load(session(), saved_.c_str(), nullptr);
    expect(is_one_of(status, {NIBBLE_OK, NIBBLE_BAD_HANDLE, NIBBLE_BUSY, NIBBLE_CANCELLED,
                              NIBBLE_NOT_FOUND}),
           "load", status);
  }

  void chat() {
    Heard heard;
    nibble_result result = NIBBLE_RESULT_INIT;
    const nibble_status status =
        nibble_chat(session(), kQuestion, 1, hear, &heard, &result, nullptr);
    expect(is_one_of(status, {NIBBLE_OK, NIBBLE_BAD_HANDLE, NIBBLE_BUSY}), "chat", status);
    if (status != NIBBLE_OK) return;
    const bool whole = result.finish != NIBBLE_FINISH_CANCELLED;
    const bool begins = board_.want.compare(0, heard.text.size(), heard.text) == 0;
    expect(whole ? heard.text == board_.want : begins, "the answer", status);
    ++n_answers;
  }

  void steps() {
    nibble_session* mine = session();
    nibble_status status = nibble_chat_begin(mine, kQuestion, 1, nullptr);
    for (int i = 0; status == NIBBLE_OK && i < 6; ++i) {
      nibble_event event = NIBBLE_EVENT_INIT;
      status = nibble_next(mine, &event, nullptr);
    }
    // Another thread may have ended the generation, or begun its own.
    expect(is_one_of(status, {NIBBLE_OK, NIBBLE_BAD_HANDLE, NIBBLE_BUSY, NIBBLE_NOT_FOUND,
                              NIBBLE_CANCELLED}),
           "next", status);
  }

  void look() {
    nibble_env_usage usage = NIBBLE_ENV_USAGE_INIT;
    nibble_status status = nibble_env_get_usage(board_.env, &usage, nullptr);
    expect(is_one_of(status, {NIBBLE_OK}) && usage.n_sessions >= 0, "usage", status);
    size_t n = 0;
    status = nibble_tokenize(model(), "the heat", 8, 0, nullptr, 0, &n, nullptr);
    expect(is_one_of(status, {NIBBLE_OK, NIBBLE_BAD_HANDLE}), "tokenize", status);
  }

  Board& board_;
  std::mt19937 random_;
  std::string saved_;
};

// What an undisturbed session answers.
bool learn_answer(Board& board) {
  nibble_model* model = nullptr;
  nibble_session* session = nullptr;
  Heard heard;
  const bool ok =
      nibble_model_open(board.env, board.path.c_str(), nullptr, nullptr, &model, nullptr) == 0 &&
      nibble_session_create(model, test::kGreedy, &session, nullptr) == 0 &&
      nibble_chat(session, kQuestion, 1, hear, &heard, nullptr, nullptr) == 0;
  board.want = heard.text;
  nibble_session_free(session);
  nibble_model_free(model);
  return ok;
}

}  // namespace

int main(int argc, char** argv) {
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 2;
  const int n_threads = argc > 2 ? std::atoi(argv[2]) : 6;
  const unsigned seed = argc > 3 ? static_cast<unsigned>(std::atoi(argv[3])) : 1;
  Board board;
  board.path = board.dir / "toy.gguf";
  test::write_file(board.path, test::chatting_model());
  if (nibble_env_create(nullptr, &board.env, nullptr) != NIBBLE_OK) return 2;
  if (!learn_answer(board)) return 2;
  std::vector<std::thread> threads;
  for (int i = 0; i < n_threads; ++i) {
    threads.emplace_back([&board, seed, seconds, i] {
      Player(board, seed + static_cast<unsigned>(i), i)
          .play(Clock::now() + std::chrono::seconds(seconds));
    });
  }
  for (std::thread& t : threads) t.join();
  for (auto& s : board.sessions) nibble_session_free(s);
  for (auto& m : board.models) nibble_model_free(m);
  nibble_env_usage usage = NIBBLE_ENV_USAGE_INIT;
  nibble_env_get_usage(board.env, &usage, nullptr);
  nibble_env_free(board.env);
  std::printf(
      "%d threads, %d s: %lld calls, %lld answers; left: %lld models, %lld sessions, "
      "%lld bytes\n",
      n_threads, seconds, static_cast<long long>(n_calls), static_cast<long long>(n_answers),
      static_cast<long long>(usage.n_models), static_cast<long long>(usage.n_sessions),
      static_cast<long long>(usage.bytes));
  const bool empty = usage.n_models == 0 && usage.n_sessions == 0 && usage.bytes == 0;
  return wrong || !empty || n_answers == 0 ? 1 : 0;
}
