#pragma once
// What /proc and /sys say about this machine, as far as it decides how fast a model runs. Every
// reader takes the root of the file system as a path, so that tests show it machines of their own.
// A file that is not there (containers, other kernels) leaves its value unknown; nothing is
// guessed.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace nibble {

struct Machine {
  std::string cpu;         // "unknown" if the system does not say
  int online_cpus = 0;     // hardware threads of the machine; 0: unknown
  int allowed_cpus = 0;    // of these, that this process may use; 0: unknown
  int allowed_cores = 0;   // physical cores of the allowed CPUs; 0: unknown
  int quota_cpus = 0;      // that the control group pays for; 0: no limit
  int64_t memory = -1;     // bytes; -1: unknown, here and below
  int64_t available = -1;  // that may still be taken
  int64_t swap_total = -1;
  int64_t swap_used = -1;
  double load = -1;         // runnable tasks, mean over a minute
  int64_t cache = -1;       // bytes of the last cache of the first allowed CPU
  std::string driver;       // of the clock: "intel_pstate"; empty: unknown, here and below
  std::string governor;     // of the first allowed CPU
  std::string preference;   // energy over performance: "balance_power"
  std::string profile;      // of the firmware: "low-power"
  int64_t most_khz = -1;    // clock that the settings allow
  int64_t rated_khz = -1;   // clock that the CPU reaches
  bool turbo_off = false;   // by setting
  bool on_battery = false;  // there is a power supply, and none is plugged in
};

/// cpus: those that the process may use, ascending (allowed_cpus()).
Machine read_machine(const std::string& root, std::span<const int> cpus);
/// "unknown" if the system does not say.
std::string read_cpu_name(const std::string& root);
/// CPUs in the affinity mask of the calling thread, ascending.
std::vector<int> allowed_cpus();

/// What all CPUs did since the system started, in ticks.
struct CpuTimes {
  int64_t busy = 0;
  int64_t idle = 0;
  int64_t stolen = 0;  // wanted by this virtual machine, used by another
  int64_t total() const noexcept { return busy + idle + stolen; }
};
/// nullopt if /proc/stat cannot be read.
std::optional<CpuTimes> read_cpu_times(const std::string& root);

// Parts of the above, on text.

/// "MemTotal: 16 kB" in bytes; -1 if the key is not there.
int64_t meminfo_bytes(const std::string& text, const std::string& key);
/// Number of CPUs in a kernel CPU list: "0-3,8" -> 5; 0 if the text is none.
int count_cpu_list(const std::string& text);

}  // namespace nibble
