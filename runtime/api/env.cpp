// Versions, names of states, buffers, environments, requests to stop.
#include <cstdlib>

#include "formats/io/error.h"
#include "formats/io/file_guard.h"
#include "runtime/api/objects.h"
#include "runtime/api/option_table.h"
#include "runtime/threads/team.h"

using namespace nibble;
using namespace nibble::api;

namespace {

TeamKind team_option(std::string_view name, std::string_view value) {
  if (value == "threads") return TeamKind::threads;
  if (value == "openmp") return TeamKind::openmp;
  fail(ErrorCode::bad_argument, "{}: expected threads or openmp, got '{}'", name, value);
}

}  // namespace

const char* nibble_version(void) {
  return NIBBLE_VERSION;
}

uint32_t nibble_abi(void) {
  return NIBBLE_ABI;
}

const char* nibble_status_name(nibble_status status) {
  switch (status) {
    case NIBBLE_OK:
      return "NIBBLE_OK";
    case NIBBLE_BAD_ARGUMENT:
      return "NIBBLE_BAD_ARGUMENT";
    case NIBBLE_NOT_FOUND:
      return "NIBBLE_NOT_FOUND";
    case NIBBLE_IO:
      return "NIBBLE_IO";
    case NIBBLE_BAD_FILE:
      return "NIBBLE_BAD_FILE";
    case NIBBLE_UNSUPPORTED:
      return "NIBBLE_UNSUPPORTED";
    case NIBBLE_OUT_OF_MEMORY:
      return "NIBBLE_OUT_OF_MEMORY";
    case NIBBLE_CONTEXT_FULL:
      return "NIBBLE_CONTEXT_FULL";
    case NIBBLE_CANCELLED:
      return "NIBBLE_CANCELLED";
    case NIBBLE_BUSY:
      return "NIBBLE_BUSY";
    case NIBBLE_BAD_HANDLE:
      return "NIBBLE_BAD_HANDLE";
    case NIBBLE_FORKED:
      return "NIBBLE_FORKED";
    case NIBBLE_INTERNAL:
      return "NIBBLE_INTERNAL";
  }
  return "unknown";
}

void nibble_buffer_free(nibble_buffer* buffer) {
  if (buffer == nullptr) return;
  std::free(buffer->data);
  *buffer = NIBBLE_BUFFER_INIT;
}

nibble_status nibble_env_create(const nibble_option* options, nibble_env** env,
                                nibble_error* error) {
  return call(error, [&] {
    expect_given(env, "env");
    *env = nullptr;
    adopt_table();
    auto object = std::make_unique<EnvObject>();
    Shared& shared = *object->shared;
    TeamKind kind = TeamKind::threads;
    bool file_guard = true;
    const OptionSetter table[] = {
        {"threads",
         [&](std::string_view name, std::string_view value) {
           shared.threads = static_cast<int>(whole_option(name, value, 0, Team::kMostThreads));
         }},
        {"team",
         [&](std::string_view name, std::string_view value) { kind = team_option(name, value); }},
        {"no-file-guard", [&](std::string_view, std::string_view) { file_guard = false; }}};
    apply_options(options, table);
    ThreadSource source;
    source.kind = kind;
    source.budget = std::make_shared<ThreadBudget>(shared.threads_of(0));
    shared.set_thread_source(std::move(source));
    *env = static_cast<nibble_env*>(insert(ObjectKind::env, std::move(object)));
    if (!file_guard) set_file_guard(false);
  });
}

nibble_status nibble_env_set_executor(nibble_env* env, const nibble_executor* executor,
                                      nibble_error* error) {
  return call(error, [&] {
    const Held<EnvObject> held(env);
    nibble_executor pool = NIBBLE_EXECUTOR_INIT;
    take_struct(executor, &pool, "executor");
    expect_given(reinterpret_cast<const void*>(pool.submit), "submit of the executor");
    ThreadSource source = held->shared->thread_source();
    source.kind = TeamKind::host;
    source.executor = {pool.user, pool.submit, pool.wait};
    held->shared->set_thread_source(std::move(source));
  });
}

nibble_status nibble_env_set_log(nibble_env* env, nibble_on_log on_log, void* user,
                                 nibble_error* error) {
  return call(error, [&] { Held<EnvObject>(env)->shared->set_log(on_log, user); });
}

nibble_status nibble_env_get_usage(nibble_env* env, nibble_env_usage* usage, nibble_error* error) {
  return call(error, [&] {
    const Held<EnvObject> held(env);
    const Shared& shared = *held->shared;
    nibble_env_usage now = NIBBLE_ENV_USAGE_INIT;
    now.threads = shared.threads_of(0);
    now.n_models = shared.n_models;
    now.n_sessions = shared.n_sessions;
    now.file_bytes = shared.file_bytes;
    now.bytes = shared.bytes;
    give_struct(now, usage, "usage");
  });
}

nibble_status nibble_env_free(nibble_env* env) {
  return free_object(env, ObjectKind::env);
}

nibble_status nibble_cancel_create(nibble_env* env, nibble_cancel** cancel, nibble_error* error) {
  return call(error, [&] {
    expect_given(cancel, "cancel");
    *cancel = nullptr;
    const Held<EnvObject> held(env);
    *cancel =
        static_cast<nibble_cancel*>(insert(ObjectKind::cancel, std::make_unique<CancelObject>()));
  });
}

// From a signal handler: no lock, no memory, no exception.
nibble_status nibble_cancel_request(nibble_cancel* cancel) {
  Object* object = nullptr;
  switch (acquire(cancel, ObjectKind::cancel, &object)) {
    case Lookup::found:
      break;
    case Lookup::forked:
      return NIBBLE_FORKED;
    case Lookup::no_handle:
      return NIBBLE_BAD_HANDLE;
  }
  static_cast<CancelObject*>(object)->token.request();
  release(cancel);
  return NIBBLE_OK;
}

nibble_status nibble_cancel_reset(nibble_cancel* cancel) {
  return call(nullptr, [&] { Held<CancelObject>(cancel)->token.reset(); });
}

nibble_status nibble_cancel_free(nibble_cancel* cancel) {
  return free_object(cancel, ObjectKind::cancel);
}
