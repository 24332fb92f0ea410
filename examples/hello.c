/* Asks a model one question and prints the answer as it comes.
 *
 *   cc hello.c $(pkg-config --cflags --libs nibble) -o hello
 *   ./hello model.gguf "Why is the sky blue?"
 */
#include <nibble.h>
#include <stdio.h>

static int print_text(const nibble_event* event, void* user) {
  (void)user;
  if (event->kind == NIBBLE_EVENT_TEXT) {
    fwrite(event->text, 1, event->text_size, stdout);
    fflush(stdout);
  }
  return 0; /* go on */
}

int main(int argc, char** argv) {
  nibble_env* env = NULL;
  nibble_model* model = NULL;
  nibble_session* session = NULL;
  nibble_error error = NIBBLE_ERROR_INIT;
  if (argc != 3) {
    fprintf(stderr, "usage: hello MODEL QUESTION\n");
    return 2;
  }
  const nibble_message question[] = {{"user", argv[2]}};
  const nibble_option options[] = {{"temp", "0"}, {"predict", "60"}, {NULL, NULL}};
  if (nibble_env_create(NULL, &env, &error) ||
      nibble_model_open(env, argv[1], NULL, NULL, &model, &error) ||
      nibble_session_create(model, options, &session, &error) ||
      nibble_chat(session, question, 1, print_text, NULL, NULL, &error)) {
    fprintf(stderr, "%s\n%s\n", error.message, error.hint);
  } else {
    printf("\n");
  }
  nibble_session_free(session); /* in any order; NULL is left alone */
  nibble_model_free(model);
  nibble_env_free(env);
  return error.status == NIBBLE_OK ? 0 : 1;
}
