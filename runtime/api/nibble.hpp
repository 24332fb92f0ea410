// nibble.h for C++17: objects that free themselves, exceptions, callbacks that may throw. Nothing
// is here that the C header cannot do; what a function does, needs and refuses is said there.
//
//   nibble::Env env;
//   nibble::Model model(env, path);
//   nibble::Session session(model, {{"temp", "0"}});
//   for (const nibble::Event& event : session.stream({{"user", "Why is the sky blue?"}}))
//     if (event.kind == NIBBLE_EVENT_TEXT) std::cout << event.text << std::flush;
//
// Objects can be moved, not copied, and destroyed in any order. What has been moved from may only
// be destroyed or assigned to. Every function may throw nibble::Error and std::bad_alloc; a session
// that threw can be used again. What a callback throws stops the call, and comes out of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nibble.h"

namespace nibble {
// Bears NIBBLE_ABI: two versions of this header may meet in one program.
inline namespace api1 {

/// Why a call failed; what() is the message.
class Error : public std::runtime_error {
 public:
  Error(nibble_status status, const nibble_error& error)
      : std::runtime_error(error.message[0] != '\0' ? error.message : nibble_status_name(status)),
        status_(status),
        hint_(error.hint) {}
  nibble_status status() const noexcept { return status_; }
  /// What to do about it; may be empty.
  const std::string& hint() const noexcept { return hint_; }

 private:
  nibble_status status_;
  std::string hint_;
};

struct Option {
  std::string name;
  std::string value = "";
};
using Options = std::vector<Option>;

struct Message {
  std::string role;
  std::string content;
};
using Messages = std::vector<Message>;
using Tokens = std::vector<std::int32_t>;

using Result = nibble_result;
using EnvUsage = nibble_env_usage;
using SessionUsage = nibble_session_usage;
using ModelInfo = nibble_model_info;
using Plan = nibble_plan;

/// [rows, n_dims]; rows [first_row[i], first_row[i + 1]) are text i's.
struct Embeddings {
  std::int64_t n_dims = 0;
  std::vector<std::int64_t> first_row;
  std::vector<float> values;
};

/// text and result live as nibble.h says: until the callback returns, or the next one is asked for.
struct Event {
  nibble_event_kind kind = NIBBLE_EVENT_PROGRESS;
  std::string_view text;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  const Result* result = nullptr;
};

/// Returns whether to go on: false cancels.
using OnEvent = std::function<bool(const Event&)>;
using OnLog = std::function<void(std::string_view sentence)>;

namespace detail {

template <auto kFree>
struct Free {
  template <class T>
  void operator()(T* handle) const noexcept {
    kFree(handle);
  }
};
template <class T, auto kFree>
using Handle = std::unique_ptr<T, Free<kFree>>;

/// Calls f(&error) and throws what it gives.
template <class F>
void check(F&& f) {
  nibble_error error = NIBBLE_ERROR_INIT;
  const nibble_status status = f(&error);
  if (status != NIBBLE_OK) throw Error(status, error);
}

/// A table of options as C wants it; what it was made of must outlive it.
inline std::vector<nibble_option> table_of(const Options& options) {
  std::vector<nibble_option> table;
  table.reserve(options.size() + 1);
  for (const Option& o : options) table.push_back({o.name.c_str(), o.value.c_str()});
  table.push_back({nullptr, nullptr});
  return table;
}

inline std::vector<nibble_message> table_of(const Messages& messages) {
  std::vector<nibble_message> table;
  table.reserve(messages.size());
  for (const Message& m : messages) table.push_back({m.role.c_str(), m.content.c_str()});
  return table;
}

inline Event event_of(const nibble_event& e) noexcept {
  return {static_cast<nibble_event_kind>(e.kind), {e.text, e.text_size}, e.done, e.total, e.result};
}

/// A callback on its way through C; what it throws waits here.
struct Listener {
  const OnEvent& on_event;
  std::exception_ptr thrown = nullptr;

  static int call(const nibble_event* event, void* user) noexcept {
    auto& self = *static_cast<Listener*>(user);
    if (self.thrown != nullptr) return 1;
    try {
      return self.on_event(event_of(*event)) ? 0 : 1;
    } catch (...) {
      self.thrown = std::current_exception();
      return 1;
    }
  }
  nibble_on_event function() const noexcept { return on_event ? &call : nullptr; }
};

/// Like check(); f(listener, &error) gets a function for C, and what the callback threw is
/// rethrown.
template <class F>
void listen(const OnEvent& on_event, F&& f) {
  Listener listener{on_event};
  nibble_error error = NIBBLE_ERROR_INIT;
  const nibble_status status = f(listener, &error);
  if (listener.thrown != nullptr) std::rethrow_exception(listener.thrown);
  if (status != NIBBLE_OK) throw Error(status, error);
}

/// Where an environment's sentences go. Models and sessions hold it too, since they go on without
/// the environment.
struct Log {
  std::mutex mutex;
  std::shared_ptr<const OnLog> on_log;

  static void call(const char* sentence, void* user) noexcept {
    auto& self = *static_cast<Log*>(user);
    try {
      std::unique_lock<std::mutex> lock(self.mutex);
      const std::shared_ptr<const OnLog> on_log = self.on_log;
      lock.unlock();
      if (on_log != nullptr && *on_log) (*on_log)(sentence);
    } catch (...) {  // there is no call that it could come out of
    }
  }
};

/// Frees a buffer of the library at the end of a scope.
struct Buffer {
  nibble_buffer bytes = NIBBLE_BUFFER_INIT;
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { nibble_buffer_free(&bytes); }
  std::string text() const { return bytes.size > 0 ? std::string(bytes.data, bytes.size) : ""; }
};

}  // namespace detail

/// "0.1.0"
inline const char* version() noexcept {
  return nibble_version();
}

class Env {
 public:
  Env() : Env(Options()) {}
  Env(std::initializer_list<Option> options) : Env(Options(options)) {}
  explicit Env(const Options& options) {
    nibble_env* env = nullptr;
    const auto table = detail::table_of(options);
    detail::check([&](nibble_error* e) { return nibble_env_create(table.data(), &env, e); });
    handle_.reset(env);
  }
  /// What on_log throws is dropped. An empty one: nobody.
  void set_log(OnLog on_log) {
    auto copy = std::make_shared<const OnLog>(std::move(on_log));
    {
      const std::lock_guard<std::mutex> lock(log_->mutex);
      log_->on_log.swap(copy);
    }
    detail::check([&](nibble_error* e) {
      return nibble_env_set_log(get(), &detail::Log::call, log_.get(), e);
    });
  }
  /// What it points at must live as long as the environment, its models and sessions.
  void set_executor(const nibble_executor& executor) {
    detail::check([&](nibble_error* e) { return nibble_env_set_executor(get(), &executor, e); });
  }
  EnvUsage usage() const {
    EnvUsage usage = NIBBLE_ENV_USAGE_INIT;
    detail::check([&](nibble_error* e) { return nibble_env_get_usage(get(), &usage, e); });
    return usage;
  }
  nibble_env* get() const noexcept { return handle_.get(); }

 private:
  friend class Model;
  std::shared_ptr<detail::Log> log_ = std::make_shared<detail::Log>();
  detail::Handle<nibble_env, nibble_env_free> handle_;
};

/// A request to stop jobs, from any thread.
class Cancel {
 public:
  explicit Cancel(const Env& env) {
    nibble_cancel* cancel = nullptr;
    detail::check([&](nibble_error* e) { return nibble_cancel_create(env.get(), &cancel, e); });
    handle_.reset(cancel);
  }
  void request() const noexcept { nibble_cancel_request(get()); }
  void reset() const noexcept { nibble_cancel_reset(get()); }
  nibble_cancel* get() const noexcept { return handle_.get(); }

 private:
  detail::Handle<nibble_cancel, nibble_cancel_free> handle_;
};

/// How something that takes its time is watched and stopped; both may be left out.
struct Job {
  OnEvent on_event = nullptr;
  const Cancel* cancel = nullptr;
};

namespace detail {

template <class F>
void run(const Job& job, F&& f) {
  listen(job.on_event, [&](Listener& listener, nibble_error* error) {
    nibble_job c_job = NIBBLE_JOB_INIT;
    c_job.on_event = listener.function();
    c_job.user = &listener;
    c_job.cancel = job.cancel != nullptr ? job.cancel->get() : nullptr;
    return f(&c_job, error);
  });
}

}  // namespace detail

/// JSON, as the command's `inspect --json`.
inline std::string inspect(const Env& env, const std::string& path, const Options& options = {}) {
  detail::Buffer json;
  const auto table = detail::table_of(options);
  detail::check([&](nibble_error* e) {
    return nibble_inspect(env.get(), path.c_str(), table.data(), &json.bytes, e);
  });
  return json.text();
}

inline void verify(const Env& env, const std::string& path, const Job& job = {}) {
  detail::run(job, [&](const nibble_job* j, nibble_error* e) {
    return nibble_verify(env.get(), path.c_str(), j, e);
  });
}

inline void quantize(const Env& env, const std::string& in, const std::string& out,
                     const std::string& type, const Options& options = {}, const Job& job = {}) {
  const auto table = detail::table_of(options);
  detail::run(job, [&](const nibble_job* j, nibble_error* e) {
    return nibble_quantize(env.get(), in.c_str(), out.c_str(), type.c_str(), table.data(), j, e);
  });
}

inline void convert(const Env& env, const std::string& in, const std::string& out,
                    const Options& options = {}, const Job& job = {}) {
  const auto table = detail::table_of(options);
  detail::run(job, [&](const nibble_job* j, nibble_error* e) {
    return nibble_convert(env.get(), in.c_str(), out.c_str(), table.data(), j, e);
  });
}

class Model {
 public:
  Model(const Env& env, const std::string& path, const Options& options = {}, const Job& job = {})
      : Model(env, options, job,
              [&](auto... rest) { return nibble_model_open(env.get(), path.c_str(), rest...); }) {}
  /// Of `size` bytes (0: all there are) of an open file; the descriptor stays the caller's.
  static Model from_fd(const Env& env, int fd, std::uint64_t offset = 0, std::uint64_t size = 0,
                       const Options& options = {}, const Job& job = {}) {
    return Model(env, options, job, [&](auto... rest) {
      return nibble_model_open_fd(env.get(), fd, offset, size, rest...);
    });
  }
  /// Of memory that stays as it is until the model and its sessions are destroyed.
  static Model from_memory(const Env& env, const void* data, std::size_t size,
                           const Options& options = {}, const Job& job = {}) {
    return Model(env, options, job, [&](auto... rest) {
      return nibble_model_open_memory(env.get(), data, size, rest...);
    });
  }
  static Model from_reader(const Env& env, const nibble_reader& reader, const Options& options = {},
                           const Job& job = {}) {
    return Model(env, options, job, [&](auto... rest) {
      return nibble_model_open_reader(env.get(), &reader, rest...);
    });
  }
  ModelInfo info() const {
    ModelInfo info = NIBBLE_MODEL_INFO_INIT;
    detail::check([&](nibble_error* e) { return nibble_model_get_info(get(), &info, e); });
    return info;
  }
  /// Nothing where the file has no such key.
  std::optional<std::string> metadata(const std::string& key) const {
    detail::Buffer value;
    nibble_error error = NIBBLE_ERROR_INIT;
    const nibble_status status =
        nibble_model_get_metadata(get(), key.c_str(), &value.bytes, &error);
    if (status == NIBBLE_NOT_FOUND) return std::nullopt;
    if (status != NIBBLE_OK) throw Error(status, error);
    return value.text();
  }
  Plan plan(const Options& options = {}) const {
    Plan plan = NIBBLE_PLAN_INIT;
    const auto table = detail::table_of(options);
    detail::check(
        [&](nibble_error* e) { return nibble_model_plan(get(), table.data(), &plan, e); });
    return plan;
  }
  /// flags: NIBBLE_ADD_SPECIAL | NIBBLE_PARSE_SPECIAL
  Tokens tokenize(std::string_view text, std::uint32_t flags = 0) const {
    Tokens tokens(text.size() + 8);
    for (;;) {
      std::size_t n = 0;
      detail::check([&](nibble_error* e) {
        return nibble_tokenize(get(), text.data(), text.size(), flags, tokens.data(), tokens.size(),
                               &n, e);
      });
      const bool fits = n <= tokens.size();
      tokens.resize(n);
      if (fits) return tokens;
    }
  }
  /// flags: NIBBLE_SHOW_SPECIAL
  std::string detokenize(const Tokens& tokens, std::uint32_t flags = 0) const {
    detail::Buffer text;
    detail::check([&](nibble_error* e) {
      return nibble_detokenize(get(), tokens.data(), tokens.size(), flags, &text.bytes, e);
    });
    return text.text();
  }
  std::string render(const Messages& messages) const {
    detail::Buffer prompt;
    const auto table = detail::table_of(messages);
    detail::check([&](nibble_error* e) {
      return nibble_chat_render(get(), table.data(), table.size(), &prompt.bytes, e);
    });
    return prompt.text();
  }
  std::size_t count_tokens(const Messages& messages) const {
    std::size_t n = 0;
    const auto table = detail::table_of(messages);
    detail::check([&](nibble_error* e) {
      return nibble_count_tokens(get(), table.data(), table.size(), &n, e);
    });
    return n;
  }
  Embeddings embed(const std::vector<std::string>& texts, const Options& options = {},
                   const Job& job = {}) const {
    struct Freed {
      nibble_embeddings e = NIBBLE_EMBEDDINGS_INIT;
      ~Freed() { nibble_embeddings_free(&e); }
    } got;
    std::vector<const char*> pointers;
    pointers.reserve(texts.size());
    for (const std::string& text : texts) pointers.push_back(text.c_str());
    const auto table = detail::table_of(options);
    detail::run(job, [&](const nibble_job* j, nibble_error* e) {
      return nibble_embed(get(), pointers.data(), pointers.size(), table.data(), j, &got.e, e);
    });
    return {got.e.n_dims,
            {got.e.first_row, got.e.first_row + texts.size() + 1},
            {got.e.values, got.e.values + got.e.n_rows * got.e.n_dims}};
  }
  nibble_model* get() const noexcept { return handle_.get(); }

 private:
  friend class Session;
  template <class Open>
  Model(const Env& env, const Options& options, const Job& job, Open&& open) : log_(env.log_) {
    nibble_model* model = nullptr;
    const auto table = detail::table_of(options);
    detail::run(job, [&](const nibble_job* j, nibble_error* e) {
      return open(table.data(), j, &model, e);
    });
    handle_.reset(model);
  }
  std::shared_ptr<detail::Log> log_;
  detail::Handle<nibble_model, nibble_model_free> handle_;
};

/// A generation, event by event: next() until there is none, or a range-based for. It belongs to a
/// session that must outlive it and is not used otherwise until its end; leaving early is fine.
class Stream {
 public:
  /// Nothing after the last event, which is DONE.
  std::optional<Event> next() {
    if (ended_) return std::nullopt;
    nibble_event event = NIBBLE_EVENT_INIT;
    detail::check([&](nibble_error* e) { return nibble_next(session_, &event, e); });
    ended_ = event.kind == NIBBLE_EVENT_DONE;
    return detail::event_of(event);
  }

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Event;
    using difference_type = std::ptrdiff_t;
    using pointer = const Event*;
    using reference = const Event&;
    Iterator() = default;
    explicit Iterator(Stream* stream) : stream_(stream), event_(stream->next()) {}
    reference operator*() const { return *event_; }
    pointer operator->() const { return &*event_; }
    Iterator& operator++() {
      event_ = stream_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    /// Only "is there no event" is compared.
    bool operator==(const Iterator& o) const { return event_.has_value() == o.event_.has_value(); }
    bool operator!=(const Iterator& o) const { return !(*this == o); }

   private:
    Stream* stream_ = nullptr;
    std::optional<Event> event_;
  };
  Iterator begin() { return Iterator(this); }
  Iterator end() const { return {}; }

 private:
  friend class Session;
  explicit Stream(nibble_session* session) : session_(session) {}
  nibble_session* session_;
  bool ended_ = false;
};

/// Until the next call with the session. // [size] = [n_vocab]
struct Logits {
  const float* data = nullptr;
  std::size_t size = 0;
  const float* begin() const noexcept { return data; }
  const float* end() const noexcept { return data + size; }
};

class Session {
 public:
  explicit Session(const Model& model, const Options& options = {}) : log_(model.log_) {
    nibble_session* session = nullptr;
    const auto table = detail::table_of(options);
    detail::check([&](nibble_error* e) {
      return nibble_session_create(model.get(), table.data(), &session, e);
    });
    handle_.reset(session);
  }
  Session fork() const {
    nibble_session* copy = nullptr;
    detail::check([&](nibble_error* e) { return nibble_session_fork(get(), &copy, e); });
    return Session(log_, copy);
  }
  void set(const std::string& name, const std::string& value) {
    detail::check(
        [&](nibble_error* e) { return nibble_session_set(get(), name.c_str(), value.c_str(), e); });
  }
  SessionUsage usage() const {
    SessionUsage usage = NIBBLE_SESSION_USAGE_INIT;
    detail::check([&](nibble_error* e) { return nibble_session_get_usage(get(), &usage, e); });
    return usage;
  }
  void rewind(std::int64_t n_tokens) {
    detail::check([&](nibble_error* e) { return nibble_session_rewind(get(), n_tokens, e); });
  }
  void save(const std::string& path) const {
    detail::check([&](nibble_error* e) { return nibble_session_save(get(), path.c_str(), e); });
  }
  void load(const std::string& path) {
    detail::check([&](nibble_error* e) { return nibble_session_load(get(), path.c_str(), e); });
  }
  /// From any thread.
  void cancel() const noexcept { nibble_session_cancel(get()); }

  Result chat(const Messages& messages, const OnEvent& on_event = nullptr) {
    Result result = NIBBLE_RESULT_INIT;
    const auto table = detail::table_of(messages);
    detail::listen(on_event, [&](detail::Listener& l, nibble_error* e) {
      return nibble_chat(get(), table.data(), table.size(), l.function(), &l, &result, e);
    });
    return result;
  }
  Result complete(std::string_view text, const OnEvent& on_event = nullptr) {
    Result result = NIBBLE_RESULT_INIT;
    detail::listen(on_event, [&](detail::Listener& l, nibble_error* e) {
      return nibble_complete(get(), text.data(), text.size(), l.function(), &l, &result, e);
    });
    return result;
  }
  Stream stream(const Messages& messages) {
    const auto table = detail::table_of(messages);
    detail::check(
        [&](nibble_error* e) { return nibble_chat_begin(get(), table.data(), table.size(), e); });
    return Stream(get());
  }
  Stream stream_text(std::string_view text) {
    detail::check(
        [&](nibble_error* e) { return nibble_complete_begin(get(), text.data(), text.size(), e); });
    return Stream(get());
  }

  void evaluate(const Tokens& tokens, const OnEvent& on_event = nullptr) {
    detail::listen(on_event, [&](detail::Listener& l, nibble_error* e) {
      return nibble_evaluate(get(), tokens.data(), tokens.size(), l.function(), &l, e);
    });
  }
  Logits logits() const {
    Logits logits;
    detail::check(
        [&](nibble_error* e) { return nibble_logits(get(), &logits.data, &logits.size, e); });
    return logits;
  }
  std::int32_t sample() {
    std::int32_t token = 0;
    detail::check([&](nibble_error* e) { return nibble_sample(get(), &token, e); });
    return token;
  }
  nibble_session* get() const noexcept { return handle_.get(); }

 private:
  Session(std::shared_ptr<detail::Log> log, nibble_session* session)
      : log_(std::move(log)), handle_(session) {}
  std::shared_ptr<detail::Log> log_;
  detail::Handle<nibble_session, nibble_session_free> handle_;
};

}  // namespace api1
}  // namespace nibble
