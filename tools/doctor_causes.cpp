// The rules of `nibble doctor`: one function a cause, in the order of how much they cost. A rule is
// silent where the system did not tell what it needs to know.
#include <fmt/format.h>

#include <algorithm>

#include "tools/doctor.h"
#include "tools/stats.h"

namespace nibble {
namespace {

using Findings = std::vector<Finding>;

constexpr int64_t kSwapThatCounts = int64_t{64} << 20;
constexpr double kOthersThatCount = 0.25;  // of a CPU
constexpr double kStolenThatCounts = 0.03;
constexpr double kCachedEnough = 0.95;

void memory_too_small(const Diagnosis& d, Findings& out) {
  const int64_t available = d.machine.available;
  if (!d.model || available < 0 || d.model->memory_needed <= available) return;
  out.push_back(
      {fmt::format("the model needs {} with a context of {}, {} are free",
                   format_bytes(d.model->memory_needed), d.model->n_ctx, format_bytes(available)),
       "pages of weights are read from disk again and again",
       "close programs, give a smaller -c, or take a smaller model or type"});
}

void swap_in_use(const Diagnosis& d, Findings& out) {
  if (d.machine.swap_used < kSwapThatCounts) return;
  out.push_back({fmt::format("{} of swap are in use", format_bytes(d.machine.swap_used)),
                 "memory has been short; what was moved out comes back at the speed of the disk",
                 "close programs that hold memory"});
}

void slow_kernels(const Diagnosis& d, Findings& out) {
  if (d.kernels.size() < 2 || d.isa != d.kernels.back().name) return;
  std::string faster;
  for (const KernelChoice& k : d.kernels) {
    if (k.name == d.isa) continue;
    if (!faster.empty()) faster += ", ";
    faster += k.name;
  }
  const bool could = d.kernels.front().supported;
  out.push_back({fmt::format("the kernels in use are {}, the slowest", d.isa),
                 fmt::format("several times slower than {}", faster),
                 could ? "leave --isa out" : "this CPU runs none of the faster ones"});
}

void few_threads(const Diagnosis& d, Findings& out) {
  const Machine& m = d.machine;
  const int cores = m.allowed_cores;
  if (cores < 1) return;
  const int paid = m.quota_cpus > 0 ? std::min(m.quota_cpus, cores) : cores;
  if (d.threads < paid) {
    out.push_back({fmt::format("{} of {} cores are used", d.threads, paid),
                   fmt::format("prompts take up to {:.1f} times as long", double(paid) / d.threads),
                   d.threads_given ? "leave -t out" : fmt::format("give -t {}", paid)});
  }
  if (d.threads > paid) {
    out.push_back({fmt::format("{} threads share {} cores", d.threads, paid),
                   "every phase waits for a thread that has no core",
                   fmt::format("give -t {}, or leave it out", paid)});
  }
  if (m.quota_cpus > 0 && m.quota_cpus < cores) {
    out.push_back(
        {fmt::format("the control group pays for {} of {} cores", m.quota_cpus, cores),
         fmt::format("prompts take up to {:.1f} times as long", double(cores) / m.quota_cpus),
         "raise its CPU limit (cpu.max, docker --cpus)"});
  }
  if (m.online_cpus > m.allowed_cpus && m.allowed_cpus > 0) {
    out.push_back({fmt::format("this process may use {} of {} CPUs", m.allowed_cpus, m.online_cpus),
                   fmt::format("prompts take up to {:.1f} times as long",
                               double(m.online_cpus) / m.allowed_cpus),
                   "start it without taskset, or with a wider CPU set"});
  }
}

void low_clock(const Diagnosis& d, Findings& out) {
  const Machine& m = d.machine;
  // These drivers choose the clock by preference; their governor "powersave" is the normal one.
  const bool by_preference = m.driver == "intel_pstate" || m.driver == "amd-pstate-epp";
  if (m.governor == "powersave" && !m.driver.empty() && !by_preference) {
    out.push_back({"the CPU governor is powersave", "the clock stays at its lowest",
                   "choose performance: cpupower frequency-set -g performance"});
  }
  if (by_preference && (m.preference == "power" || m.preference == "balance_power")) {
    out.push_back({fmt::format("the CPU's energy preference is {}", m.preference),
                   "the clock rises late and not to the top",
                   "choose the power mode balanced or performance"});
  }
  if (m.profile == "low-power" || m.profile == "quiet" || m.profile == "cool") {
    out.push_back({fmt::format("the power profile is {}", m.profile),
                   "the firmware keeps the CPU's power down",
                   "choose balanced or performance: powerprofilesctl set performance"});
  }
  if (m.most_khz > 0 && m.rated_khz > m.most_khz) {
    out.push_back(
        {fmt::format("the clock is limited to {:.1f} of {:.1f} GHz",
                     static_cast<double>(m.most_khz) / 1e6, static_cast<double>(m.rated_khz) / 1e6),
         fmt::format("prompts take up to {:.1f} times as long",
                     static_cast<double>(m.rated_khz) / static_cast<double>(m.most_khz)),
         "raise scaling_max_freq: cpupower frequency-set -u"});
  }
  if (m.turbo_off) {
    out.push_back({"turbo is switched off", "the clock stays at its base",
                   "allow it in the firmware or in the power settings"});
  }
  if (m.on_battery) {
    out.push_back(
        {"the machine runs on its battery", "most machines lower the clock then", "plug it in"});
  }
}

void busy_machine(const Diagnosis& d, Findings& out) {
  if (d.others_cpus >= kOthersThatCount) {
    const int cpus = std::max(d.machine.online_cpus, 1);
    out.push_back({fmt::format("other programs keep {:.1f} of {} CPUs busy", d.others_cpus, cpus),
                   "threads wait for one that has lost its core; figures here are too low",
                   "end them, or leave cores to them with a smaller -t"});
  }
  if (d.stolen >= kStolenThatCounts) {
    out.push_back(
        {fmt::format("the host takes {:.0f} % of this virtual machine's time", 100 * d.stolen),
         "figures vary and are too low", "ask for CPUs of its own"});
  }
}

void slow_file(const Diagnosis& d, Findings& out) {
  if (!d.model) return;
  const FileState& f = d.model->file;
  const std::string size = format_bytes(f.bytes);
  if (f.remote) {
    out.push_back(
        {fmt::format("the model lies on {}, which is not a disk of this machine", f.file_system),
         fmt::format("{} come over it whenever they are not in memory", size),
         "copy the file to a local disk"});
  } else if (f.removable) {
    out.push_back({"the model lies on a removable disk",
                   fmt::format("{} are read from it whenever they are not in memory", size),
                   "copy the file to an internal disk"});
  } else if (f.rotating) {
    out.push_back({"the system calls the model's disk a rotating one",
                   fmt::format("if so, {} take {:.0f} s or more to read", size,
                               static_cast<double>(f.bytes) / 150e6),
                   "copy the file to a solid-state disk"});
  }
  if (f.cached >= 0 && f.cached < kCachedEnough) {
    out.push_back({fmt::format("{:.0f} % of the file were in memory", 100 * f.cached),
                   fmt::format("the first start reads {} from disk",
                               format_bytes(static_cast<int64_t>((1 - f.cached) *
                                                                 static_cast<double>(f.bytes)))),
                   "nothing, if memory is large enough: the next start finds it there"});
  }
}

constexpr void (*kRules[])(const Diagnosis&, Findings&) = {
    memory_too_small, swap_in_use, slow_kernels, few_threads, low_clock, busy_machine, slow_file,
};

}  // namespace

std::vector<Finding> find_causes(const Diagnosis& diagnosis) {
  Findings out;
  for (const auto rule : kRules) rule(diagnosis, out);
  return out;
}

}  // namespace nibble
