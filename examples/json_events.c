/* Answers a question and writes what happens as lines of JSON, for a program at the other end of a
 * pipe: {"event":"text","text":"..."} ... {"event":"done","finish":"stop",...}. When the reader
 * goes away, the answer stops.
 *
 *   cc json_events.c $(pkg-config --cflags --libs nibble) -o json_events
 *   ./json_events model.gguf "Why is the sky blue?" | jq -r .text
 */
#include <nibble.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void put_string(const char* text, size_t size) {
  size_t i;
  putchar('"');
  for (i = 0; i < size; ++i) {
    const unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\') {
      printf("\\%c", c);
    } else if (c < 0x20) {
      printf("\\u%04x", c);
    } else {
      putchar(c); /* texts are whole code points of UTF-8 */
    }
  }
  putchar('"');
}

static void put_result(const nibble_result* r) {
  static const char* const finish[] = {"", "stop", "length", "context", "cancelled"};
  printf(",\"finish\":\"%s\",\"prompt\":%lld,\"reused\":%lld,\"generated\":%lld", finish[r->finish],
         (long long)r->n_prompt, (long long)r->n_reused, (long long)r->n_generated);
}

static int put_event(const nibble_event* event, void* user) {
  static const char* const kinds[] = {"", "progress", "text", "reasoning", "done"};
  (void)user;
  printf("{\"event\":\"%s\"", kinds[event->kind]);
  if (event->kind == NIBBLE_EVENT_PROGRESS) {
    printf(",\"done\":%llu,\"total\":%llu", (unsigned long long)event->done,
           (unsigned long long)event->total);
  } else if (event->kind == NIBBLE_EVENT_DONE) {
    put_result(event->result);
  } else {
    printf(",\"text\":");
    put_string(event->text, event->text_size);
  }
  printf("}\n");
  return fflush(stdout); /* not 0 when nobody reads: cancels */
}

int main(int argc, char** argv) {
  nibble_env* env = NULL;
  nibble_model* model = NULL;
  nibble_session* session = NULL;
  nibble_error error = NIBBLE_ERROR_INIT;
  const nibble_option options[] = {{"temp", "0"}, {"predict", "60"}, {NULL, NULL}};
  nibble_message question[] = {{"user", NULL}};
  if (argc != 3) {
    fprintf(stderr, "usage: json_events MODEL QUESTION\n");
    return 2;
  }
  question[0].content = argv[2];
  signal(SIGPIPE, SIG_IGN); /* the host's choice: the library leaves signals alone */
  if (nibble_env_create(NULL, &env, &error) ||
      nibble_model_open(env, argv[1], NULL, NULL, &model, &error) ||
      nibble_session_create(model, options, &session, &error) ||
      nibble_chat(session, question, 1, put_event, NULL, NULL, &error)) {
    printf("{\"event\":\"error\",\"status\":\"%s\",\"message\":",
           nibble_status_name((nibble_status)error.status));
    put_string(error.message, strlen(error.message));
    printf("}\n");
  }
  nibble_session_free(session);
  nibble_model_free(model);
  nibble_env_free(env);
  return error.status == NIBBLE_OK ? 0 : 1;
}
