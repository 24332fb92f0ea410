#include "runtime/engine/memory_plan.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "formats/io/error.h"
#include "runtime/threads/cpu_limits.h"

namespace nibble {

namespace {

constexpr size_t kPathBytes = 1024;
constexpr size_t kFileBytes = 8192;

/// The first number after `name` at the start of a line; with an empty name, of the text. -1: none.
int64_t number_after(std::string_view text, std::string_view name) noexcept {
  size_t at = 0;
  while (at < text.size() && text.substr(at, name.size()) != name) {
    at = std::min(text.find('\n', at), text.size() - 1) + 1;
  }
  at += name.size();
  while (at < text.size() && (text[at] == ' ' || text[at] == '\t')) ++at;
  int64_t value = -1;
  if (at < text.size()) std::from_chars(text.data() + at, text.data() + text.size(), value);
  return value;
}

int64_t number_in(const char* folder, const char* file, std::string_view name) noexcept {
  char path[kPathBytes];
  char text[kFileBytes];
  std::snprintf(path, sizeof path, "%s/%s", folder, file);
  return number_after(read_small_file(path, text), name);
}

/// What one control group leaves; -1 if it sets no limit ("max", or v1's huge number).
int64_t left_in_group(const char* folder, const char* limit_file, const char* usage_file) noexcept {
  const int64_t limit = number_in(folder, limit_file, "");
  const int64_t used = number_in(folder, usage_file, "");
  if (limit < 0 || limit >= (int64_t{1} << 60) || used < 0) return -1;
  const int64_t cached = std::max<int64_t>(number_in(folder, "memory.stat", "inactive_file "), 0) +
                         std::max<int64_t>(number_in(folder, "memory.stat", "active_file "), 0);
  return std::max<int64_t>(limit - std::max<int64_t>(used - cached, 0), 0);
}

}  // namespace

int64_t available_memory() noexcept {
  const int64_t kib = number_in("/proc", "meminfo", "MemAvailable:");
  int64_t least = kib < 0 ? -1 : kib * 1024;
  const auto lower = [&least](int64_t bytes) {
    if (bytes >= 0 && (least < 0 || bytes < least)) least = bytes;
  };
  lower(left_in_group("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"));

  char text[kFileBytes];
  const std::string_view group = cgroup_v2_path(read_small_file("/proc/self/cgroup", text));
  if (group.empty() || group.size() > kPathBytes / 2) return least;
  for (size_t length = group.size();; length = group.rfind('/', length - 1)) {
    char folder[kPathBytes];
    std::snprintf(folder, sizeof folder, "/sys/fs/cgroup%.*s", static_cast<int>(length),
                  group.data());
    lower(left_in_group(folder, "memory.max", "memory.current"));
    if (length == 0) return least;
  }
}

void require_memory_for(const std::string& file, uint64_t bytes) {
  const int64_t left = available_memory();
  if (left < 0 || bytes <= static_cast<uint64_t>(left)) return;
  throw Error(ErrorCode::out_of_memory,
              fmt::format("{}: memory: the file takes {} bytes, available {}", file, bytes, left),
              "map the file instead of reading it into memory");
}

int64_t context_that_fits(const MemoryPlan& plan, int64_t wanted) noexcept {
  if (plan.available < 0 || plan.kv_per_token == 0) return wanted;
  const int64_t needed = plan.weights - plan.held + plan.scratch;
  const int64_t room = plan.available - plan.available / 10 - needed;
  const int64_t fits = std::max<int64_t>(room, 0) / plan.kv_per_token;
  return std::min(wanted, std::max<int64_t>(fits, 512));
}

}  // namespace nibble
