/* nibble in a program: open a quantized language model, chat with it, free it.
 *
 *   nibble_env *env;
 *   nibble_model *model;
 *   nibble_session *session;
 *   nibble_error error = NIBBLE_ERROR_INIT;
 *   const nibble_message question[] = {{"user", "Why is the sky blue?"}};
 *   if (nibble_env_create(NULL, &env, &error) ||
 *       nibble_model_open(env, path, NULL, NULL, &model, &error) ||
 *       nibble_session_create(model, NULL, &session, &error) ||
 *       nibble_chat(session, question, 1, print_text, NULL, NULL, &error))
 *     fprintf(stderr, "%s\n", error.message);
 *
 * Rules that hold for every function:
 *
 * Errors. A function that can fail gives 0 (NIBBLE_OK) or one of the negative nibble_status, and
 * fills in the nibble_error that it was given (which may be NULL). It never ends the process,
 * throws, prints, reads the environment or changes the locale.
 *
 * Handles. nibble_env, nibble_cancel, nibble_model and nibble_session are handles, not addresses:
 * NULL, a freed one or one of another kind is NIBBLE_BAD_HANDLE. Objects may be freed in any order;
 * what others still need stays until they are freed. After fork(), handles are NIBBLE_FORKED in the
 * child, which may create an environment of its own (NIBBLE_BAD_HANDLE from then on); the parent
 * goes on. A child of a process with several threads can do only what is safe there.
 *
 * Threads. Every function may be called from any thread. A session does one thing at a time: while
 * a call uses it, others get NIBBLE_BUSY, also from within its callback; only nibble_session_cancel
 * and nibble_session_free act at once. Environments and models may be used by any number of threads
 * at the same time. Callbacks come from the calling thread; an exception that a C++ callback throws
 * ends the call as NIBBLE_INTERNAL.
 *
 * Text. UTF-8, in and out; paths too. What is given as `const char *` ends with a zero byte, unless
 * a size stands beside it. Nothing that is passed in is kept after the call.
 *
 * Options. Names and values are the command's: {"ctx-size", "4096"} is --ctx-size 4096. Tables of
 * options end with a row of NULLs; NULL stands for an empty table. An unknown name or a value out
 * of range is NIBBLE_BAD_ARGUMENT, and the message names it.
 *
 * Growth. Structs begin with their size, set by the caller (the *_INIT macros do), so that later
 * versions can add members at the end.
 */
#ifndef NIBBLE_H
#define NIBBLE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define NIBBLE_API
#else
#define NIBBLE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- versions, errors ---- */

/* "0.1.0". The text lives as long as the library. */
NIBBLE_API const char* nibble_version(void);
/* Counts incompatible changes of this header; NIBBLE_ABI when the program was compiled. */
NIBBLE_API uint32_t nibble_abi(void);
#define NIBBLE_ABI 1u

typedef enum nibble_status {
  NIBBLE_OK = 0,
  NIBBLE_BAD_ARGUMENT = -1, /* a value is out of range, an option unknown */
  NIBBLE_NOT_FOUND = -2,    /* no such file, key or tensor */
  NIBBLE_IO = -3,           /* the operating system refused */
  NIBBLE_BAD_FILE = -4,     /* the file contradicts its own format */
  NIBBLE_UNSUPPORTED = -5,  /* valid, but not something nibble does */
  NIBBLE_OUT_OF_MEMORY = -6,
  NIBBLE_CONTEXT_FULL = -7, /* the prompt does not fit the context: the message has both numbers */
  NIBBLE_CANCELLED = -8,
  NIBBLE_BUSY = -9,        /* another call uses the session */
  NIBBLE_BAD_HANDLE = -10, /* NULL, freed, or of another kind */
  NIBBLE_FORKED = -11,     /* the handle is the parent process's */
  NIBBLE_INTERNAL = -12    /* a bug of nibble */
} nibble_status;

/* "NIBBLE_OK" ...; "unknown" for other numbers. The text lives as long as the library. */
NIBBLE_API const char* nibble_status_name(nibble_status status);

/* Why a call failed; both texts end with a zero byte and are "" after success. */
typedef struct nibble_error {
  uint32_t size;
  int32_t status;     /* nibble_status */
  char message[1016]; /* names file, thing, expected, got */
  char hint[504];     /* what to do about it; may be "" */
} nibble_error;
#define NIBBLE_ERROR_INIT           \
  {                                 \
    sizeof(nibble_error), 0, {0}, { \
      0                             \
    }                               \
  }

/* ---- options, text, events ---- */

typedef struct nibble_option {
  const char* name;  /* a long option of the command, without its dashes */
  const char* value; /* "" where the option has none */
} nibble_option;

/* Bytes that belong to the caller: give them back with nibble_buffer_free. A zero byte follows that
 * does not count. */
typedef struct nibble_buffer {
  char* data;
  size_t size;
} nibble_buffer;
#define NIBBLE_BUFFER_INIT \
  { NULL, 0 }
/* Frees the bytes and empties the buffer; NULL and an empty one are left alone. */
NIBBLE_API void nibble_buffer_free(nibble_buffer* buffer);

typedef enum nibble_event_kind {
  NIBBLE_EVENT_PROGRESS = 1,  /* done of total: bytes, or tokens of a prompt */
  NIBBLE_EVENT_TEXT = 2,      /* a piece of the answer, whole code points */
  NIBBLE_EVENT_REASONING = 3, /* the same of what the model thinks before it answers */
  NIBBLE_EVENT_DONE = 4       /* the last event of a generation */
} nibble_event_kind;

typedef enum nibble_finish {
  NIBBLE_FINISH_STOP = 1,    /* the model ended its answer, or a stop string came */
  NIBBLE_FINISH_LENGTH = 2,  /* "predict" tokens were generated */
  NIBBLE_FINISH_CONTEXT = 3, /* the context is full */
  NIBBLE_FINISH_CANCELLED = 4
} nibble_finish;

/* What a generation came to. */
typedef struct nibble_result {
  uint32_t size;
  int32_t finish;           /* nibble_finish */
  int64_t n_prompt;         /* tokens of the prompt */
  int64_t n_reused;         /* of these, not evaluated again */
  int64_t n_generated;      /* tokens of the answer */
  int64_t dropped_messages; /* left out because the context is full: see "overflow" */
  int64_t dropped_tokens;
  double prompt_seconds;
  double generate_seconds;
} nibble_result;
#define NIBBLE_RESULT_INIT \
  { sizeof(nibble_result), 0, 0, 0, 0, 0, 0, 0, 0 }

typedef struct nibble_event {
  uint32_t size;
  int32_t kind;     /* nibble_event_kind */
  const char* text; /* of TEXT and REASONING, with a zero byte behind; else "" */
  size_t text_size; /* bytes */
  uint64_t done;    /* of PROGRESS */
  uint64_t total;
  const nibble_result* result; /* of DONE; else NULL */
} nibble_event;
#define NIBBLE_EVENT_INIT \
  { sizeof(nibble_event), 0, NULL, 0, 0, 0, NULL }

/* The event and what it points at live until the callback returns. Anything but 0 cancels. */
typedef int (*nibble_on_event)(const nibble_event* event, void* user);

/* ---- environment ---- */

typedef struct nibble_env nibble_env;

/* What models, sessions and jobs share. Options: "threads" (how many run at once, over all of them;
 * 0, the default: what suits the machine); "team" (whose they are: "threads", the default, those of
 * the library, which sleep when there is nothing to do; "openmp", the pool that the program's own
 * OpenMP regions use, which ends the process where the system refuses a thread, and cannot be used
 * in a forked child); "no-file-guard" (install no handler of SIGBUS, for the whole process: a model
 * file that somebody truncates while it is in use then ends it). */
NIBBLE_API nibble_status nibble_env_create(const nibble_option* options, nibble_env** env,
                                           nibble_error* error);

/* The host's own pool of threads. Both functions are called from threads that use sessions, models
 * and jobs, and must not throw. */
typedef struct nibble_executor {
  uint32_t size;
  /* Has task(arg) called n times from threads of the pool, each call once, and returns how many of
   * them the pool took; the others are never called. A task that begins too late to help returns at
   * once, so a pool of any size serves, also one that is busy. */
  int (*submit)(void* user, void (*task)(void* arg), void* arg, int n);
  /* Returns when every task that was taken before has returned. Called when a session or model is
   * freed. NULL: the library stays loaded as long as the pool has its tasks. */
  void (*wait)(void* user);
  void* user;
} nibble_executor;
#define NIBBLE_EXECUTOR_INIT \
  { sizeof(nibble_executor), NULL, NULL, NULL }
/* What is opened or begun from now on uses this pool instead of the option "team"; the answers are
 * the same. */
NIBBLE_API nibble_status nibble_env_set_executor(nibble_env* env, const nibble_executor* executor,
                                                 nibble_error* error);

/* Receives what a user may want to know and no error says, such as settings of a model file that
 * are ignored: one sentence, without a line end. NULL, the default: nobody. A call that another
 * thread is in may still use the one before. */
typedef void (*nibble_on_log)(const char* sentence, void* user);
NIBBLE_API nibble_status nibble_env_set_log(nibble_env* env, nibble_on_log on_log, void* user,
                                            nibble_error* error);

typedef struct nibble_env_usage {
  uint32_t size;
  int32_t threads;  /* at most */
  int64_t n_models; /* that are open or that sessions still need */
  int64_t n_sessions;
  int64_t file_bytes; /* of the models' files, mapped: the system takes pages back when it must */
  int64_t bytes;      /* allocated: rearranged weights, keys and values */
} nibble_env_usage;
#define NIBBLE_ENV_USAGE_INIT \
  { sizeof(nibble_env_usage), 0, 0, 0, 0, 0 }
NIBBLE_API nibble_status nibble_env_get_usage(nibble_env* env, nibble_env_usage* usage,
                                              nibble_error* error);

/* Models and sessions go on without it. NULL is left alone. */
NIBBLE_API nibble_status nibble_env_free(nibble_env* env);

/* ---- jobs: what takes its time ---- */

/* A request to stop. */
typedef struct nibble_cancel nibble_cancel;
NIBBLE_API nibble_status nibble_cancel_create(nibble_env* env, nibble_cancel** cancel,
                                              nibble_error* error);
/* Every job that was given it, also a later one, ends with NIBBLE_CANCELLED, within 50 ms as a
 * rule. From any thread, and from a signal handler, unless nibble_cancel_free may run then. */
NIBBLE_API nibble_status nibble_cancel_request(nibble_cancel* cancel);
NIBBLE_API nibble_status nibble_cancel_reset(nibble_cancel* cancel);
/* Jobs that were given it go on. NULL is left alone. */
NIBBLE_API nibble_status nibble_cancel_free(nibble_cancel* cancel);

/* How a job is watched and stopped; each member may be NULL. */
typedef struct nibble_job {
  uint32_t size;
  nibble_on_event on_event; /* gets PROGRESS */
  void* user;
  nibble_cancel* cancel;
} nibble_job;
#define NIBBLE_JOB_INIT \
  { sizeof(nibble_job), NULL, NULL, NULL }

/* Is every byte of a model file what was written? NIBBLE_BAD_FILE names the first tensor that is
 * damaged. */
NIBBLE_API nibble_status nibble_verify(nibble_env* env, const char* path, const nibble_job* job,
                                       nibble_error* error);
/* What there is to know about a model file, as JSON: the command's `inspect --json`. A file that
 * does not run here is described too ("runs" is false, "problem" says why). Options: full (every
 * item of long arrays), ctx-size (of the memory plan), isa. */
NIBBLE_API nibble_status nibble_inspect(nibble_env* env, const char* path,
                                        const nibble_option* options, nibble_buffer* json,
                                        nibble_error* error);
/* Writes `in` with weights of a smaller type ("Q4_K_M", "NF4" ...; the command's menu). The new
 * file appears whole or not at all; a call that was interrupted is taken up by the next. Options:
 * pure, output-tensor-type, token-embedding-type, allow-requantize, strict, threads. */
NIBBLE_API nibble_status nibble_quantize(nibble_env* env, const char* in, const char* out,
                                         const char* type, const nibble_option* options,
                                         const nibble_job* job, nibble_error* error);
/* Writes a GGUF file from a Hugging Face folder, a safetensors file or a llama2.c checkpoint, or
 * safetensors from a GGUF file, by what `in` is. Options: type, allow-requantize, tokenizer,
 * threads. */
NIBBLE_API nibble_status nibble_convert(nibble_env* env, const char* in, const char* out,
                                        const nibble_option* options, const nibble_job* job,
                                        nibble_error* error);

/* ---- models ---- */

/* An opened model file. It does not change, and any number of sessions use it. */
typedef struct nibble_model nibble_model;

/* Options: threads (for opening), isa, no-repack, no-mmap (read the file into memory, for drives
 * that come and go). */
NIBBLE_API nibble_status nibble_model_open(nibble_env* env, const char* path,
                                           const nibble_option* options, const nibble_job* job,
                                           nibble_model** model, nibble_error* error);
/* The same of `size` bytes (0: all there are) of an open file from `offset` on. The descriptor
 * stays the caller's, who may close it. Where offset is no multiple of the page size, the bytes are
 * read into memory. */
NIBBLE_API nibble_status nibble_model_open_fd(nibble_env* env, int fd, uint64_t offset,
                                              uint64_t size, const nibble_option* options,
                                              const nibble_job* job, nibble_model** model,
                                              nibble_error* error);
/* The same of memory, at an address that is a multiple of 8, which must stay as it is until the
 * model and its sessions are freed. */
NIBBLE_API nibble_status nibble_model_open_memory(nibble_env* env, const void* data, size_t size,
                                                  const nibble_option* options,
                                                  const nibble_job* job, nibble_model** model,
                                                  nibble_error* error);

/* A file that only the host can read: part of a bundle, encrypted, remote. */
typedef struct nibble_reader {
  uint32_t size;
  /* Writes n bytes of the file from `offset` on to `to`; anything but 0 says that it failed. */
  int (*read)(void* user, uint64_t offset, void* to, size_t n);
  uint64_t total; /* bytes of the file */
  void* user;
} nibble_reader;
#define NIBBLE_READER_INIT \
  { sizeof(nibble_reader), NULL, 0, NULL }
/* The same of a file that is read into memory once, while the call lasts. */
NIBBLE_API nibble_status nibble_model_open_reader(nibble_env* env, const nibble_reader* reader,
                                                  const nibble_option* options,
                                                  const nibble_job* job, nibble_model** model,
                                                  nibble_error* error);
/* Sessions keep what they need. NULL is left alone. */
NIBBLE_API nibble_status nibble_model_free(nibble_model* model);

typedef struct nibble_model_info {
  uint32_t size;
  int32_t has_chat_template;
  int64_t n_params;
  int64_t n_vocab;
  int64_t n_embd;
  int64_t n_ctx_train; /* positions it was trained for */
  int64_t file_bytes;
  char description[128]; /* "llama 135M Q4_1" */
} nibble_model_info;
#define NIBBLE_MODEL_INFO_INIT                     \
  {                                                \
    sizeof(nibble_model_info), 0, 0, 0, 0, 0, 0, { \
      0                                            \
    }                                              \
  }
NIBBLE_API nibble_status nibble_model_get_info(nibble_model* model, nibble_model_info* info,
                                               nibble_error* error);
/* A text, number or truth value of the file's metadata ("general.name"), as text. NIBBLE_NOT_FOUND:
 * the file has no such key; NIBBLE_UNSUPPORTED: it is an array. */
NIBBLE_API nibble_status nibble_model_get_metadata(nibble_model* model, const char* key,
                                                   nibble_buffer* value, nibble_error* error);

/* Bytes that a session needs, against those the machine has. */
typedef struct nibble_plan {
  uint32_t size;
  int32_t fits;
  int64_t n_ctx; /* of the option, or what fits */
  int64_t weights;
  int64_t keys_and_values; /* of n_ctx positions; taken as they fill */
  int64_t scratch;
  int64_t available; /* -1: not known */
} nibble_plan;
#define NIBBLE_PLAN_INIT \
  { sizeof(nibble_plan), 0, 0, 0, 0, 0, 0 }
/* Options as of nibble_session_create. */
NIBBLE_API nibble_status nibble_model_plan(nibble_model* model, const nibble_option* options,
                                           nibble_plan* plan, nibble_error* error);

/* ---- text and tokens ---- */

enum {
  NIBBLE_ADD_SPECIAL = 1,   /* begin and end of a text, as the model has them */
  NIBBLE_PARSE_SPECIAL = 2, /* "<|im_end|>" is that token: never for what a user typed */
  NIBBLE_SHOW_SPECIAL = 4   /* detokenize: the text of control tokens too */
};

/* Writes at most `capacity` tokens and sets *n_tokens to how many there are. Too small a capacity
 * is no error: compare, and call again. tokens may be NULL where capacity is 0. */
NIBBLE_API nibble_status nibble_tokenize(nibble_model* model, const char* text, size_t text_size,
                                         uint32_t flags, int32_t* tokens, size_t capacity,
                                         size_t* n_tokens, nibble_error* error);
/* Bytes of the tokens, which end inside a code point where they do. */
NIBBLE_API nibble_status nibble_detokenize(nibble_model* model, const int32_t* tokens,
                                           size_t n_tokens, uint32_t flags, nibble_buffer* text,
                                           nibble_error* error);

/* A message of a conversation. */
typedef struct nibble_message {
  const char* role; /* "system", "user", "assistant" or "tool" */
  const char* content;
} nibble_message;

/* The prompt that a chat evaluates, through the model's own template. What the messages say cannot
 * become a control token, although the text does not show that. */
NIBBLE_API nibble_status nibble_chat_render(nibble_model* model, const nibble_message* messages,
                                            size_t n_messages, nibble_buffer* prompt,
                                            nibble_error* error);
/* Tokens of that prompt. */
NIBBLE_API nibble_status nibble_count_tokens(nibble_model* model, const nibble_message* messages,
                                             size_t n_messages, size_t* n_tokens,
                                             nibble_error* error);

/* ---- sessions ---- */

/* A text that grows: its tokens, and what the model remembers of them. */
typedef struct nibble_session nibble_session;

/* Options: ctx-size, threads, batch-size, cache-type-k, cache-type-v, and all of
 * nibble_session_set. NIBBLE_OUT_OF_MEMORY: the plan does not fit. */
NIBBLE_API nibble_status nibble_session_create(nibble_model* model, const nibble_option* options,
                                               nibble_session** session, nibble_error* error);
/* A second session that goes on from here: the same tokens, options and random numbers. What both
 * remember is kept once. */
NIBBLE_API nibble_status nibble_session_fork(nibble_session* session, nibble_session** copy,
                                             nibble_error* error);
/* Also while another thread uses it: its call then ends as cancelled. NULL is left alone. */
NIBBLE_API nibble_status nibble_session_free(nibble_session* session);

/* Sets an option of what is generated next: temp, top-k, top-p, min-p, typical, repeat-penalty,
 * repeat-last-n, presence-penalty, frequency-penalty, logit-bias (each call adds one), samplers,
 * seed, predict, stop (each call adds one; "" removes all), overflow ("error", the default, or
 * "drop": the oldest turns leave, and the result says so), reserve. */
NIBBLE_API nibble_status nibble_session_set(nibble_session* session, const char* name,
                                            const char* value, nibble_error* error);

typedef struct nibble_session_usage {
  uint32_t size;
  int32_t threads;
  int64_t n_ctx;
  int64_t n_used; /* tokens that it remembers */
  int64_t bytes;  /* of keys and values, allocated; what forks share counts in each */
} nibble_session_usage;
#define NIBBLE_SESSION_USAGE_INIT \
  { sizeof(nibble_session_usage), 0, 0, 0, 0 }
NIBBLE_API nibble_status nibble_session_get_usage(nibble_session* session,
                                                  nibble_session_usage* usage, nibble_error* error);
/* Forgets all but the first n_tokens; fewer than that are left alone. */
NIBBLE_API nibble_status nibble_session_rewind(nibble_session* session, int64_t n_tokens,
                                               nibble_error* error);
/* Writes what the session remembers, its own answers and its random numbers included, to a file
 * that appears whole or not at all. Options are not written. */
NIBBLE_API nibble_status nibble_session_save(nibble_session* session, const char* path,
                                             nibble_error* error);
/* Makes the session what was saved, by a session of the same model file with the same cache types.
 * NIBBLE_BAD_ARGUMENT: by another one; after an error the session is what it was. */
NIBBLE_API nibble_status nibble_session_load(nibble_session* session, const char* path,
                                             nibble_error* error);
/* The call that uses the session ends as cancelled, within 50 ms as a rule; between two calls of
 * nibble_next, the generation does. Without either, nothing happens. */
NIBBLE_API nibble_status nibble_session_cancel(nibble_session* session);

/* ---- generation ---- */

/* Answers a conversation, given whole each time: what the session remembers of it is reused, also
 * after messages were changed or removed. If the last message is the assistant's, it is continued.
 * on_event gets PROGRESS of the prompt, TEXT and REASONING as they come, and DONE. A cancelled
 * answer is no error: the result says so. on_event and result may be NULL. */
NIBBLE_API nibble_status nibble_chat(nibble_session* session, const nibble_message* messages,
                                     size_t n_messages, nibble_on_event on_event, void* user,
                                     nibble_result* result, nibble_error* error);
/* Goes on with a text, without a template. Control tokens that are written out in it are such. */
NIBBLE_API nibble_status nibble_complete(nibble_session* session, const char* text,
                                         size_t text_size, nibble_on_event on_event, void* user,
                                         nibble_result* result, nibble_error* error);

/* The same for a host with a loop of its own: begin, then nibble_next until DONE. Each call does
 * one step, a batch of the prompt or a token, and gives its event: PROGRESS, TEXT or REASONING
 * (maybe with no text yet). What an event points at lives until the next call with this session,
 * nibble_session_free included. nibble_session_cancel and nibble_session_get_usage apart, any other
 * use of the session ends the generation. */
NIBBLE_API nibble_status nibble_chat_begin(nibble_session* session, const nibble_message* messages,
                                           size_t n_messages, nibble_error* error);
NIBBLE_API nibble_status nibble_complete_begin(nibble_session* session, const char* text,
                                               size_t text_size, nibble_error* error);
NIBBLE_API nibble_status nibble_next(nibble_session* session, nibble_event* event,
                                     nibble_error* error);

/* For programs that choose tokens themselves. Makes the session's text these tokens: what it shares
 * with the text so far is reused. on_event gets PROGRESS; it may be NULL. */
NIBBLE_API nibble_status nibble_evaluate(nibble_session* session, const int32_t* tokens,
                                         size_t n_tokens, nibble_on_event on_event, void* user,
                                         nibble_error* error);
/* What the model gives the next token, one number for each of the vocabulary; until the next call
 * with this session, nibble_session_free included. NIBBLE_NOT_FOUND: nothing was evaluated last. */
NIBBLE_API nibble_status nibble_logits(nibble_session* session, const float** logits, size_t* n,
                                       nibble_error* error);
/* A token chosen from them as the session's options say. It is not evaluated. */
NIBBLE_API nibble_status nibble_sample(nibble_session* session, int32_t* token,
                                       nibble_error* error);

/* ---- embeddings ---- */

/* Vectors of texts; give them back with nibble_embeddings_free. */
typedef struct nibble_embeddings {
  uint32_t size;
  int64_t n_dims;
  int64_t n_rows;     /* one for each text; with pooling "none" one for each token */
  float* values;      /* [n_rows, n_dims], text after text */
  int64_t* first_row; /* [n_texts + 1]: where a text's rows begin, and the end */
} nibble_embeddings;
#define NIBBLE_EMBEDDINGS_INIT \
  { sizeof(nibble_embeddings), 0, 0, NULL, NULL }

/* A text that is too long is NIBBLE_BAD_ARGUMENT, with its number and both lengths. Options:
 * pooling (mean, cls, last, none; else as the file says), dims (only the first so many numbers, for
 * models that were trained for that), no-normalize, truncate (leave out the end of texts that are
 * too long), threads. PROGRESS counts texts. */
NIBBLE_API nibble_status nibble_embed(nibble_model* model, const char* const* texts, size_t n_texts,
                                      const nibble_option* options, const nibble_job* job,
                                      nibble_embeddings* embeddings, nibble_error* error);
/* Frees the vectors and empties the struct; NULL is left alone. */
NIBBLE_API void nibble_embeddings_free(nibble_embeddings* embeddings);

#ifdef __cplusplus
}
#endif

#endif /* NIBBLE_H */
