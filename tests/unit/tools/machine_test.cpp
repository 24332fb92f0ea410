// Machines made of files: what the readers find, and that what is missing stays unknown.
#include "tools/machine.h"

#include <filesystem>
#include <fstream>

#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
namespace fs = std::filesystem;

namespace {

class Root {
 public:
  void put(const std::string& path, const std::string& text) const {
    const fs::path full = folder_.path() + "/" + path;
    fs::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  std::string path() const { return folder_.path(); }

 private:
  test::TempDir folder_;
};

}  // namespace

TEST_CASE("a machine without /proc and /sys is unknown") {
  const Root root;
  const Machine m = read_machine(root.path(), {});
  CHECK(m.cpu == "unknown");
  CHECK(m.online_cpus == 0);
  CHECK(m.allowed_cpus == 0);
  CHECK(m.allowed_cores == 0);
  CHECK(m.quota_cpus == 0);
  CHECK(m.memory == -1);
  CHECK(m.available == -1);
  CHECK(m.swap_used == -1);
  CHECK(m.cache == -1);
  CHECK(m.load < 0);
  CHECK(m.governor.empty());
  CHECK_FALSE(m.turbo_off);
  CHECK_FALSE(m.on_battery);
  CHECK_FALSE(read_cpu_times(root.path()).has_value());
}

TEST_CASE("a laptop") {
  const Root root;
  root.put("proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU 9 @ 2.0GHz\nflags\t\t: fpu\n");
  root.put("proc/meminfo",
           "MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:    8000000 kB\n"
           "SwapCached: 5 kB\nSwapTotal:       2000000 kB\nSwapFree:        1500000 kB\n");
  root.put("proc/loadavg", "1.25 0.80 0.50 2/345 6789\n");
  root.put("proc/self/cgroup", "1:cpu:/old\n0::/user/app\n");
  root.put("sys/fs/cgroup/user/app/cpu.max", "max 100000\n");
  root.put("sys/fs/cgroup/user/cpu.max", "150000 100000\n");
  const std::string cpus = "sys/devices/system/cpu/";
  root.put(cpus + "online", "0-3\n");
  for (int cpu = 0; cpu < 4; ++cpu) {
    const std::string one = cpus + "cpu" + std::to_string(cpu) + "/";
    root.put(one + "topology/thread_siblings_list", cpu < 2 ? "0-1\n" : "2-3\n");
    root.put(one + "cpufreq/scaling_driver", "intel_pstate\n");
    root.put(one + "cpufreq/scaling_governor", "powersave\n");
    root.put(one + "cpufreq/energy_performance_preference", "balance_power\n");
    root.put(one + "cpufreq/scaling_max_freq", "2400000\n");
    root.put(one + "cpufreq/cpuinfo_max_freq", "4800000\n");
    root.put(one + "cache/index0/size", "48K\n");
    root.put(one + "cache/index2/size", "2048K\n");
    root.put(one + "cache/index3/size", "12M\n");
  }
  root.put(cpus + "intel_pstate/no_turbo", "1\n");
  root.put("sys/firmware/acpi/platform_profile", "low-power\n");
  root.put("sys/class/power_supply/AC/type", "Mains\n");
  root.put("sys/class/power_supply/AC/online", "0\n");
  root.put("sys/class/power_supply/BAT0/type", "Battery\n");

  const int allowed[] = {0, 1, 2};
  const Machine m = read_machine(root.path(), allowed);
  CHECK(m.cpu == "Some CPU 9 @ 2.0GHz");
  CHECK(m.online_cpus == 4);
  CHECK(m.allowed_cpus == 3);
  CHECK(m.allowed_cores == 2);
  CHECK(m.quota_cpus == 2);  // 1.5 of the parent, rounded up
  CHECK(m.memory == 16000000LL * 1024);
  CHECK(m.available == 8000000LL * 1024);
  CHECK(m.swap_used == 500000LL * 1024);
  CHECK(m.cache == 12 << 20);
  CHECK(m.load == 1.25);
  CHECK(m.driver == "intel_pstate");
  CHECK(m.preference == "balance_power");
  CHECK(m.profile == "low-power");
  CHECK(m.most_khz == 2400000);
  CHECK(m.rated_khz == 4800000);
  CHECK(m.turbo_off);
  CHECK(m.on_battery);
  root.put("sys/class/power_supply/AC/online", "1\n");
  CHECK_FALSE(read_machine(root.path(), allowed).on_battery);
}

TEST_CASE("times of all CPUs") {
  const Root root;
  root.put("proc/stat", "cpu  100 20 30 4000 50 6 7 89 10 0\ncpu0 1 2 3 4\n");
  const auto times = read_cpu_times(root.path());
  REQUIRE(times.has_value());
  CHECK(times->busy == 163);
  CHECK(times->idle == 4050);
  CHECK(times->stolen == 89);
  CHECK(times->total() == 4302);
  root.put("proc/stat", "cpu 1 2 3 4\n");  // an old kernel
  CHECK(read_cpu_times(root.path())->total() == 10);
  root.put("proc/stat", "cpu 1 2 x\n");
  CHECK_FALSE(read_cpu_times(root.path()).has_value());
}

TEST_CASE("lines of meminfo and CPU lists") {
  CHECK(meminfo_bytes("MemTotal: 16 kB\n", "MemTotal") == 16384);
  CHECK(meminfo_bytes("MemTotal: 16 kB\n", "Mem") == -1);
  CHECK(meminfo_bytes("MemTotal: -1 kB\n", "MemTotal") == -1);
  CHECK(meminfo_bytes("MemTotal:\n", "MemTotal") == -1);
  CHECK(meminfo_bytes("MemTotal: 9223372036854775807 kB\n", "MemTotal") == -1);
  CHECK(count_cpu_list("0") == 1);
  CHECK(count_cpu_list("0-3,8,10-11") == 7);
  CHECK(count_cpu_list("") == 0);
  CHECK(count_cpu_list("3-1") == 0);
  CHECK(count_cpu_list("0-99999999999") == 0);
  CHECK(count_cpu_list("x") == 0);
}

TEST_CASE("this process may use at least one CPU") {
  CHECK(allowed_cpus().size() >= 1);
}
