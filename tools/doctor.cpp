// See doctor.h. The text and the JSON are printed from the same figures.
#include "tools/doctor.h"

#include <fmt/format.h>

#include "tools/control_filter.h"
#include "tools/stats.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json known(T value) {
  return value >= 0 ? Json(value) : Json(nullptr);
}
template <class T>
Json positive(T value) {
  return value > 0 ? Json(value) : Json(nullptr);
}
Json known(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

Json machine_json(const Diagnosis& d) {
  const Machine& m = d.machine;
  Json kernels = Json::array();
  for (const KernelChoice& k : d.kernels) {
    kernels.push_back(
        {{"name", k.name}, {"description", k.description}, {"supported", k.supported}});
  }
  return {{"cpu", m.cpu},
          {"isa", d.isa},
          {"kernels", kernels},
          {"threads", d.threads},
          {"online_cpus", positive(m.online_cpus)},
          {"allowed_cpus", positive(m.allowed_cpus)},
          {"allowed_cores", positive(m.allowed_cores)},
          {"quota_cpus", positive(m.quota_cpus)},
          {"memory", known(m.memory)},
          {"available_memory", known(m.available)},
          {"last_cache", known(m.cache)},
          {"swap", known(m.swap_total)},
          {"swap_used", known(m.swap_used)},
          {"load", known(m.load)},
          {"cpus_busy_with_others", known(d.others_cpus)},
          {"stolen_share", known(d.stolen)},
          {"clock_driver", known(m.driver)},
          {"governor", known(m.governor)},
          {"energy_preference", known(m.preference)},
          {"power_profile", known(m.profile)}};
}

Json model_json(const Diagnosis& d, const ModelDiagnosis& m) {
  return {{"path", m.path},
          {"type", m.description},
          {"bytes", m.file.bytes},
          {"file_system", known(m.file.file_system)},
          {"cached_share", known(m.file.cached)},
          {"load_seconds", m.load_seconds},
          {"repacked", m.repacked},
          {"memory_needed", m.memory_needed},
          {"n_ctx", m.n_ctx},
          {"bytes_per_token", m.bytes_per_token},
          {"macs_per_token", m.macs_per_token},
          {"decode",
           {{"n_gen", m.n_gen},
            {"tokens_per_second", m.gen_rate()},
            {"bound", positive(d.gen_bound())},
            {"share", positive(share(m.gen_rate(), d.gen_bound()))}}},
          {"prefill",
           {{"n_prompt", m.n_prompt},
            {"tokens_per_second", m.prompt_rate()},
            {"bound", positive(d.prompt_bound())},
            {"share", positive(share(m.prompt_rate(), d.prompt_bound()))}}}};
}

std::string line(std::string_view label, const std::string& text) {
  return fmt::format("{:<15} {}\n", label, text);
}

/// "1: 11.2, 2: 21.0 GB/s"
std::string by_threads(const std::vector<KernelSpeed>& speeds, const char* unit,
                       double (*value)(const KernelSpeed&)) {
  std::string out;
  for (const KernelSpeed& s : speeds) {
    if (!out.empty()) out += ", ";
    out += fmt::format("{}: {:.1f}", s.threads, value(s));
  }
  return out.empty() ? "not measured" : out + " " + unit + " by number of threads";
}

std::string cores_text(const Machine& m) {
  std::string out;
  const auto add = [&](const std::string& part) { out += (out.empty() ? "" : ", ") + part; };
  if (m.online_cpus > 0) add(fmt::format("{} CPUs", m.online_cpus));
  if (m.allowed_cpus > 0) {
    add(fmt::format("{} cores on {} CPUs allowed", m.allowed_cores, m.allowed_cpus));
  }
  if (m.quota_cpus > 0) add(fmt::format("{} paid for by the control group", m.quota_cpus));
  return out.empty() ? "unknown" : out;
}

std::string machine_text(const Diagnosis& d) {
  const Machine& m = d.machine;
  std::string out = line("cpu", one_line(m.cpu));
  std::string kernels;
  for (const KernelChoice& k : d.kernels) {
    kernels += fmt::format("{}{}{}", kernels.empty() ? "" : ", ", k.name,
                           k.supported ? "" : " (not on this CPU)");
  }
  out += line("kernels", fmt::format("{} chosen; in this build: {}", d.isa, kernels));
  out += line("cores", cores_text(m));
  out += line("threads", fmt::to_string(d.threads));
  if (m.memory >= 0) {
    out += line("memory",
                format_bytes(m.memory) +
                    (m.available < 0 ? "" : fmt::format(", {} free", format_bytes(m.available))));
  }
  if (m.swap_used >= 0) {
    out +=
        line("swap", m.swap_total == 0 ? "none"
                                       : fmt::format("{} of {} in use", format_bytes(m.swap_used),
                                                     format_bytes(m.swap_total)));
  }
  if (d.others_cpus >= 0) {
    out +=
        line("other programs", fmt::format("{:.1f} CPUs busy{}", d.others_cpus,
                                           m.load < 0 ? "" : fmt::format(", load {:.2f}", m.load)));
  }
  if (!m.governor.empty()) {
    std::string clock = m.governor + ", " + (m.driver.empty() ? "unknown driver" : m.driver);
    if (!m.preference.empty()) clock += ", preference " + m.preference;
    out += line("clock", one_line(clock));
  }
  return out;
}

std::string bounds_text(const Diagnosis& d) {
  std::string out = "\nBounds of this machine\n";
  out += line("read bandwidth", by_threads(d.read, "GB/s", [](const KernelSpeed& s) {
                return s.bytes_per_second() / 1e9;
              }));
  out += line("multipliers", by_threads(d.peak, "GMAC/s (int8)", [](const KernelSpeed& s) {
                return s.macs_per_second() / 1e9;
              }));
  return out + line("barrier", by_threads(d.barrier, "ns",
                                          [](const KernelSpeed& s) { return s.seconds * 1e9; }));
}

std::string reached(double rate, double bound, const char* what) {
  std::string out = fmt::format("{:.1f} tokens/s", rate);
  if (bound > 0) {
    out += fmt::format(", {:.0f} % of the {:.1f} that {} allow", 100 * rate / bound, bound, what);
  }
  return out;
}

std::string model_text(const Diagnosis& d, const ModelDiagnosis& m) {
  std::string out = "\n" + one_line(m.description) + "\n";
  std::string file = format_bytes(m.file.bytes);
  if (!m.file.file_system.empty()) file += " on " + m.file.file_system;
  if (m.file.cached >= 0) file += fmt::format(", {:.0f} % in memory before", 100 * m.file.cached);
  out += line("file", one_line(file));
  out += line("start", fmt::format("{}{}", format_duration(m.load_seconds),
                                   m.repacked ? ", weights rearranged" : ""));
  out += line("a token", fmt::format("{} of weights to decode, {:.2f} GMAC in a prompt",
                                     format_bytes(static_cast<int64_t>(m.bytes_per_token)),
                                     m.macs_per_token / 1e9));
  std::string decode = reached(m.gen_rate(), d.gen_bound(), "reads of the weights");
  if (d.machine.cache >= 0 && m.bytes_per_token < static_cast<double>(d.machine.cache)) {
    decode += fmt::format(" (they fit into the cache of {}, which is faster)",
                          format_bytes(d.machine.cache));
  }
  out += line("decode", decode);
  return out + line("prefill", reached(m.prompt_rate(), d.prompt_bound(), "the multipliers"));
}

}  // namespace

double ModelDiagnosis::prompt_rate() const noexcept {
  return rate(n_prompt, prompt_seconds);
}
double ModelDiagnosis::gen_rate() const noexcept {
  return rate(n_gen, gen_seconds);
}

double Diagnosis::read_bandwidth() const noexcept {
  return read.empty() ? 0 : read.back().bytes_per_second();
}
double Diagnosis::int8_peak() const noexcept {
  return peak.empty() ? 0 : peak.back().macs_per_second();
}
double Diagnosis::gen_bound() const noexcept {
  return model ? share(read_bandwidth(), model->bytes_per_token) : 0;
}
double Diagnosis::prompt_bound() const noexcept {
  return model ? share(int8_peak(), model->macs_per_token) : 0;
}

Json doctor_json(const Diagnosis& d) {
  Json read = Json::array(), peak = Json::array(), barrier = Json::array();
  for (const KernelSpeed& s : d.read) {
    read.push_back({{"threads", s.threads}, {"bytes_per_second", s.bytes_per_second()}});
  }
  for (const KernelSpeed& s : d.peak) {
    peak.push_back({{"threads", s.threads}, {"macs_per_second", s.macs_per_second()}});
  }
  for (const KernelSpeed& s : d.barrier) {
    barrier.push_back({{"threads", s.threads}, {"ns", s.seconds * 1e9}});
  }
  Json findings = Json::array();
  for (const Finding& f : find_causes(d)) {
    findings.push_back({{"what", f.what}, {"cost", f.cost}, {"advice", f.advice}});
  }
  return {{"machine", machine_json(d)},
          {"read_bandwidth", read},
          {"int8_peak", peak},
          {"barrier", barrier},
          {"model", d.model ? model_json(d, *d.model) : Json(nullptr)},
          {"findings", findings}};
}

std::string doctor_text(const Diagnosis& d) {
  std::string out = machine_text(d) + bounds_text(d);
  if (d.model) out += model_text(d, *d.model);
  const std::vector<Finding> findings = find_causes(d);
  out += findings.empty() ? "\nNothing was found that slows it.\n" : "\nWhat slows it\n";
  for (const Finding& f : findings) {
    out += one_line(fmt::format("- {}: {}; {}", f.what, f.cost, f.advice)) + "\n";
  }
  return out;
}

}  // namespace nibble
