/* JavaScript values to C and back. */
#include "values.h"

#include <stdlib.h>
#include <string.h>

void throw_type(napi_env env, const char* message) {
  napi_throw_type_error(env, NULL, message);
}

napi_value error_value(napi_env env, const nibble_error* error) {
  napi_value code, message, hint, value = NULL;
  napi_create_string_utf8(env, nibble_status_name((nibble_status)error->status), NAPI_AUTO_LENGTH,
                          &code);
  napi_create_string_utf8(env, error->message, NAPI_AUTO_LENGTH, &message);
  napi_create_string_utf8(env, error->hint, NAPI_AUTO_LENGTH, &hint);
  napi_create_error(env, code, message, &value);
  napi_set_named_property(env, value, "hint", hint);
  return value;
}

void throw_error(napi_env env, const nibble_error* error) {
  napi_throw(env, error_value(env, error));
}

static void throw_state(napi_env env, nibble_status status, const char* message) {
  nibble_error error = NIBBLE_ERROR_INIT;
  error.status = status;
  strncpy(error.message, message, sizeof error.message - 1);
  throw_error(env, &error);
}

char* take_text(napi_env env, napi_value value, size_t* size) {
  size_t n = 0;
  char* text = NULL;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &n) != napi_ok) {
    throw_type(env, "expected a string");
    return NULL;
  }
  text = malloc(n + 1);
  if (text == NULL) {
    throw_state(env, NIBBLE_OUT_OF_MEMORY, "string: no memory");
    return NULL;
  }
  napi_get_value_string_utf8(env, value, text, n + 1, &n);
  if (size != NULL) *size = n;
  return text;
}

const char** take_texts(napi_env env, napi_value value, size_t* n) {
  uint32_t length = 0, i;
  const char** texts = NULL;
  if (napi_get_array_length(env, value, &length) != napi_ok) {
    throw_type(env, "expected an array of strings");
    return NULL;
  }
  texts = calloc((size_t)length + 2, sizeof *texts);
  if (texts == NULL) {
    throw_state(env, NIBBLE_OUT_OF_MEMORY, "strings: no memory");
    return NULL;
  }
  for (i = 0; i < length; ++i) {
    napi_value element;
    napi_get_element(env, value, i, &element);
    texts[i] = take_text(env, element, NULL);
    if (texts[i] == NULL) {
      free_texts(texts);
      return NULL;
    }
  }
  if (n != NULL) *n = length;
  return texts;
}

void free_texts(const char** texts) {
  size_t i;
  if (texts == NULL) return;
  for (i = 0; texts[i] != NULL; ++i) free((void*)texts[i]);
  free((void*)texts);
}

int32_t* take_tokens(napi_env env, napi_value value, size_t* n) {
  napi_typedarray_type type = napi_int8_array;
  void* data = NULL;
  int32_t* tokens = NULL;
  if (napi_get_typedarray_info(env, value, &type, n, &data, NULL, NULL) != napi_ok ||
      type != napi_int32_array) {
    throw_type(env, "expected an Int32Array");
    return NULL;
  }
  tokens = malloc(*n * sizeof *tokens + 1);
  if (tokens == NULL) {
    throw_state(env, NIBBLE_OUT_OF_MEMORY, "tokens: no memory");
    return NULL;
  }
  if (*n > 0) memcpy(tokens, data, *n * sizeof *tokens);
  return tokens;
}

Holder* take_holder(napi_env env, napi_value value, HandleKind kind) {
  napi_valuetype type = napi_undefined;
  void* data = NULL;
  napi_typeof(env, value, &type);
  if (type != napi_external || napi_get_value_external(env, value, &data) != napi_ok ||
      ((Holder*)data)->kind != kind) {
    throw_type(env, "expected a handle");
    return NULL;
  }
  return data;
}

Holder* take_free(napi_env env, napi_value value, HandleKind kind) {
  Holder* holder = take_holder(env, value, kind);
  if (holder == NULL) return NULL;
  if (holder->handle == NULL || holder->closing) {
    throw_state(env, NIBBLE_BAD_HANDLE, "handle: it is closed");
    return NULL;
  }
  if (holder->busy) {
    throw_state(env, NIBBLE_BUSY, "session: another call uses it");
    return NULL;
  }
  return holder;
}

void free_holder(Holder* holder) {
  void* handle = holder->handle;
  holder->handle = NULL;
  if (handle == NULL) return;
  switch (holder->kind) {
    case kEnv:
      nibble_env_free(handle);
      break;
    case kCancel:
      nibble_cancel_free(handle);
      break;
    case kModel:
      nibble_model_free(handle);
      break;
    case kSession:
      nibble_session_free(handle);
      break;
  }
}

static void finalize(napi_env env, void* data, void* hint) {
  (void)env;
  (void)hint;
  free_holder(data);
  free(data);
}

napi_value give_handle(napi_env env, HandleKind kind, void* handle) {
  napi_value value = NULL;
  Holder* holder = calloc(1, sizeof *holder);
  if (holder != NULL) {
    holder->kind = kind;
    holder->handle = handle;
    if (napi_create_external(env, holder, finalize, NULL, &value) == napi_ok) return value;
    free_holder(holder);
    free(holder);
  }
  throw_state(env, NIBBLE_OUT_OF_MEMORY, "handle: no memory");
  return NULL;
}

napi_value give_number(napi_env env, double number) {
  napi_value value = NULL;
  napi_create_double(env, number, &value);
  return value;
}

napi_value give_text(napi_env env, const char* text, size_t size) {
  napi_value value = NULL;
  napi_create_string_utf8(env, text, size, &value);
  return value;
}

napi_value give_floats(napi_env env, const float* numbers, size_t n) {
  void* data = NULL;
  napi_value bytes, value = NULL;
  if (napi_create_arraybuffer(env, n * sizeof *numbers, &data, &bytes) != napi_ok) return NULL;
  if (n > 0) memcpy(data, numbers, n * sizeof *numbers);
  napi_create_typedarray(env, napi_float32_array, n, bytes, 0, &value);
  return value;
}

napi_value give_buffer(napi_env env, nibble_buffer* buffer) {
  napi_value value = NULL;
  napi_create_buffer_copy(env, buffer->size, buffer->data != NULL ? buffer->data : "", NULL,
                          &value);
  nibble_buffer_free(buffer);
  return value;
}

void set(napi_env env, napi_value object, const char* name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

void set_number(napi_env env, napi_value object, const char* name, double number) {
  set(env, object, name, give_number(env, number));
}

napi_value give_result(napi_env env, const nibble_result* result) {
  static const char* const finish[] = {"", "stop", "length", "context", "cancelled"};
  napi_value value = NULL;
  napi_create_object(env, &value);
  set(env, value, "finish", give_text(env, finish[result->finish], NAPI_AUTO_LENGTH));
  set_number(env, value, "nPrompt", (double)result->n_prompt);
  set_number(env, value, "nReused", (double)result->n_reused);
  set_number(env, value, "nGenerated", (double)result->n_generated);
  set_number(env, value, "droppedMessages", (double)result->dropped_messages);
  set_number(env, value, "droppedTokens", (double)result->dropped_tokens);
  set_number(env, value, "promptSeconds", result->prompt_seconds);
  set_number(env, value, "generateSeconds", result->generate_seconds);
  return value;
}
