// See machine.h.
#include "tools/machine.h"

#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "runtime/threads/cpu_limits.h"
#include "tools/small_file.h"
#include "tools/values.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

constexpr int kMostCpus = 8192;

int64_t number(const std::string& text) {
  return parse_int(text).value_or(-1);
}

// Physical cores: hyper-threads of one name the same first sibling.
int count_cores(const std::string& root, std::span<const int> cpus) {
  std::set<int> cores;
  for (const int cpu : cpus) {
    const std::string path =
        root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    const int first = first_of_cpu_list(read_line(path + "thread_siblings_list"));
    cores.insert(first < 0 ? cpu : first);
  }
  return static_cast<int>(cores.size());
}

// The least quota of the process's control group and its ancestors.
int read_quota(const std::string& root) {
  const std::string groups = read_small(root + "/proc/self/cgroup");
  std::string group(cgroup_v2_path(groups));
  int quota = 0;
  while (!group.empty()) {
    const std::string line = read_small(root + "/sys/fs/cgroup" + group + "/cpu.max");
    const int here = quota_of_cpu_max(line);
    if (here > 0) quota = quota == 0 ? here : std::min(quota, here);
    if (group == "/") break;
    const size_t slash = group.rfind('/');
    group.resize(slash == 0 ? 1 : slash);
  }
  return quota;
}

void read_memory(const std::string& root, Machine* out) {
  const std::string text = read_small(root + "/proc/meminfo");
  out->memory = meminfo_bytes(text, "MemTotal");
  out->available = meminfo_bytes(text, "MemAvailable");
  out->swap_total = meminfo_bytes(text, "SwapTotal");
  const int64_t free = meminfo_bytes(text, "SwapFree");
  if (out->swap_total >= 0 && free >= 0) out->swap_used = out->swap_total - free;
}

// The last of the data caches that the system lists: index0, index1, ...
int64_t read_cache(const std::string& root, int cpu) {
  const std::string caches =
      root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cache/index";
  int64_t bytes = -1;
  for (int i = 0; i < 8; ++i) {
    const std::string size = read_line(caches + std::to_string(i) + "/size");  // "2048K"
    bytes = std::max(bytes, parse_int(size, true).value_or(-1));
  }
  return bytes;
}

void read_clock(const std::string& root, int cpu, Machine* out) {
  const std::string cpus = root + "/sys/devices/system/cpu/";
  const std::string clock = cpus + "cpu" + std::to_string(cpu) + "/cpufreq/";
  out->driver = read_line(clock + "scaling_driver");
  out->governor = read_line(clock + "scaling_governor");
  out->preference = read_line(clock + "energy_performance_preference");
  out->most_khz = number(read_line(clock + "scaling_max_freq"));
  out->rated_khz = number(read_line(clock + "cpuinfo_max_freq"));
  out->profile = read_line(root + "/sys/firmware/acpi/platform_profile");
  out->turbo_off =
      read_line(cpus + "intel_pstate/no_turbo") == "1" || read_line(cpus + "cpufreq/boost") == "0";
}

// A machine without a mains supply (desktops often name none) is not on battery.
bool read_battery(const std::string& root) {
  bool mains = false;
  bool plugged = false;
  std::error_code error;
  for (const fs::directory_entry& supply :
       fs::directory_iterator(root + "/sys/class/power_supply", error)) {
    const std::string type = read_line(supply.path() / "type");
    if (type != "Mains" && type != "USB") continue;
    mains = mains || type == "Mains";
    plugged = plugged || read_line(supply.path() / "online") == "1";
  }
  return mains && !plugged;
}

}  // namespace

Machine read_machine(const std::string& root, std::span<const int> cpus) {
  Machine out;
  out.cpu = read_cpu_name(root);
  out.online_cpus = count_cpu_list(read_line(root + "/sys/devices/system/cpu/online"));
  out.allowed_cpus = static_cast<int>(cpus.size());
  out.allowed_cores = count_cores(root, cpus);
  out.quota_cpus = read_quota(root);
  read_memory(root, &out);
  std::istringstream load(read_small(root + "/proc/loadavg"));
  if (!(load >> out.load)) out.load = -1;
  out.cache = read_cache(root, cpus.empty() ? 0 : cpus.front());
  read_clock(root, cpus.empty() ? 0 : cpus.front(), &out);
  out.on_battery = read_battery(root);
  return out;
}

std::string read_cpu_name(const std::string& root) {
  std::ifstream file(root + "/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, 10, "model name") != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::vector<int> allowed_cpus() {
  std::vector<int> out;
  cpu_set_t* mask = CPU_ALLOC(kMostCpus);
  if (mask == nullptr) return out;
  const size_t bytes = CPU_ALLOC_SIZE(kMostCpus);
  CPU_ZERO_S(bytes, mask);
  if (::sched_getaffinity(0, bytes, mask) == 0) {
    for (int cpu = 0; cpu < kMostCpus; ++cpu) {
      if (CPU_ISSET_S(static_cast<size_t>(cpu), bytes, mask)) out.push_back(cpu);
    }
  }
  CPU_FREE(mask);
  return out;
}

std::optional<CpuTimes> read_cpu_times(const std::string& root) {
  std::istringstream line(read_small(root + "/proc/stat"));
  std::string name;
  int64_t user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0, stolen = 0;
  line >> name >> user >> nice >> system >> idle;
  if (!line || name != "cpu") return std::nullopt;
  line >> wait >> irq >> softirq >> stolen;  // old kernels leave these out
  return CpuTimes{user + nice + system + irq + softirq, idle + wait, stolen};
}

int64_t meminfo_bytes(const std::string& text, const std::string& key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.compare(0, key.size() + 1, key + ":") != 0) continue;
    std::istringstream value(line.substr(key.size() + 1));
    int64_t kilobytes = -1;
    return value >> kilobytes && kilobytes >= 0 && kilobytes < int64_t{1} << 50 ? kilobytes * 1024
                                                                                : -1;
  }
  return -1;
}

int count_cpu_list(const std::string& text) {
  int count = 0;
  std::istringstream ranges(text);
  for (std::string range; std::getline(ranges, range, ',');) {
    const size_t dash = std::min(range.find('-'), range.size());
    const int64_t first = number(range.substr(0, dash));
    const int64_t last = dash < range.size() ? number(range.substr(dash + 1)) : first;
    if (first < 0 || last < first || last >= kMostCpus) return 0;
    count += static_cast<int>(last - first) + 1;
  }
  return std::min(count, kMostCpus);
}

}  // namespace nibble
