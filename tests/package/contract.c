/* What a program outside the tree may count on, with the shared library as it is installed: two
 * copies of it in one process, several models in each, nothing on the standard streams, nothing
 * spinning when there is nothing to do, no thread and no mapping left behind by dlclose.
 * usage: contract LIBRARY COPY MODEL */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <nibble.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { COPIES = 2, MODELS = 2, MOST_TEXT = 4096 };

/* The functions of one copy. */
struct library {
  void* handle;
  nibble_status (*env_create)(const nibble_option*, nibble_env**, nibble_error*);
  nibble_status (*env_free)(nibble_env*);
  nibble_status (*model_open)(nibble_env*, const char*, const nibble_option*, const nibble_job*,
                              nibble_model**, nibble_error*);
  nibble_status (*model_free)(nibble_model*);
  nibble_status (*session_create)(nibble_model*, const nibble_option*, nibble_session**,
                                  nibble_error*);
  nibble_status (*session_free)(nibble_session*);
  nibble_status (*complete)(nibble_session*, const char*, size_t, nibble_on_event, void*,
                            nibble_result*, nibble_error*);
  nibble_env* env;
  nibble_model* models[MODELS];
  nibble_session* sessions[MODELS];
};

static void fail(const char* what, const char* why) {
  fprintf(stderr, "contract: %s: %s\n", what, why == NULL ? "" : why);
  exit(1);
}

static void* function(const struct library* lib, const char* name) {
  void* found = dlsym(lib->handle, name);
  if (found == NULL) fail(name, dlerror());
  return found;
}

static void load(struct library* lib, const char* path) {
  lib->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (lib->handle == NULL) fail("dlopen", dlerror());
  *(void**)&lib->env_create = function(lib, "nibble_env_create");
  *(void**)&lib->env_free = function(lib, "nibble_env_free");
  *(void**)&lib->model_open = function(lib, "nibble_model_open");
  *(void**)&lib->model_free = function(lib, "nibble_model_free");
  *(void**)&lib->session_create = function(lib, "nibble_session_create");
  *(void**)&lib->session_free = function(lib, "nibble_session_free");
  *(void**)&lib->complete = function(lib, "nibble_complete");
}

static void open_models(struct library* lib, const char* path) {
  const nibble_option options[] = {
      {"temp", "0"}, {"predict", "8"}, {"threads", "2"}, {"ctx-size", "64"}, {NULL, NULL}};
  nibble_error error = NIBBLE_ERROR_INIT;
  int i;
  if (lib->env_create(NULL, &lib->env, &error) != NIBBLE_OK) fail("environment", error.message);
  for (i = 0; i < MODELS; ++i) {
    if (lib->model_open(lib->env, path, NULL, NULL, &lib->models[i], &error) != NIBBLE_OK ||
        lib->session_create(lib->models[i], options, &lib->sessions[i], &error) != NIBBLE_OK) {
      fail("model", error.message);
    }
  }
}

static int hear(const nibble_event* event, void* user) {
  char* text = user;
  if (event->kind == NIBBLE_EVENT_TEXT && strlen(text) + event->text_size < MOST_TEXT) {
    strcat(text, event->text);
  }
  return 0;
}

static void answer(const struct library* lib, int model, char* text) {
  nibble_error error = NIBBLE_ERROR_INIT;
  text[0] = '\0';
  if (lib->complete(lib->sessions[model], "the heat", 8, hear, text, NULL, &error) != NIBBLE_OK) {
    fail("answer", error.message);
  }
}

static void close_models(struct library* lib) {
  int i;
  lib->env_free(lib->env);
  for (i = 0; i < MODELS; ++i) {
    if (lib->model_free(lib->models[i]) != NIBBLE_OK) fail("free a model", "");
    if (lib->session_free(lib->sessions[i]) != NIBBLE_OK) fail("free a session", "");
  }
}

static int count(const char* folder) {
  int n = 0;
  DIR* entries = opendir(folder);
  while (entries != NULL && readdir(entries) != NULL) ++n;
  if (entries != NULL) closedir(entries);
  return n;
}

static double cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int is_mapped(const char* name) {
  char line[1024];
  int found = 0;
  FILE* maps = fopen("/proc/self/maps", "r");
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    if (strstr(line, name) != NULL) found = 1;
  }
  if (maps != NULL) fclose(maps);
  return found;
}

int main(int argc, char** argv) {
  struct library libs[COPIES];
  struct sigaction before, after;
  Dl_info info;
  char first[MOST_TEXT], text[MOST_TEXT];
  double busy;
  int i, j, threads, descriptors;
  if (argc != 4) fail("usage", "contract LIBRARY COPY MODEL");
  sigaction(SIGBUS, NULL, &before);
  threads = count("/proc/self/task");
  descriptors = count("/proc/self/fd");
  for (i = 0; i < COPIES; ++i) {
    load(&libs[i], argv[1 + i]);
    open_models(&libs[i], argv[3]);
  }
  if (libs[0].complete == libs[1].complete) fail("copies", "both are the same");
  answer(&libs[0], 0, first);
  if (first[0] == '\0') fail("answer", "none");
  for (i = 0; i < COPIES; ++i) {
    for (j = 0; j < MODELS; ++j) {
      answer(&libs[i], j, text);
      if (strcmp(text, first) != 0) fail("answers differ", text);
    }
  }
  /* Spinning for half a second would take half a second. */
  busy = cpu_seconds();
  usleep(500000);
  busy = cpu_seconds() - busy;
  if (busy > 0.1) fail("idle", "something used the processor");

  /* The last loaded first: as if neither had been there. */
  for (i = COPIES - 1; i >= 0; --i) {
    close_models(&libs[i]);
    dlclose(libs[i].handle);
    if (is_mapped(argv[1 + i])) fail("dlclose", "the library is still there");
  }
  if (count("/proc/self/task") != threads) fail("threads", "some are left");
  if (count("/proc/self/fd") != descriptors) fail("descriptors", "some are left");
  sigaction(SIGBUS, NULL, &after);
  if (before.sa_handler != after.sa_handler) fail("SIGBUS", "its handler is not the one before");

  /* The other way round: the first copy's handler lies below the second's, so its code stays. */
  for (i = 0; i < COPIES; ++i) {
    load(&libs[i], argv[1 + i]);
    open_models(&libs[i], argv[3]);
  }
  for (i = 0; i < COPIES; ++i) {
    close_models(&libs[i]);
    dlclose(libs[i].handle);
  }
  sigaction(SIGBUS, NULL, &after);
  if (after.sa_handler != SIG_DFL && dladdr(*(void**)&after.sa_handler, &info) == 0) {
    fail("SIGBUS", "its handler is code that is gone");
  }
  return 0;
}
