/* An example of every function of nibble.h. tools/docs/api_reference.py shows the bodies in
 * docs/api.md; the test runs them all: api_examples MODEL SMALLER SAVED CHECKPOINT CONVERTED. What
 * they share: handles, the error that complain() shows, and the names of files. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <nibble.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static nibble_env* env;
static nibble_cancel* cancel;
static nibble_model* model;
static nibble_session* session;
static nibble_error error = NIBBLE_ERROR_INIT;
static const char* path;
static const char* smaller;
static const char* saved;
static const char* checkpoint;
static const char* converted;
static const char* const question = "What is the capital of France?";

static void complain(const nibble_error* e) {
  fprintf(stderr, "%s: %s\n%s\n", nibble_status_name((nibble_status)e->status), e->message,
          e->hint);
  exit(1);
}

static int print_text(const nibble_event* event, void* user) {
  (void)user;
  if (event->kind == NIBBLE_EVENT_TEXT) fwrite(event->text, 1, event->text_size, stdout);
  return 0; /* go on */
}

static int print_progress(const nibble_event* event, void* user) {
  (void)user;
  if (event->total > 0)
    fprintf(stderr, "\r%3.0f %%", 100.0 * (double)event->done / (double)event->total);
  return 0;
}

static void nibble_version_example(void) {
  printf("nibble %s\n", nibble_version());
}

static void nibble_abi_example(void) {
  if (nibble_abi() != NIBBLE_ABI) {
    fprintf(stderr, "libnibble: compiled for ABI %u, found %u\n", NIBBLE_ABI, nibble_abi());
    exit(1);
  }
}

static void nibble_status_name_example(void) {
  nibble_status status = nibble_model_open(env, "none.gguf", NULL, NULL, &model, &error);
  printf("%s: %s\n", nibble_status_name(status), error.message); /* NIBBLE_NOT_FOUND: ... */
}

static void nibble_env_create_example(void) {
  const nibble_option options[] = {{"threads", "2"}, {NULL, NULL}};
  if (nibble_env_create(options, &env, &error)) complain(&error);
}

/* A pool of one thread, begun for each task: a real one keeps its threads. */
static int submit(void* user, void (*task)(void* arg), void* arg, int n) {
  pthread_t* thread = user;
  (void)n;
  union {
    void (*task)(void*);
    void* (*thread)(void*);
  } as;
  as.task = task;
  return *thread == 0 && pthread_create(thread, NULL, as.thread, arg) == 0 ? 1 : 0;
}
static void wait_for_it(void* user) {
  pthread_t* thread = user;
  if (*thread != 0) pthread_join(*thread, NULL);
  *thread = 0;
}

static void nibble_env_set_executor_example(void) {
  static pthread_t pool;
  nibble_env* other;
  nibble_executor executor = NIBBLE_EXECUTOR_INIT;
  executor.submit = submit;
  executor.wait = wait_for_it;
  executor.user = &pool;
  if (nibble_env_create(NULL, &other, &error) ||
      nibble_env_set_executor(other, &executor, &error)) {
    complain(&error);
  }
  nibble_env_free(other);
}

static void print_log(const char* sentence, void* user) {
  fprintf(user, "note: %s\n", sentence);
}

static void nibble_env_set_log_example(void) {
  if (nibble_env_set_log(env, print_log, stderr, &error)) complain(&error);
}

static void nibble_env_get_usage_example(void) {
  nibble_env_usage usage = NIBBLE_ENV_USAGE_INIT;
  if (nibble_env_get_usage(env, &usage, &error)) complain(&error);
  printf("%d models, %d MB\n", (int)usage.n_models, (int)(usage.bytes / 1000000));
}

static void nibble_env_free_example(void) {
  nibble_env_free(env); /* models and sessions go on without it */
  env = NULL;
}

static void nibble_cancel_create_example(void) {
  if (nibble_cancel_create(env, &cancel, &error)) complain(&error);
}

static void nibble_cancel_request_example(void) {
  nibble_job job = NIBBLE_JOB_INIT;
  job.cancel = cancel;
  nibble_cancel_request(cancel); /* from another thread, as a rule */
  if (nibble_verify(env, path, &job, &error) != NIBBLE_CANCELLED) complain(&error);
}

static void nibble_cancel_reset_example(void) {
  nibble_cancel_reset(cancel); /* the next job that is given it runs */
}

static void nibble_cancel_free_example(void) {
  nibble_cancel_free(cancel);
}

static void nibble_verify_example(void) {
  nibble_job job = NIBBLE_JOB_INIT;
  job.on_event = print_progress;
  job.cancel = cancel;
  if (nibble_verify(env, path, &job, &error)) complain(&error);
}

static void nibble_inspect_example(void) {
  const nibble_option options[] = {{"ctx-size", "4096"}, {NULL, NULL}};
  nibble_buffer json = NIBBLE_BUFFER_INIT;
  if (nibble_inspect(env, path, options, &json, &error)) complain(&error);
  printf("%.32s...\n", json.data);
  nibble_buffer_free(&json);
}

static void nibble_quantize_example(void) {
  const nibble_option options[] = {{"pure", ""}, {"allow-requantize", ""}, {NULL, NULL}};
  nibble_job job = NIBBLE_JOB_INIT;
  job.on_event = print_progress;
  if (nibble_quantize(env, path, smaller, "Q4_0", options, &job, &error)) complain(&error);
}

static void nibble_convert_example(void) {
  const nibble_option options[] = {{"type", "F16"}, {NULL, NULL}};
  /* a folder of Hugging Face, a safetensors file or a llama2.c checkpoint */
  if (nibble_convert(env, checkpoint, converted, options, NULL, &error)) complain(&error);
}

static void nibble_model_open_example(void) {
  nibble_job job = NIBBLE_JOB_INIT;
  job.on_event = print_progress;
  if (nibble_model_open(env, path, NULL, &job, &model, &error)) complain(&error);
}

static void nibble_model_open_fd_example(void) {
  nibble_model* other;
  const int fd = open(path, O_RDONLY); /* Android's asset, a sandbox's gift */
  if (nibble_model_open_fd(env, fd, 0, 0, NULL, NULL, &other, &error)) complain(&error);
  close(fd);
  nibble_model_free(other);
}

static void nibble_model_open_memory_example(void) {
  nibble_model* other;
  struct stat about;
  FILE* file = fopen(path, "rb");
  char* bytes;
  size_t size;
  fstat(fileno(file), &about);
  bytes = malloc((size_t)about.st_size);
  size = fread(bytes, 1, (size_t)about.st_size, file);
  fclose(file);
  if (nibble_model_open_memory(env, bytes, size, NULL, NULL, &other, &error)) complain(&error);
  nibble_model_free(other);
  free(bytes); /* not before the model and its sessions */
}

static int read_file(void* user, uint64_t offset, void* to, size_t n) {
  return pread(fileno(user), to, n, (off_t)offset) == (ssize_t)n ? 0 : -1;
}

static void nibble_model_open_reader_example(void) {
  nibble_model* other;
  nibble_reader reader = NIBBLE_READER_INIT;
  struct stat about;
  FILE* file = fopen(path, "rb");
  fstat(fileno(file), &about);
  reader.read = read_file;
  reader.total = (uint64_t)about.st_size;
  reader.user = file;
  if (nibble_model_open_reader(env, &reader, NULL, NULL, &other, &error)) complain(&error);
  fclose(file); /* it was read while the call lasted */
  nibble_model_free(other);
}

static void nibble_model_free_example(void) {
  nibble_model_free(model); /* sessions keep what they need */
  model = NULL;
}

static void nibble_model_get_info_example(void) {
  nibble_model_info info = NIBBLE_MODEL_INFO_INIT;
  if (nibble_model_get_info(model, &info, &error)) complain(&error);
  printf("%s, %d MB\n", info.description, (int)(info.file_bytes / 1000000));
}

static void nibble_model_get_metadata_example(void) {
  nibble_buffer name = NIBBLE_BUFFER_INIT;
  if (nibble_model_get_metadata(model, "general.architecture", &name, &error)) complain(&error);
  printf("%s\n", name.data);
  nibble_buffer_free(&name);
}

static void nibble_buffer_free_example(void) {
  nibble_buffer text = NIBBLE_BUFFER_INIT;
  const int32_t token = 42;
  if (nibble_detokenize(model, &token, 1, 0, &text, &error)) complain(&error);
  nibble_buffer_free(&text); /* and again does no harm: it is empty now */
}

static void nibble_model_plan_example(void) {
  const nibble_option options[] = {{"ctx-size", "8192"}, {NULL, NULL}};
  nibble_plan plan = NIBBLE_PLAN_INIT;
  if (nibble_model_plan(model, options, &plan, &error)) complain(&error);
  printf("%s: %d MB\n", plan.fits ? "fits" : "does not fit",
         (int)((plan.weights + plan.keys_and_values + plan.scratch) / 1000000));
}

static void nibble_tokenize_example(void) {
  int32_t tokens[64];
  size_t n = 0;
  if (nibble_tokenize(model, question, strlen(question), 0, tokens, 64, &n, &error)) {
    complain(&error);
  }
  printf("%d tokens\n", (int)n); /* more than 64: they did not fit, ask again with room for n */
}

static void nibble_detokenize_example(void) {
  nibble_buffer text = NIBBLE_BUFFER_INIT;
  const int32_t tokens[] = {504, 1575};
  if (nibble_detokenize(model, tokens, 2, 0, &text, &error)) complain(&error);
  printf("'%s'\n", text.data);
  nibble_buffer_free(&text);
}

static void nibble_chat_render_example(void) {
  const nibble_message messages[] = {{"system", "Be brief."}, {"user", question}};
  nibble_buffer prompt = NIBBLE_BUFFER_INIT;
  if (nibble_chat_render(model, messages, 2, &prompt, &error)) complain(&error);
  printf("%s\n", prompt.data);
  nibble_buffer_free(&prompt);
}

static void nibble_count_tokens_example(void) {
  const nibble_message messages[] = {{"system", "Be brief."}, {"user", question}};
  size_t n = 0;
  if (nibble_count_tokens(model, messages, 2, &n, &error)) complain(&error);
  printf("the prompt has %d tokens\n", (int)n);
}

static void nibble_session_create_example(void) {
  const nibble_option options[] = {
      {"ctx-size", "2048"}, {"temp", "0"}, {"predict", "8"}, {NULL, NULL}};
  if (nibble_session_create(model, options, &session, &error)) complain(&error);
}

static void nibble_session_fork_example(void) {
  nibble_session* branch;
  const nibble_message other[] = {{"user", "What is the capital of Spain?"}};
  if (nibble_session_fork(session, &branch, &error) ||
      nibble_chat(branch, other, 1, NULL, NULL, NULL, &error)) {
    complain(&error);
  }
  nibble_session_free(branch); /* `session` is where it was */
}

static void nibble_session_free_example(void) {
  nibble_session_free(session);
  session = NULL;
}

static void nibble_session_set_example(void) {
  if (nibble_session_set(session, "stop", "\n\n", &error) ||
      nibble_session_set(session, "predict", "12", &error)) {
    complain(&error);
  }
}

static void nibble_session_get_usage_example(void) {
  nibble_session_usage usage = NIBBLE_SESSION_USAGE_INIT;
  if (nibble_session_get_usage(session, &usage, &error)) complain(&error);
  printf("%d of %d tokens\n", (int)usage.n_used, (int)usage.n_ctx);
}

static void nibble_session_rewind_example(void) {
  if (nibble_session_rewind(session, 4, &error)) complain(&error); /* keeps the first four tokens */
}

static void nibble_session_save_example(void) {
  if (nibble_session_save(session, saved, &error)) complain(&error);
}

static void nibble_session_load_example(void) {
  if (nibble_session_load(session, saved, &error)) complain(&error);
}

static void nibble_session_cancel_example(void) {
  const nibble_message messages[] = {{"user", "Tell me a story."}};
  nibble_event event = NIBBLE_EVENT_INIT;
  if (nibble_chat_begin(session, messages, 1, &error)) complain(&error);
  nibble_session_cancel(session); /* from any thread, also in the middle of a call */
  do {
    if (nibble_next(session, &event, &error)) complain(&error);
  } while (event.kind != NIBBLE_EVENT_DONE);
  if (event.result->finish == NIBBLE_FINISH_CANCELLED) printf("stopped\n");
}

static void nibble_chat_example(void) {
  const nibble_message messages[] = {{"user", question}};
  nibble_result result = NIBBLE_RESULT_INIT;
  if (nibble_chat(session, messages, 1, print_text, NULL, &result, &error)) complain(&error);
  printf("\n%d tokens\n", (int)result.n_generated);
}

static void nibble_complete_example(void) {
  const char* text = "Once upon a time";
  if (nibble_complete(session, text, strlen(text), print_text, NULL, NULL, &error)) {
    complain(&error);
  }
  printf("\n");
}

static void nibble_chat_begin_example(void) {
  const nibble_message messages[] = {{"user", question}};
  if (nibble_chat_begin(session, messages, 1, &error)) complain(&error);
}

static void nibble_complete_begin_example(void) {
  const char* text = "Once upon a time";
  if (nibble_complete_begin(session, text, strlen(text), &error)) complain(&error);
}

static void nibble_next_example(void) {
  nibble_event event = NIBBLE_EVENT_INIT;
  do { /* each turn is short: a host may draw a frame between two */
    if (nibble_next(session, &event, &error)) complain(&error);
    if (event.kind == NIBBLE_EVENT_TEXT) fwrite(event.text, 1, event.text_size, stdout);
  } while (event.kind != NIBBLE_EVENT_DONE);
  printf("\n");
}

static void nibble_evaluate_example(void) {
  const int32_t tokens[] = {504, 1575, 282};
  if (nibble_evaluate(session, tokens, 3, NULL, NULL, &error)) complain(&error);
}

static void nibble_logits_example(void) {
  const float* logits = NULL;
  size_t n = 0, best = 0, i;
  if (nibble_logits(session, &logits, &n, &error)) complain(&error);
  for (i = 1; i < n; ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  printf("the likeliest next token: %d\n", (int)best);
}

static void nibble_sample_example(void) {
  int32_t token = 0;
  if (nibble_sample(session, &token, &error)) complain(&error);
  printf("the next token: %d\n", (int)token);
}

static void nibble_embed_example(void) {
  const char* const texts[] = {"a cat", "stock prices fell", "a small dog"};
  nibble_embeddings vectors = NIBBLE_EMBEDDINGS_INIT;
  double to_dog[2] = {0, 0};
  int64_t i, d;
  if (nibble_embed(model, texts, 3, NULL, NULL, &vectors, &error)) complain(&error);
  for (i = 0; i < 2; ++i)
    for (d = 0; d < vectors.n_dims; ++d) /* of length 1: the product is the cosine */
      to_dog[i] += (double)vectors.values[i * vectors.n_dims + d] *
                   (double)vectors.values[2 * vectors.n_dims + d];
  printf("like a small dog: %s %.3f, %s %.3f\n", texts[0], to_dog[0], texts[1], to_dog[1]);
  nibble_embeddings_free(&vectors);
}

static void nibble_embeddings_free_example(void) {
  nibble_embeddings vectors = NIBBLE_EMBEDDINGS_INIT;
  const char* const text = "a cat";
  if (nibble_embed(model, &text, 1, NULL, NULL, &vectors, &error)) complain(&error);
  printf("%d numbers\n", (int)vectors.n_dims);
  nibble_embeddings_free(&vectors); /* and again is harmless */
}

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  path = argv[1], smaller = argv[2], saved = argv[3], checkpoint = argv[4], converted = argv[5];
  nibble_version_example();
  nibble_abi_example();
  nibble_env_create_example();
  nibble_env_set_executor_example();
  nibble_env_set_log_example();
  nibble_status_name_example();
  nibble_cancel_create_example();
  nibble_cancel_request_example();
  nibble_cancel_reset_example();
  nibble_verify_example();
  nibble_inspect_example();
  nibble_quantize_example();
  nibble_convert_example();
  nibble_model_open_example();
  nibble_model_open_fd_example();
  nibble_model_open_memory_example();
  nibble_model_open_reader_example();
  nibble_model_get_info_example();
  nibble_model_get_metadata_example();
  nibble_buffer_free_example();
  nibble_model_plan_example();
  nibble_tokenize_example();
  nibble_detokenize_example();
  nibble_chat_render_example();
  nibble_count_tokens_example();
  nibble_session_create_example();
  nibble_env_get_usage_example();
  nibble_chat_example();
  nibble_session_fork_example();
  nibble_session_set_example();
  nibble_complete_example();
  nibble_complete_begin_example();
  nibble_chat_begin_example();
  nibble_next_example();
  nibble_session_save_example();
  nibble_session_cancel_example();
  nibble_session_load_example();
  nibble_session_get_usage_example();
  nibble_session_rewind_example();
  nibble_evaluate_example();
  nibble_logits_example();
  nibble_sample_example();
  nibble_embed_example();
  nibble_embeddings_free_example();
  nibble_session_free_example();
  nibble_model_free_example();
  nibble_cancel_free_example();
  nibble_env_free_example();
  return 0;
}
