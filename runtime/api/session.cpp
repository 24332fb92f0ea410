// Sessions: what they are made of, and single evaluations.
#include "formats/io/error.h"
#include "runtime/api/objects.h"
#include "runtime/api/option_table.h"
#include "runtime/api/settings.h"

using namespace nibble;
using namespace nibble::api;

namespace {

nibble_session* handle_of(std::unique_ptr<SessionObject> object) {
  return static_cast<nibble_session*>(insert(ObjectKind::session, std::move(object)));
}

}  // namespace

nibble_status nibble_session_create(nibble_model* model, const nibble_option* options,
                                    nibble_session** session, nibble_error* error) {
  return call(error, [&] {
    expect_given(session, "session");
    *session = nullptr;
    const Held<ModelObject> held(model);
    *session = handle_of(
        std::make_unique<SessionObject>(held->model, read_settings(*held->model, options)));
  });
}

nibble_status nibble_session_fork(nibble_session* session, nibble_session** copy,
                                  nibble_error* error) {
  return call(error, [&] {
    expect_given(copy, "copy");
    *copy = nullptr;
    HeldSession held(session);
    held->end_generation();
    auto object =
        std::make_unique<SessionObject>(held->model, held->settings, held->session.fork());
    object->sampler = std::make_unique<Sampler>(held->chooser());
    object->answers = held->answers;
    object->count_bytes();
    *copy = handle_of(std::move(object));
  });
}

nibble_status nibble_session_free(nibble_session* session) {
  return free_object(session, ObjectKind::session);
}

nibble_status nibble_session_set(nibble_session* session, const char* name, const char* value,
                                 nibble_error* error) {
  return call(error, [&] {
    HeldSession held(session);
    SessionSettings changed = held->settings;
    const auto n_vocab = static_cast<int32_t>(held->engine().n_vocab());
    apply_option(text_of(name, "name"), text_of(value, "value"),
                 generation_options(changed, n_vocab));
    held->end_generation();
    held->settings = std::move(changed);
    held->sampler.reset();
  });
}

nibble_status nibble_session_get_usage(nibble_session* session, nibble_session_usage* usage,
                                       nibble_error* error) {
  return call(error, [&] {
    const HeldSession held(session);
    nibble_session_usage now = NIBBLE_SESSION_USAGE_INIT;
    now.threads = held->session.n_threads();
    now.n_ctx = held->session.n_ctx();
    now.n_used = held->session.n_used();
    now.bytes = held->session.kv_bytes();
    give_struct(now, usage, "usage");
  });
}

nibble_status nibble_session_rewind(nibble_session* session, int64_t n_tokens,
                                    nibble_error* error) {
  return call(error, [&] {
    HeldSession held(session);
    if (n_tokens < 0) {
      fail(ErrorCode::bad_argument, "n_tokens: expected 0 or more, got {}", n_tokens);
    }
    held->end_generation();
    held->session.rewind(n_tokens);
  });
}

nibble_status nibble_session_save(nibble_session* session, const char* path, nibble_error* error) {
  return call(error, [&] {
    HeldSession held(session);
    held->start_work();
    const SessionExtras extras{held->chooser().random(),
                               {held->answers.begin(), held->answers.end()}};
    save_session(held->session, extras, std::string(text_of(path, "path")), &held->cancel);
  });
}

nibble_status nibble_session_load(nibble_session* session, const char* path, nibble_error* error) {
  return call(error, [&] {
    HeldSession held(session);
    held->start_work();
    Sampler& chooser = held->chooser();
    const SessionExtras extras =
        load_session(held->session, std::string(text_of(path, "path")), &held->cancel);
    held->answers.assign(extras.answers.begin(), extras.answers.end());
    chooser.set_random(extras.random);
  });
}

nibble_status nibble_session_cancel(nibble_session* session) {
  return call(nullptr, [&] { Held<SessionObject>(session)->cancel.request(); });
}

nibble_status nibble_evaluate(nibble_session* session, const int32_t* tokens, size_t n_tokens,
                              nibble_on_event on_event, void* user, nibble_error* error) {
  return call(error, [&] {
    HeldSession held(session);
    held->start_work();
    if (n_tokens > 0) expect_given(tokens, "tokens");
    held->session.sync({tokens, n_tokens}, &held->cancel, [&](int64_t done, int64_t total) {
      if (on_event == nullptr) return;
      const nibble_event event =
          progress_event(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
      if (on_event(&event, user) != 0) held->cancel.request();
    });
  });
}

nibble_status nibble_logits(nibble_session* session, const float** logits, size_t* n,
                            nibble_error* error) {
  return call(error, [&] {
    HeldSession held(session);
    expect_given(logits, "logits");
    expect_given(n, "n");
    held->end_generation();
    const std::span<const float> all = held->session.logits();
    if (all.empty()) fail(ErrorCode::not_found, "logits: nothing was evaluated last");
    held->refuse_if_freed();
    *logits = all.data();
    *n = all.size();
  });
}

nibble_status nibble_sample(nibble_session* session, int32_t* token, nibble_error* error) {
  return call(error, [&] {
    HeldSession held(session);
    expect_given(token, "token");
    held->end_generation();
    const std::span<const float> all = held->session.logits();
    if (all.empty()) fail(ErrorCode::not_found, "logits: nothing was evaluated last");
    held->chooser().set_history(held->session.tokens());
    *token = held->chooser().sample(all);
  });
}
