#pragma once
// What the handles of the C API stand for. A session keeps its model, a model what it has from the
// environment, so that they may be freed in any order.
#include <atomic>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/api/call.h"
#include "runtime/engine/conversation.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/generation.h"
#include "runtime/engine/reasoning_splitter.h"
#include "runtime/engine/sampler.h"
#include "runtime/engine/session.h"
#include "runtime/engine/session_file.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/thread_source.h"

namespace nibble::api {

/// Of an environment, for as long as anything needs it.
struct Shared {
  int threads = 0;  // at most; 0: what suits the machine
  std::atomic<int64_t> n_models{0};
  std::atomic<int64_t> n_sessions{0};
  std::atomic<int64_t> file_bytes{0};
  std::atomic<int64_t> bytes{0};

  void log(const std::string& sentence);
  void set_log(nibble_on_log on_log, void* user);
  /// What a model or session uses: as told, but no more than the environment has.
  int threads_of(int wanted) const noexcept;
  /// Of teams that are made from now on.
  ThreadSource thread_source() const;
  void set_thread_source(ThreadSource source);

 private:
  mutable std::mutex mutex_;
  ThreadSource thread_source_;
  nibble_on_log on_log_ = nullptr;
  void* user_ = nullptr;
};

struct EnvObject final : Object {
  static constexpr ObjectKind kKind = ObjectKind::env;
  static constexpr const char* kNotThis = "env: expected a handle of an environment";
  std::shared_ptr<Shared> shared = std::make_shared<Shared>();
};

struct CancelObject final : Object {
  static constexpr ObjectKind kKind = ObjectKind::cancel;
  static constexpr const char* kNotThis = "cancel: expected a handle of a request to stop";
  CancelToken token;
};

struct OpenModel {
  OpenModel(std::shared_ptr<Shared> s, std::shared_ptr<const Engine> e);
  ~OpenModel();
  OpenModel(const OpenModel&) = delete;
  OpenModel& operator=(const OpenModel&) = delete;

  std::shared_ptr<Shared> shared;
  std::shared_ptr<const Engine> engine;
  int64_t file_bytes;
  int64_t bytes;
};

struct ModelObject final : Object {
  static constexpr ObjectKind kKind = ObjectKind::model;
  static constexpr const char* kNotThis = "model: expected a handle of a model";
  std::shared_ptr<const OpenModel> model;
};

/// What a session is told before it is there.
struct SessionSettings {
  SessionOptions session;
  SamplerOptions sampling;
  GenerateOptions generate;
  ConversationOptions conversation{.overflow = OverflowPolicy::error};
};

struct SessionObject final : Object {
  static constexpr ObjectKind kKind = ObjectKind::session;
  static constexpr const char* kNotThis = "session: expected a handle of a session";

  SessionObject(std::shared_ptr<const OpenModel> m, SessionSettings s);
  SessionObject(std::shared_ptr<const OpenModel> m, SessionSettings s, Session&& timeline);
  ~SessionObject() override;
  void on_free() noexcept override { freed.request(); }

  const Engine& engine() const noexcept { return *model->engine; }
  /// For a call that begins something: what was begun before ends, and no earlier request to stop
  /// counts. The first thing such a call does, so that none is lost that comes while it runs.
  void start_work() noexcept;
  void end_generation() noexcept;
  /// Whoever frees a session in use gets nothing more from it. Errors: Refusal.
  void refuse_if_freed() const;
  Sampler& chooser();
  /// Tells the environment what it holds now.
  void count_bytes() noexcept;

  struct Event {
    nibble_event_kind kind;
    std::string text;
    uint64_t done = 0;
    uint64_t total = 0;
  };

  std::shared_ptr<const OpenModel> model;
  SessionSettings settings;
  Session session;
  std::unique_ptr<Sampler> sampler;  // nullptr: to be made of the settings
  CancelToken freed;                 // for good
  CancelToken cancel{&freed};
  std::atomic<bool> busy{false};
  std::deque<SessionAnswer> answers;  // for prompts that repeat them
  // The generation under way.
  std::unique_ptr<Generation> generation;
  ReasoningSplitter splitter;
  bool remembers = false;  // what it gives is an answer of a chat
  std::string answer;      // so far, without thoughts
  std::deque<Event> events;
  Event last_event{};
  nibble_result result = NIBBLE_RESULT_INIT;
  int64_t counted = 0;  // bytes that the environment knows of
};

/// A session that no other call uses. Errors: Refusal.
class HeldSession {
 public:
  explicit HeldSession(const void* handle);
  ~HeldSession();
  SessionObject* operator->() const noexcept { return &*held_; }
  SessionObject& operator*() const noexcept { return *held_; }

 private:
  Held<SessionObject> held_;
};

/// How a job is watched and stopped.
class JobScope {
 public:
  /// Errors: Refusal, bad_argument.
  explicit JobScope(const nibble_job* job);
  const CancelToken* cancel() const noexcept { return &*token_; }
  /// Called from the job; a callback that says stop is a request. One that throws too: jobs report
  /// from places that nothing may be thrown through.
  void progress(uint64_t done, uint64_t total) noexcept;
  /// Runs the job; what a callback threw is thrown behind it.
  template <class F>
  void run(F&& job) {
    try {
      job();
    } catch (...) {
      rethrow();
      throw;
    }
    rethrow();
  }

 private:
  void rethrow() const {
    if (thrown_ != nullptr) std::rethrow_exception(thrown_);
  }
  std::exception_ptr thrown_;
  nibble_job job_ = NIBBLE_JOB_INIT;
  std::optional<Held<CancelObject>> held_;
  std::optional<CancelToken> token_;
};

nibble_event progress_event(uint64_t done, uint64_t total) noexcept;

}  // namespace nibble::api
