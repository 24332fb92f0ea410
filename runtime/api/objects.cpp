#include "runtime/api/objects.h"

#include "runtime/model/model.h"
#include "runtime/threads/team.h"

namespace nibble::api {

void Shared::log(const std::string& sentence) {
  nibble_on_log on_log = nullptr;
  void* user = nullptr;
  {
    const std::lock_guard lock(mutex_);
    on_log = on_log_;
    user = user_;
  }
  if (on_log != nullptr) on_log(sentence.c_str(), user);
}

void Shared::set_log(nibble_on_log on_log, void* user) {
  const std::lock_guard lock(mutex_);
  on_log_ = on_log;
  user_ = user;
}

int Shared::threads_of(int wanted) const noexcept {
  const int most = threads > 0 ? threads : default_threads();
  if (wanted <= 0) return most;
  return threads > 0 ? std::min(wanted, most) : wanted;
}

ThreadSource Shared::thread_source() const {
  const std::lock_guard lock(mutex_);
  return thread_source_;
}

void Shared::set_thread_source(ThreadSource source) {
  const std::lock_guard lock(mutex_);
  thread_source_ = std::move(source);
}

OpenModel::OpenModel(std::shared_ptr<Shared> s, std::shared_ptr<const Engine> e)
    : shared(std::move(s)),
      engine(std::move(e)),
      file_bytes(static_cast<int64_t>(engine->file().file_bytes().size())),
      bytes(0) {
  for (const Buffer<std::byte>& packed : engine->model().weights.packed) bytes += packed.bytes();
  ++shared->n_models;
  shared->file_bytes += file_bytes;
  shared->bytes += bytes;
}

OpenModel::~OpenModel() {
  shared->bytes -= bytes;
  shared->file_bytes -= file_bytes;
  --shared->n_models;
}

SessionObject::SessionObject(std::shared_ptr<const OpenModel> m, SessionSettings s,
                             Session&& timeline)
    : model(std::move(m)), settings(std::move(s)), session(std::move(timeline)) {
  ++model->shared->n_sessions;
}

SessionObject::SessionObject(std::shared_ptr<const OpenModel> m, SessionSettings s)
    : SessionObject(m, s, Session(m->engine, s.session)) {}

SessionObject::~SessionObject() {
  end_generation();
  model->shared->bytes -= counted;
  --model->shared->n_sessions;
}

void SessionObject::start_work() noexcept {
  cancel.reset();
  end_generation();
}

void SessionObject::refuse_if_freed() const {
  if (freed.requested()) throw Refusal{NIBBLE_CANCELLED, "session: it was freed meanwhile"};
}

void SessionObject::end_generation() noexcept {
  generation.reset();
  events.clear();
}

Sampler& SessionObject::chooser() {
  if (sampler == nullptr) {
    sampler =
        std::make_unique<Sampler>(settings.sampling, static_cast<int32_t>(engine().n_vocab()));
  }
  return *sampler;
}

void SessionObject::count_bytes() noexcept {
  const int64_t now = session.kv_bytes();
  model->shared->bytes += now - counted;
  counted = now;
}

HeldSession::HeldSession(const void* handle) : held_(handle) {
  if (held_->busy.exchange(true, std::memory_order_acquire)) {
    throw Refusal{NIBBLE_BUSY, "session: another call uses it"};
  }
}

HeldSession::~HeldSession() {
  held_->count_bytes();
  held_->busy.store(false, std::memory_order_release);
}

JobScope::JobScope(const nibble_job* job) {
  const CancelToken* also = nullptr;
  if (job != nullptr) {
    take_struct(job, &job_, "job");
    if (job_.cancel != nullptr) also = &held_.emplace(job_.cancel)->token;
  }
  token_.emplace(also);
}

void JobScope::progress(uint64_t done, uint64_t total) noexcept {
  if (job_.on_event == nullptr || thrown_ != nullptr) return;
  const nibble_event event = progress_event(done, total);
  try {
    if (job_.on_event(&event, job_.user) != 0) token_->request();
  } catch (...) {
    thrown_ = std::current_exception();
    token_->request();
  }
}

nibble_event progress_event(uint64_t done, uint64_t total) noexcept {
  nibble_event event = NIBBLE_EVENT_INIT;
  event.kind = NIBBLE_EVENT_PROGRESS;
  event.text = "";
  event.done = done;
  event.total = total;
  return event;
}

}  // namespace nibble::api
