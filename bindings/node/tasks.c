/* What takes its time: calls made by a thread of libuv's pool, which settle a promise. */
#include "tasks.h"

#include <stdlib.h>
#include <string.h>

enum { kMostArguments = 7 };

/* One call. run() is in the pool's thread and touches nothing of JavaScript. */
typedef struct Task {
  struct Task* next; /* of those that run */
  struct Tasks* all;
  void (*run)(struct Task* task);
  napi_value (*give)(napi_env env, struct Task* task); /* NULL: undefined */
  napi_async_work work;
  napi_deferred deferred;
  napi_threadsafe_function progress; /* NULL: nobody asks */
  napi_ref kept[2];                  /* the handles that it uses */
  Holder* subject;                   /* environment or session */
  Holder* cancel;                    /* of jobs */
  char* texts[3];
  size_t text_size;
  const char** pairs; /* options or messages */
  size_t n_pairs;
  const char** many; /* texts to embed */
  size_t n_many;
  int32_t* tokens;
  size_t n_tokens;
  nibble_error error;
  nibble_status status;
  nibble_model* model;
  nibble_event event; /* its text is a copy */
  nibble_result result;
  nibble_buffer json;
  nibble_embeddings embeddings;
} Task;

typedef struct Tasks {
  Task* first;
} Tasks;

typedef struct Progress {
  double done, total;
} Progress;

/* ---- in the pool's thread ---- */

static int stops(const Task* task) {
  return __atomic_load_n(&task->subject->stop, __ATOMIC_RELAXED);
}

static int on_event(const nibble_event* event, void* user) {
  Task* task = user;
  Progress* p = NULL;
  if (event->kind == NIBBLE_EVENT_PROGRESS && task->progress != NULL) p = malloc(sizeof *p);
  if (p != NULL) { /* else only a number less on the way */
    p->done = (double)event->done;
    p->total = (double)event->total;
    if (napi_call_threadsafe_function(task->progress, p, napi_tsfn_nonblocking) != napi_ok) free(p);
  }
  return stops(task);
}

static nibble_job job_of(Task* task) {
  nibble_job job = NIBBLE_JOB_INIT;
  job.on_event = on_event;
  job.user = task;
  job.cancel = task->cancel->handle;
  return job;
}

static const nibble_option* options_of(const Task* task) {
  return (const nibble_option*)task->pairs; /* two texts a row, and NULLs at the end */
}

static void run_open(Task* t) {
  const nibble_job job = job_of(t);
  t->status =
      nibble_model_open(t->subject->handle, t->texts[0], options_of(t), &job, &t->model, &t->error);
}

static void run_verify(Task* t) {
  const nibble_job job = job_of(t);
  t->status = nibble_verify(t->subject->handle, t->texts[0], &job, &t->error);
}

static void run_quantize(Task* t) {
  const nibble_job job = job_of(t);
  t->status = nibble_quantize(t->subject->handle, t->texts[0], t->texts[1], t->texts[2],
                              options_of(t), &job, &t->error);
}

static void run_convert(Task* t) {
  const nibble_job job = job_of(t);
  t->status =
      nibble_convert(t->subject->handle, t->texts[0], t->texts[1], options_of(t), &job, &t->error);
}

static void run_chat_begin(Task* t) {
  t->status = nibble_chat_begin(t->subject->handle, (const nibble_message*)t->pairs, t->n_pairs / 2,
                                &t->error);
}

static void run_complete_begin(Task* t) {
  t->status = nibble_complete_begin(t->subject->handle, t->texts[0], t->text_size, &t->error);
}

static void run_next(Task* t) {
  t->status = nibble_next(t->subject->handle, &t->event, &t->error);
  if (t->status != NIBBLE_OK) return;
  t->texts[0] = malloc(t->event.text_size + 1);
  if (t->texts[0] == NULL) {
    t->status = t->error.status = NIBBLE_OUT_OF_MEMORY;
    return;
  }
  memcpy(t->texts[0], t->event.text, t->event.text_size);
  if (t->event.result != NULL) memcpy(&t->result, t->event.result, sizeof t->result);
}

static void run_evaluate(Task* t) {
  if (stops(t)) { /* before it began: the library knows of nothing to stop */
    t->status = t->error.status = NIBBLE_CANCELLED;
    return;
  }
  t->status = nibble_evaluate(t->subject->handle, t->tokens, t->n_tokens, on_event, t, &t->error);
}

static void run_save(Task* t) {
  t->status = nibble_session_save(t->subject->handle, t->texts[0], &t->error);
}

static void run_load(Task* t) {
  t->status = nibble_session_load(t->subject->handle, t->texts[0], &t->error);
}

static void run_inspect(Task* t) {
  t->status = nibble_inspect(t->subject->handle, t->texts[0], options_of(t), &t->json, &t->error);
}

static void run_embed(Task* t) {
  const nibble_job job = job_of(t);
  t->status = nibble_embed(t->subject->handle, t->many, t->n_many, options_of(t), &job,
                           &t->embeddings, &t->error);
}

static void execute(napi_env env, void* data) {
  Task* task = data;
  (void)env;
  task->run(task);
}

/* ---- in JavaScript's thread ---- */

static napi_value give_model(napi_env env, Task* task) {
  return give_handle(env, kModel, task->model);
}

static napi_value give_json(napi_env env, Task* task) {
  return give_text(env, task->json.data, task->json.size);
}

/* A Float32Array of each text: its rows, one after the other. */
static napi_value give_embeddings(napi_env env, Task* task) {
  const nibble_embeddings* e = &task->embeddings;
  napi_value all = NULL;
  size_t i;
  if (napi_create_array_with_length(env, task->n_many, &all) != napi_ok) return NULL;
  for (i = 0; i < task->n_many; ++i) {
    const size_t begin = (size_t)(e->first_row[i] * e->n_dims);
    const size_t n = (size_t)(e->first_row[i + 1] * e->n_dims) - begin;
    const napi_value floats = give_floats(env, e->values + begin, n);
    if (floats == NULL || napi_set_element(env, all, (uint32_t)i, floats) != napi_ok) return NULL;
  }
  return all;
}

static napi_value give_event(napi_env env, Task* task) {
  static const char* const kinds[] = {"", "progress", "text", "reasoning", "done"};
  const nibble_event* e = &task->event;
  napi_value value = NULL;
  napi_create_object(env, &value);
  set(env, value, "kind", give_text(env, kinds[e->kind], NAPI_AUTO_LENGTH));
  if (e->kind == NIBBLE_EVENT_PROGRESS) {
    set_number(env, value, "done", (double)e->done);
    set_number(env, value, "total", (double)e->total);
  } else if (e->kind == NIBBLE_EVENT_DONE) {
    set(env, value, "result", give_result(env, &task->result));
  } else {
    set(env, value, "text", give_text(env, task->texts[0], e->text_size));
  }
  return value;
}

static void call_progress(napi_env env, napi_value function, void* context, void* data) {
  Progress* p = data;
  (void)context;
  if (env != NULL && function != NULL) { /* else the environment is ending */
    napi_value arguments[2], undefined;
    napi_get_undefined(env, &undefined);
    arguments[0] = give_number(env, p->done);
    arguments[1] = give_number(env, p->total);
    napi_call_function(env, undefined, function, 2, arguments, NULL);
  }
  free(p);
}

static void free_task(napi_env env, Task* task) {
  size_t i;
  Task** at = &task->all->first;
  while (*at != NULL && *at != task) at = &(*at)->next;
  if (*at != NULL) *at = task->next;
  if (task->subject != NULL && task->subject->kind == kSession && task->work != NULL) {
    task->subject->busy = 0;
    if (task->subject->closing) {
      free_holder(task->subject);
    } else if (stops(task)) { /* what was begun meanwhile */
      nibble_session_cancel(task->subject->handle);
    }
  }
  for (i = 0; i < 2; ++i) {
    if (task->kept[i] != NULL) napi_delete_reference(env, task->kept[i]);
  }
  if (task->progress != NULL) napi_release_threadsafe_function(task->progress, napi_tsfn_release);
  if (task->work != NULL) napi_delete_async_work(env, task->work);
  for (i = 0; i < 3; ++i) free(task->texts[i]);
  free_texts(task->pairs);
  free(task->tokens);
  free_texts(task->many);
  nibble_buffer_free(&task->json);
  nibble_embeddings_free(&task->embeddings);
  free(task);
}

static void complete(napi_env env, napi_status ended, void* data) {
  Task* task = data;
  napi_value value = NULL;
  if (ended == napi_cancelled) {
    task->status = task->error.status = NIBBLE_CANCELLED;
  }
  if (task->status != NIBBLE_OK) {
    napi_reject_deferred(env, task->deferred, error_value(env, &task->error));
  } else {
    if (task->give != NULL) {
      value = task->give(env, task);
    } else {
      napi_get_undefined(env, &value);
    }
    if (value != NULL) napi_resolve_deferred(env, task->deferred, value);
  }
  free_task(env, task);
}

static napi_ref keep(napi_env env, napi_value value) {
  napi_ref kept = NULL;
  napi_create_reference(env, value, 1, &kept);
  return kept;
}

/* The task of a call whose first argument is of this kind; NULL: an exception is pending. */
static Task* new_task(napi_env env, napi_callback_info info, HandleKind kind, napi_value* arguments,
                      size_t n) {
  size_t given = n;
  void* all = NULL;
  Task* task = NULL;
  Holder* subject = NULL;
  napi_get_cb_info(env, info, &given, arguments, NULL, NULL);
  napi_get_instance_data(env, &all);
  subject = take_free(env, arguments[0], kind);
  if (subject == NULL) return NULL;
  task = calloc(1, sizeof *task);
  if (task == NULL) {
    throw_type(env, "no memory");
    return NULL;
  }
  task->all = all;
  task->subject = subject;
  task->kept[0] = keep(env, arguments[0]);
  task->error.size = sizeof task->error;
  task->event.size = sizeof task->event;
  task->result.size = sizeof task->result;
  task->embeddings.size = sizeof task->embeddings;
  return task;
}

static int take_progress(napi_env env, Task* task, napi_value function) {
  napi_valuetype type = napi_undefined;
  napi_value name;
  napi_typeof(env, function, &type);
  if (type != napi_function) return 1;
  name = give_text(env, "nibble", NAPI_AUTO_LENGTH);
  return napi_create_threadsafe_function(env, function, NULL, name, 0, 1, NULL, NULL, NULL,
                                         call_progress, &task->progress) == napi_ok;
}

/* Hands it to the pool and gives its promise; `ready`: nothing failed so far. */
static napi_value start(napi_env env, Task* task, int ready, void (*run)(Task*),
                        napi_value (*give)(napi_env, Task*)) {
  napi_value promise = NULL, name;
  if (!ready) {
    free_task(env, task);
    return NULL;
  }
  task->run = run;
  task->give = give;
  name = give_text(env, "nibble", NAPI_AUTO_LENGTH);
  if (napi_create_promise(env, &task->deferred, &promise) != napi_ok ||
      napi_create_async_work(env, NULL, name, execute, complete, task, &task->work) != napi_ok) {
    throw_type(env, "no task could be made");
    free_task(env, task);
    return NULL;
  }
  if (task->subject->kind == kSession) {
    task->subject->busy = 1;
    __atomic_store_n(&task->subject->stop, 0, __ATOMIC_RELAXED);
  }
  task->next = task->all->first;
  task->all->first = task;
  napi_queue_async_work(env, task->work);
  return promise;
}

/* A job: (env, cancel, texts..., [options,] progress) */
static napi_value start_job(napi_env env, napi_callback_info info, size_t n_texts, int options,
                            void (*run)(Task*), napi_value (*give)(napi_env, Task*)) {
  napi_value arguments[kMostArguments];
  const size_t n = 2 + n_texts + (options ? 1 : 0) + 1;
  Task* task = new_task(env, info, kEnv, arguments, n);
  size_t i;
  int ready = 1;
  if (task == NULL) return NULL;
  task->cancel = take_free(env, arguments[1], kCancel);
  ready = task->cancel != NULL;
  if (ready) task->kept[1] = keep(env, arguments[1]);
  for (i = 0; ready && i < n_texts; ++i) {
    task->texts[i] = take_text(env, arguments[2 + i], NULL);
    ready = task->texts[i] != NULL;
  }
  if (ready && options) {
    task->pairs = take_texts(env, arguments[2 + n_texts], &task->n_pairs);
    ready = task->pairs != NULL;
  }
  ready = ready && take_progress(env, task, arguments[n - 1]);
  return start(env, task, ready, run, give);
}

napi_value task_open(napi_env env, napi_callback_info info) {
  return start_job(env, info, 1, 1, run_open, give_model);
}

napi_value task_verify(napi_env env, napi_callback_info info) {
  return start_job(env, info, 1, 0, run_verify, NULL);
}

napi_value task_quantize(napi_env env, napi_callback_info info) {
  return start_job(env, info, 3, 1, run_quantize, NULL);
}

napi_value task_convert(napi_env env, napi_callback_info info) {
  return start_job(env, info, 2, 1, run_convert, NULL);
}

napi_value task_chat_begin(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  Task* task = new_task(env, info, kSession, arguments, 2);
  if (task == NULL) return NULL;
  task->pairs = take_texts(env, arguments[1], &task->n_pairs);
  return start(env, task, task->pairs != NULL, run_chat_begin, NULL);
}

napi_value task_complete_begin(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  Task* task = new_task(env, info, kSession, arguments, 2);
  if (task == NULL) return NULL;
  task->texts[0] = take_text(env, arguments[1], &task->text_size);
  return start(env, task, task->texts[0] != NULL, run_complete_begin, NULL);
}

static napi_value start_file(napi_env env, napi_callback_info info, void (*run)(Task*)) {
  napi_value arguments[2];
  Task* task = new_task(env, info, kSession, arguments, 2);
  if (task == NULL) return NULL;
  task->texts[0] = take_text(env, arguments[1], NULL);
  return start(env, task, task->texts[0] != NULL, run, NULL);
}

napi_value task_save(napi_env env, napi_callback_info info) {
  return start_file(env, info, run_save);
}

napi_value task_load(napi_env env, napi_callback_info info) {
  return start_file(env, info, run_load);
}

napi_value task_inspect(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  Task* task = new_task(env, info, kEnv, arguments, 3);
  if (task == NULL) return NULL;
  task->texts[0] = take_text(env, arguments[1], NULL);
  if (task->texts[0] != NULL) task->pairs = take_texts(env, arguments[2], &task->n_pairs);
  return start(env, task, task->pairs != NULL, run_inspect, give_json);
}

napi_value task_embed(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  int ready = 0;
  Task* task = new_task(env, info, kModel, arguments, 5);
  if (task == NULL) return NULL;
  task->cancel = take_free(env, arguments[1], kCancel);
  if (task->cancel != NULL) {
    task->kept[1] = keep(env, arguments[1]);
    task->many = take_texts(env, arguments[2], &task->n_many);
  }
  if (task->many != NULL) task->pairs = take_texts(env, arguments[3], &task->n_pairs);
  ready = task->pairs != NULL && take_progress(env, task, arguments[4]);
  return start(env, task, ready, run_embed, give_embeddings);
}

napi_value task_next(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  Task* task = new_task(env, info, kSession, arguments, 1);
  return task == NULL ? NULL : start(env, task, 1, run_next, give_event);
}

napi_value task_evaluate(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  Task* task = new_task(env, info, kSession, arguments, 3);
  if (task == NULL) return NULL;
  task->tokens = take_tokens(env, arguments[1], &task->n_tokens);
  return start(env, task, task->tokens != NULL && take_progress(env, task, arguments[2]),
               run_evaluate, NULL);
}

void stop_session(Holder* session) {
  __atomic_store_n(&session->stop, 1, __ATOMIC_RELAXED);
  nibble_session_cancel(session->handle);
}

/* The pool finishes what it has before an environment ends: it should not have to wait. */
static void cancel_all(void* data) {
  const Tasks* all = data;
  const Task* task;
  for (task = all->first; task != NULL; task = task->next) {
    if (task->cancel != NULL) nibble_cancel_request(task->cancel->handle);
    if (task->subject->kind == kSession) stop_session(task->subject);
  }
}

static void free_all(napi_env env, void* data, void* hint) {
  (void)env;
  (void)hint;
  free(data);
}

int tasks_init(napi_env env) {
  Tasks* all = calloc(1, sizeof *all);
  return all != NULL && napi_set_instance_data(env, all, free_all, NULL) == napi_ok &&
         napi_add_env_cleanup_hook(env, cancel_all, all) == napi_ok;
}
