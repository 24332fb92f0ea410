/* A conversation that outlives its program: asks a question, saves the session, frees everything,
 * and goes on from the file with a second question, of which only the new part is evaluated.
 *
 *   cc save_restore.c $(pkg-config --cflags --libs nibble) -o save_restore
 *   ./save_restore model.gguf talk.session "Name a colour." "Another one."
 */
#include <nibble.h>
#include <stdio.h>
#include <string.h>

typedef struct Answer {
  char text[4096];
  size_t size;
} Answer;

static int append(const nibble_event* event, void* user) {
  Answer* answer = user;
  if (event->kind != NIBBLE_EVENT_TEXT) return 0;
  if (event->text_size > sizeof answer->text - 1 - answer->size) return 1; /* stop: no more room */
  memcpy(answer->text + answer->size, event->text, event->text_size);
  answer->size += event->text_size;
  return 0;
}

/* One life of the program: opens the model, goes on from `file` if there is `before`, answers the
 * last of n messages, saves. */
static nibble_status live(const char* path, const char* file, int before,
                          const nibble_message* messages, size_t n, Answer* answer,
                          nibble_result* result, nibble_error* error) {
  const nibble_option options[] = {{"temp", "0"}, {"predict", "40"}, {NULL, NULL}};
  nibble_env* env = NULL;
  nibble_model* model = NULL;
  nibble_session* session = NULL;
  nibble_status status = nibble_env_create(NULL, &env, error);
  if (!status) status = nibble_model_open(env, path, NULL, NULL, &model, error);
  if (!status) status = nibble_session_create(model, options, &session, error);
  if (!status && before) status = nibble_session_load(session, file, error);
  if (!status) status = nibble_chat(session, messages, n, append, answer, result, error);
  if (!status) status = nibble_session_save(session, file, error);
  nibble_session_free(session);
  nibble_model_free(model);
  nibble_env_free(env);
  return status;
}

int main(int argc, char** argv) {
  static Answer first, second;
  nibble_error error = NIBBLE_ERROR_INIT;
  nibble_result result = NIBBLE_RESULT_INIT;
  nibble_message messages[] = {{"user", NULL}, {"assistant", NULL}, {"user", NULL}};
  if (argc != 5) {
    fprintf(stderr, "usage: save_restore MODEL FILE QUESTION QUESTION\n");
    return 2;
  }
  messages[0].content = argv[3];
  messages[2].content = argv[4];
  if (live(argv[1], argv[2], 0, messages, 1, &first, &result, &error) == NIBBLE_OK) {
    printf("%s\n", first.text);
    messages[1].content = first.text; /* the messages are the program's to keep */
    if (live(argv[1], argv[2], 1, messages, 3, &second, &result, &error) == NIBBLE_OK) {
      printf("%s\n", second.text);
      fprintf(stderr, "%lld of %lld tokens were known\n", (long long)result.n_reused,
              (long long)result.n_prompt);
    }
  }
  if (error.status != NIBBLE_OK) fprintf(stderr, "%s\n%s\n", error.message, error.hint);
  return error.status == NIBBLE_OK ? 0 : 1;
}
