/* A program outside the tree, compiled as C99 against what was installed. Where it loads the
 * library itself (USE_DLOPEN), no trace may be left after dlclose. */
#include <nibble.h>
#include <stdio.h>
#include <string.h>

#ifdef USE_DLOPEN
#include <dlfcn.h>

static int is_mapped(void) {
  char line[512];
  int found = 0;
  FILE* maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) return -1;
  while (fgets(line, sizeof line, maps) != NULL) {
    if (strstr(line, "libnibble.so") != NULL) found = 1;
  }
  fclose(maps);
  return found;
}

int main(int argc, char** argv) {
  int i;
  for (i = 0; i < 3; ++i) {
    const char* (*version)(void);
    void* library = dlopen(argc > 1 ? argv[1] : "libnibble.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
      puts(dlerror());
      return 1;
    }
    *(void**)&version = dlsym(library, "nibble_version");
    if (version == NULL || version()[0] == '\0' || is_mapped() != 1) return 1;
    dlclose(library);
    if (is_mapped() != 0) {
      puts("libnibble.so stays after dlclose");
      return 1;
    }
  }
  return 0;
}

#else

int main(void) {
  nibble_env* env = NULL;
  nibble_model* model = NULL;
  nibble_error error = NIBBLE_ERROR_INIT;
  if (nibble_abi() != NIBBLE_ABI) return 1;
  if (nibble_env_create(NULL, &env, &error) != NIBBLE_OK) {
    puts(error.message);
    return 1;
  }
  if (nibble_model_open(env, "/does/not/exist.gguf", NULL, NULL, &model, &error) !=
          NIBBLE_NOT_FOUND ||
      strstr(error.message, "/does/not/exist.gguf") == NULL) {
    puts(error.message);
    return 1;
  }
  nibble_env_free(env);
  printf("nibble %s\n", nibble_version());
  return 0;
}

#endif
