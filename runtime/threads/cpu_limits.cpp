#include "runtime/threads/cpu_limits.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <thread>

#include "runtime/threads/team.h"

namespace nibble {
namespace {

constexpr int kMaxCpus = 8192;
constexpr size_t kFileBytes = 4096;
constexpr size_t kPathBytes = 1024;

// CPUs paid for by the process's cgroup and all its ancestors; 0 if there is no limit.
int cgroup_quota() noexcept {
  char text[kFileBytes];
  const std::string_view group = cgroup_v2_path(read_small_file("/proc/self/cgroup", text));
  if (group.empty() || group.size() > kPathBytes / 2) return 0;
  int quota = 0;
  for (size_t length = group.size();; length = group.rfind('/', length - 1)) {
    char path[kPathBytes];
    std::snprintf(path, sizeof(path), "/sys/fs/cgroup%.*s/cpu.max", static_cast<int>(length),
                  group.data());
    char line[kFileBytes];
    const int here = quota_of_cpu_max(read_small_file(path, line));
    if (here > 0) quota = quota == 0 ? here : std::min(quota, here);
    if (length == 0) return quota;
  }
}

// Physical cores in the affinity mask: hyper-threads share the multipliers, so the second thread
// of a core only adds contention. 0 if the mask cannot be read.
int cores_in_affinity_mask() noexcept {
  cpu_set_t* mask = CPU_ALLOC(kMaxCpus);
  if (mask == nullptr) return 0;
  const size_t bytes = CPU_ALLOC_SIZE(kMaxCpus);
  CPU_ZERO_S(bytes, mask);
  int cores = 0;
  if (::sched_getaffinity(0, bytes, mask) == 0) {
    bool seen[kMaxCpus] = {};
    for (int cpu = 0; cpu < kMaxCpus; ++cpu) {
      if (!CPU_ISSET_S(static_cast<size_t>(cpu), bytes, mask)) continue;
      char path[kPathBytes];
      std::snprintf(path, sizeof(path),
                    "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
      char text[kFileBytes];
      int core = first_of_cpu_list(read_small_file(path, text));
      if (core < 0 || core >= kMaxCpus) core = cpu;
      if (!seen[core]) ++cores;
      seen[core] = true;
    }
  }
  CPU_FREE(mask);
  return cores;
}

}  // namespace

std::string_view read_small_file(const char* path, std::span<char> buffer) noexcept {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  ::close(fd);
  return n > 0 ? std::string_view(buffer.data(), static_cast<size_t>(n)) : std::string_view();
}

int quota_of_cpu_max(std::string_view line) noexcept {
  const char* end = line.data() + line.size();
  int64_t quota = 0;
  int64_t period = 0;
  const auto first = std::from_chars(line.data(), end, quota);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ' ') return 0;
  const auto second = std::from_chars(first.ptr + 1, end, period);
  if (second.ec != std::errc() || quota <= 0 || period <= 0) return 0;
  const int64_t cpus = quota / period + (quota % period != 0 ? 1 : 0);
  return static_cast<int>(std::min<int64_t>(cpus, kMaxCpus));
}

std::string_view cgroup_v2_path(std::string_view text) noexcept {
  while (!text.empty()) {
    const size_t eol = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, eol);
    if (line.substr(0, 4) == "0::/") return line.substr(3);
    text.remove_prefix(std::min(eol + 1, text.size()));
  }
  return {};
}

int first_of_cpu_list(std::string_view text) noexcept {
  int cpu = -1;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), cpu);
  return result.ec == std::errc() && cpu >= 0 ? cpu : -1;
}

int default_threads() noexcept {
  int threads = cores_in_affinity_mask();
  if (threads == 0) threads = static_cast<int>(std::thread::hardware_concurrency());
  const int quota = cgroup_quota();
  if (quota > 0) threads = std::min(threads, quota);
  return std::max(threads, 1);
}

}  // namespace nibble
