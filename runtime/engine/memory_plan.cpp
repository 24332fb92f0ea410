#include "runtime/engine/memory_plan.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>

namespace nibble {

namespace {

/// Contents of a small text file of the system; "" if it cannot be read.
std::string read_small(const char* path) {
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) return {};
  char buffer[8192];
  const size_t n = std::fread(buffer, 1, sizeof buffer, file);
  std::fclose(file);
  return std::string(buffer, n);
}

/// The decimal number at the start of text (after blanks); -1 if there is none.
int64_t leading_number(std::string_view text) {
  size_t i = 0;
  while (i < text.size() && (text[i] == ' ' || text[i] == '\t')) ++i;
  int64_t value = -1;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
    if (value > (INT64_MAX - 9) / 10) return INT64_MAX;
    value = (value < 0 ? 0 : value * 10) + (text[i] - '0');
  }
  return value;
}

int64_t field_kib(const std::string& text, std::string_view name) {
  const size_t at = text.find(name);
  if (at == std::string::npos) return -1;
  const int64_t kib = leading_number(std::string_view(text).substr(at + name.size()));
  return kib < 0 ? -1 : kib * 1024;
}

}  // namespace

int64_t available_memory() noexcept {
  int64_t best = 0;
  const auto lower = [&best](int64_t bytes) {
    if (bytes >= 0 && (best == 0 || bytes < best)) best = bytes;
  };
  lower(field_kib(read_small("/proc/meminfo"), "MemAvailable:"));
  const int64_t limit = leading_number(read_small("/sys/fs/cgroup/memory.max"));  // "max": none
  if (limit >= 0) {
    const int64_t used = leading_number(read_small("/sys/fs/cgroup/memory.current"));
    lower(std::max<int64_t>(0, limit - std::max<int64_t>(0, used)));
  }
  return best;
}

int64_t context_that_fits(const MemoryPlan& plan, int64_t wanted) noexcept {
  if (plan.available == 0 || plan.kv_per_token == 0) return wanted;
  const int64_t room = plan.available - plan.available / 10 - plan.weights - plan.scratch;
  const int64_t fits = std::max<int64_t>(room, 0) / plan.kv_per_token;
  return std::min(wanted, std::max<int64_t>(fits, 512));
}

}  // namespace nibble
