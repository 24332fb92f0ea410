// Opens everything, chats, frees everything, again and again: memory, threads and descriptors after
// the last time are what they were after the first tenth.
// usage: api_cycles N
#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>

#include "runtime/api/nibble.h"
#include "tests/support/chatting_model.h"
#include "tests/support/temp_dir.h"

using namespace nibble;

namespace {

bool cycle(const char* path) {
  nibble_env* env = nullptr;
  nibble_model* model = nullptr;
  nibble_session* session = nullptr;
  nibble_session* copy = nullptr;
  nibble_cancel* cancel = nullptr;
  const bool ok =
      nibble_env_create(nullptr, &env, nullptr) == NIBBLE_OK &&
      nibble_cancel_create(env, &cancel, nullptr) == NIBBLE_OK &&
      nibble_model_open(env, path, nullptr, nullptr, &model, nullptr) == NIBBLE_OK &&
      nibble_session_create(model, test::kGreedy, &session, nullptr) == NIBBLE_OK &&
      nibble_chat(session, test::kQuestion, 1, nullptr, nullptr, nullptr, nullptr) == NIBBLE_OK &&
      nibble_session_fork(session, &copy, nullptr) == NIBBLE_OK;
  nibble_env_free(env);  // first: the others go on without
  nibble_session_free(session);
  nibble_model_free(model);
  nibble_session_free(copy);
  nibble_cancel_free(cancel);
  return ok;
}

long entries(const char* folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

struct Held {
  long allocated;  // bytes
  long resident;   // pages
  long threads;
  long descriptors;
};

Held held() {
  Held h{};
  h.allocated = static_cast<long>(mallinfo2().uordblks);
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    long total = 0;
    if (std::fscanf(file, "%ld %ld", &total, &h.resident) != 2) h.resident = -1;
    std::fclose(file);
  }
  h.threads = entries("/proc/self/task");
  h.descriptors = entries("/proc/self/fd");
  return h;
}

}  // namespace

int main(int argc, char** argv) {
  const int n = argc > 1 ? std::atoi(argv[1]) : 10000;
  const test::TempDir dir;
  const std::string path = dir / "toy.gguf";
  test::write_file(path, test::chatting_model());
  Held first{};
  for (int i = 0; i < n; ++i) {
    if (!cycle(path.c_str())) return 2;
    if (i == n / 10) first = held();
  }
  const Held last = held();
  std::printf(
      "%d cycles: allocated %+ld bytes, resident %+ld pages, threads %+ld, descriptors %+ld\n", n,
      last.allocated - first.allocated, last.resident - first.resident,
      last.threads - first.threads, last.descriptors - first.descriptors);
  // The allocator may keep some pages more; a cycle that lost a page would show thousands.
  const bool grown =
      last.allocated > first.allocated + 4096 || last.resident > first.resident + 256;
  return grown || last.threads != first.threads || last.descriptors != first.descriptors ? 1 : 0;
}
