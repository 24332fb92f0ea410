/* JavaScript values to C and back, for addon.c. What fails leaves a JavaScript exception pending
 * and gives NULL or 0. */
#pragma once

#define NAPI_VERSION 8
#include <nibble.h>
#include <node_api.h>
#include <stddef.h>
#include <stdint.h>

typedef enum HandleKind { kEnv, kCancel, kModel, kSession } HandleKind;

/* A handle of the library inside a JavaScript value, freed with it. A session is not freed, nor
 * used from the main thread, while a task of another thread has it: texts of events live until the
 * next use. All but `stop` is the main thread's. */
typedef struct Holder {
  HandleKind kind;
  void* handle; /* NULL: closed */
  int busy;     /* a task has it */
  int closing;  /* free it when the task ends */
  int stop;     /* the task is to stop, perhaps before it has begun; atomic */
} Holder;

/* Throws TypeError. */
void throw_type(napi_env env, const char* message);
/* What the library says, as an Error with code ("NIBBLE_IO") and hint. */
napi_value error_value(napi_env env, const nibble_error* error);
void throw_error(napi_env env, const nibble_error* error);

/* Allocated, with a zero byte behind; *size may be asked for. */
char* take_text(napi_env env, napi_value value, size_t* size);
/* Flat arrays of texts: name, value, name, value ... The table ends with NULLs; it is freed, texts
 * and all, by free_texts. */
const char** take_texts(napi_env env, napi_value value, size_t* n);
void free_texts(const char** texts);
int32_t* take_tokens(napi_env env, napi_value value, size_t* n); /* of an Int32Array, copied */
Holder* take_holder(napi_env env, napi_value value, HandleKind kind);
/* The same of one that is open and that no task has. */
Holder* take_free(napi_env env, napi_value value, HandleKind kind);

napi_value give_handle(napi_env env, HandleKind kind, void* handle);
void free_holder(Holder* holder);
napi_value give_number(napi_env env, double number);
napi_value give_text(napi_env env, const char* text, size_t size);
napi_value give_floats(napi_env env, const float* numbers, size_t n); /* a Float32Array, copied */
napi_value give_buffer(napi_env env, nibble_buffer* buffer);          /* a Buffer; frees */
void set(napi_env env, napi_value object, const char* name, napi_value value);
void set_number(napi_env env, napi_value object, const char* name, double number);
napi_value give_result(napi_env env, const nibble_result* result);
