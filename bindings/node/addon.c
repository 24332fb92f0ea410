/* nibble.h for JavaScript, function by function; index.js makes classes of it. What is here is
 * short and runs in JavaScript's thread; the rest is in tasks.c. */
#include <stdlib.h>
#include <string.h>

#include "tasks.h"
#include "values.h"

enum { kMostArguments = 3 };

typedef struct Call {
  napi_value arguments[kMostArguments];
  nibble_error error;
} Call;

static Call call_of(napi_env env, napi_callback_info info) {
  Call call = {{NULL, NULL, NULL}, NIBBLE_ERROR_INIT};
  size_t n = kMostArguments;
  napi_get_cb_info(env, info, &n, call.arguments, NULL, NULL);
  return call;
}

/* Throws what a function of the library says; whether it was fine. */
static int fine(napi_env env, nibble_status status, const nibble_error* error) {
  if (status != NIBBLE_OK) throw_error(env, error);
  return status == NIBBLE_OK;
}

static napi_value version(napi_env env, napi_callback_info info) {
  (void)info;
  return give_text(env, nibble_version(), NAPI_AUTO_LENGTH);
}

static napi_value create_env(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  nibble_env* made = NULL;
  const char** options = take_texts(env, c.arguments[0], NULL);
  nibble_status status;
  if (options == NULL) return NULL;
  status = nibble_env_create((const nibble_option*)options, &made, &c.error);
  free_texts(options);
  return fine(env, status, &c.error) ? give_handle(env, kEnv, made) : NULL;
}

static napi_value env_usage(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  nibble_env_usage usage = NIBBLE_ENV_USAGE_INIT;
  const Holder* holder = take_free(env, c.arguments[0], kEnv);
  napi_value value = NULL;
  if (holder == NULL ||
      !fine(env, nibble_env_get_usage(holder->handle, &usage, &c.error), &c.error)) {
    return NULL;
  }
  napi_create_object(env, &value);
  set_number(env, value, "threads", usage.threads);
  set_number(env, value, "nModels", (double)usage.n_models);
  set_number(env, value, "nSessions", (double)usage.n_sessions);
  set_number(env, value, "fileBytes", (double)usage.file_bytes);
  set_number(env, value, "bytes", (double)usage.bytes);
  return value;
}

static napi_value create_cancel(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  nibble_cancel* made = NULL;
  const Holder* holder = take_free(env, c.arguments[0], kEnv);
  if (holder == NULL ||
      !fine(env, nibble_cancel_create(holder->handle, &made, &c.error), &c.error)) {
    return NULL;
  }
  return give_handle(env, kCancel, made);
}

static napi_value request_cancel(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  const Holder* holder = take_holder(env, c.arguments[0], kCancel);
  if (holder != NULL) nibble_cancel_request(holder->handle);
  return NULL;
}

/* close(handle): of any kind */
static napi_value close_handle(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  void* data = NULL;
  Holder* holder;
  if (napi_get_value_external(env, c.arguments[0], &data) != napi_ok) {
    throw_type(env, "expected a handle");
    return NULL;
  }
  holder = data;
  if (holder->busy) { /* freed when its task has ended, which is soon */
    holder->closing = 1;
    stop_session(holder);
  } else {
    free_holder(holder);
  }
  return NULL;
}

static napi_value model_info(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  nibble_model_info model = NIBBLE_MODEL_INFO_INIT;
  const Holder* holder = take_free(env, c.arguments[0], kModel);
  napi_value value = NULL, truth;
  if (holder == NULL ||
      !fine(env, nibble_model_get_info(holder->handle, &model, &c.error), &c.error)) {
    return NULL;
  }
  napi_create_object(env, &value);
  napi_get_boolean(env, model.has_chat_template != 0, &truth);
  set(env, value, "hasChatTemplate", truth);
  set_number(env, value, "nParams", (double)model.n_params);
  set_number(env, value, "nVocab", (double)model.n_vocab);
  set_number(env, value, "nEmbd", (double)model.n_embd);
  set_number(env, value, "nCtxTrain", (double)model.n_ctx_train);
  set_number(env, value, "fileBytes", (double)model.file_bytes);
  set(env, value, "description", give_text(env, model.description, NAPI_AUTO_LENGTH));
  return value;
}

/* undefined where the file has no such key */
static napi_value model_metadata(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  nibble_buffer text = NIBBLE_BUFFER_INIT;
  nibble_status status;
  napi_value value = NULL;
  const Holder* holder = take_free(env, c.arguments[0], kModel);
  char* key = holder != NULL ? take_text(env, c.arguments[1], NULL) : NULL;
  if (key == NULL) return NULL;
  status = nibble_model_get_metadata(holder->handle, key, &text, &c.error);
  free(key);
  if (status == NIBBLE_NOT_FOUND || !fine(env, status, &c.error)) return NULL;
  value = give_text(env, text.size > 0 ? text.data : "", text.size);
  nibble_buffer_free(&text);
  return value;
}

static napi_value model_plan(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  nibble_plan plan = NIBBLE_PLAN_INIT;
  nibble_status status;
  napi_value value = NULL, truth;
  const Holder* holder = take_free(env, c.arguments[0], kModel);
  const char** options = holder != NULL ? take_texts(env, c.arguments[1], NULL) : NULL;
  if (options == NULL) return NULL;
  status = nibble_model_plan(holder->handle, (const nibble_option*)options, &plan, &c.error);
  free_texts(options);
  if (!fine(env, status, &c.error)) return NULL;
  napi_create_object(env, &value);
  napi_get_boolean(env, plan.fits != 0, &truth);
  set(env, value, "fits", truth);
  set_number(env, value, "nCtx", (double)plan.n_ctx);
  set_number(env, value, "weights", (double)plan.weights);
  set_number(env, value, "keysAndValues", (double)plan.keys_and_values);
  set_number(env, value, "scratch", (double)plan.scratch);
  set_number(env, value, "available", (double)plan.available);
  return value;
}

/* tokenize(model, text, flags): an Int32Array */
static napi_value tokenize(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  size_t size = 0, n = 0, capacity = 0;
  uint32_t flags = 0;
  int32_t* tokens = NULL;
  nibble_status status = NIBBLE_OK;
  napi_value bytes, value = NULL;
  void* data = NULL;
  const Holder* holder = take_free(env, c.arguments[0], kModel);
  char* text = holder != NULL ? take_text(env, c.arguments[1], &size) : NULL;
  if (text == NULL) return NULL;
  napi_get_value_uint32(env, c.arguments[2], &flags);
  for (n = size + 8; n > capacity;) {
    capacity = n;
    free(tokens);
    tokens = malloc(capacity * sizeof *tokens);
    if (tokens == NULL) break;
    status = nibble_tokenize(holder->handle, text, size, flags, tokens, capacity, &n, &c.error);
    if (status != NIBBLE_OK) break;
  }
  free(text);
  if (tokens == NULL) {
    throw_type(env, "no memory");
  } else if (fine(env, status, &c.error) &&
             napi_create_arraybuffer(env, n * sizeof *tokens, &data, &bytes) == napi_ok) {
    if (n > 0) memcpy(data, tokens, n * sizeof *tokens);
    napi_create_typedarray(env, napi_int32_array, n, bytes, 0, &value);
  }
  free(tokens);
  return value;
}

/* detokenize(model, tokens, flags): a Buffer */
static napi_value detokenize(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  nibble_buffer text = NIBBLE_BUFFER_INIT;
  size_t n = 0;
  uint32_t flags = 0;
  nibble_status status;
  const Holder* holder = take_free(env, c.arguments[0], kModel);
  int32_t* tokens = holder != NULL ? take_tokens(env, c.arguments[1], &n) : NULL;
  if (tokens == NULL) return NULL;
  napi_get_value_uint32(env, c.arguments[2], &flags);
  status = nibble_detokenize(holder->handle, tokens, n, flags, &text, &c.error);
  free(tokens);
  return fine(env, status, &c.error) ? give_buffer(env, &text) : NULL;
}

static napi_value render(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  nibble_buffer prompt = NIBBLE_BUFFER_INIT;
  size_t n = 0;
  nibble_status status;
  napi_value value = NULL;
  const Holder* holder = take_free(env, c.arguments[0], kModel);
  const char** messages = holder != NULL ? take_texts(env, c.arguments[1], &n) : NULL;
  if (messages == NULL) return NULL;
  status =
      nibble_chat_render(holder->handle, (const nibble_message*)messages, n / 2, &prompt, &c.error);
  free_texts(messages);
  if (!fine(env, status, &c.error)) return NULL;
  value = give_text(env, prompt.size > 0 ? prompt.data : "", prompt.size);
  nibble_buffer_free(&prompt);
  return value;
}

static napi_value count_tokens(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  size_t n = 0, count = 0;
  nibble_status status;
  const Holder* holder = take_free(env, c.arguments[0], kModel);
  const char** messages = holder != NULL ? take_texts(env, c.arguments[1], &n) : NULL;
  if (messages == NULL) return NULL;
  status =
      nibble_count_tokens(holder->handle, (const nibble_message*)messages, n / 2, &count, &c.error);
  free_texts(messages);
  return fine(env, status, &c.error) ? give_number(env, (double)count) : NULL;
}

static napi_value create_session(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  nibble_session* made = NULL;
  nibble_status status;
  const Holder* holder = take_free(env, c.arguments[0], kModel);
  const char** options = holder != NULL ? take_texts(env, c.arguments[1], NULL) : NULL;
  if (options == NULL) return NULL;
  status = nibble_session_create(holder->handle, (const nibble_option*)options, &made, &c.error);
  free_texts(options);
  return fine(env, status, &c.error) ? give_handle(env, kSession, made) : NULL;
}

static napi_value fork_session(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  nibble_session* made = NULL;
  const Holder* holder = take_free(env, c.arguments[0], kSession);
  if (holder == NULL ||
      !fine(env, nibble_session_fork(holder->handle, &made, &c.error), &c.error)) {
    return NULL;
  }
  return give_handle(env, kSession, made);
}

static napi_value set_option(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  const Holder* holder = take_free(env, c.arguments[0], kSession);
  char* name = holder != NULL ? take_text(env, c.arguments[1], NULL) : NULL;
  char* value = name != NULL ? take_text(env, c.arguments[2], NULL) : NULL;
  if (value != NULL) {
    fine(env, nibble_session_set(holder->handle, name, value, &c.error), &c.error);
  }
  free(name);
  free(value);
  return NULL;
}

static napi_value session_usage(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  nibble_session_usage usage = NIBBLE_SESSION_USAGE_INIT;
  napi_value value = NULL;
  const Holder* holder = take_free(env, c.arguments[0], kSession);
  if (holder == NULL ||
      !fine(env, nibble_session_get_usage(holder->handle, &usage, &c.error), &c.error)) {
    return NULL;
  }
  napi_create_object(env, &value);
  set_number(env, value, "threads", usage.threads);
  set_number(env, value, "nCtx", (double)usage.n_ctx);
  set_number(env, value, "nUsed", (double)usage.n_used);
  set_number(env, value, "bytes", (double)usage.bytes);
  return value;
}

static napi_value rewind_session(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  int64_t n = 0;
  const Holder* holder = take_free(env, c.arguments[0], kSession);
  if (holder == NULL) return NULL;
  napi_get_value_int64(env, c.arguments[1], &n);
  fine(env, nibble_session_rewind(holder->handle, n, &c.error), &c.error);
  return NULL;
}

static napi_value cancel_session(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  Holder* holder = take_holder(env, c.arguments[0], kSession);
  if (holder != NULL) stop_session(holder);
  return NULL;
}

static napi_value logits(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  const float* numbers = NULL;
  size_t n = 0;
  const Holder* holder = take_free(env, c.arguments[0], kSession);
  if (holder == NULL ||
      !fine(env, nibble_logits(holder->handle, &numbers, &n, &c.error), &c.error)) {
    return NULL;
  }
  return give_floats(env, numbers, n);
}

static napi_value sample(napi_env env, napi_callback_info info) {
  Call c = call_of(env, info);
  int32_t token = 0;
  const Holder* holder = take_free(env, c.arguments[0], kSession);
  if (holder == NULL || !fine(env, nibble_sample(holder->handle, &token, &c.error), &c.error)) {
    return NULL;
  }
  return give_number(env, token);
}

NAPI_MODULE_INIT() {
  static const struct {
    const char* name;
    napi_callback function;
  } functions[] = {
      {"version", version},
      {"createEnv", create_env},
      {"envUsage", env_usage},
      {"createCancel", create_cancel},
      {"requestCancel", request_cancel},
      {"close", close_handle},
      {"open", task_open},
      {"verify", task_verify},
      {"quantize", task_quantize},
      {"convert", task_convert},
      {"modelInfo", model_info},
      {"modelMetadata", model_metadata},
      {"plan", model_plan},
      {"tokenize", tokenize},
      {"detokenize", detokenize},
      {"render", render},
      {"countTokens", count_tokens},
      {"createSession", create_session},
      {"forkSession", fork_session},
      {"setOption", set_option},
      {"sessionUsage", session_usage},
      {"rewind", rewind_session},
      {"cancelSession", cancel_session},
      {"chatBegin", task_chat_begin},
      {"completeBegin", task_complete_begin},
      {"next", task_next},
      {"evaluate", task_evaluate},
      {"save", task_save},
      {"load", task_load},
      {"inspect", task_inspect},
      {"embed", task_embed},
      {"logits", logits},
      {"sample", sample},
  };
  size_t i;
  if (nibble_abi() != NIBBLE_ABI) {
    napi_throw_error(env, NULL, "libnibble: another ABI than this package was built for");
    return NULL;
  }
  if (!tasks_init(env)) return NULL;
  for (i = 0; i < sizeof functions / sizeof *functions; ++i) {
    napi_value function;
    napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, NULL,
                         &function);
    set(env, exports, functions[i].name, function);
  }
  return exports;
}
