// What doctor concludes from figures, for machines that are not at hand.
#include "tools/doctor.h"

#include "tests/support/catch.h"

using namespace nibble;

namespace {

KernelSpeed speed(int threads, double seconds, double macs, double bytes) {
  KernelSpeed s;
  s.threads = threads;
  s.seconds = seconds;
  s.macs = macs;
  s.bytes = bytes;
  return s;
}

// A quick machine with nothing to complain about: 40 GB/s, 400 GMAC/s, a model of 1 GB a token.
Diagnosis healthy() {
  Diagnosis d;
  d.machine.cpu = "Some CPU";
  d.machine.online_cpus = d.machine.allowed_cpus = 8;
  d.machine.allowed_cores = 4;
  d.machine.memory = 16LL << 30;
  d.machine.available = 12LL << 30;
  d.machine.swap_total = 1LL << 30;
  d.machine.swap_used = 0;
  d.machine.driver = "intel_pstate";
  d.machine.governor = "powersave";
  d.machine.preference = "balance_performance";
  d.machine.most_khz = d.machine.rated_khz = 4'000'000;
  d.kernels = {{"fast", "", true}, {"plain", "", true}};
  d.isa = "fast";
  d.threads = 4;
  d.others_cpus = 0.1;
  d.stolen = 0;
  d.read = {speed(1, 1, 0, 20e9), speed(4, 1, 0, 40e9)};
  d.peak = {speed(1, 1, 100e9, 0), speed(4, 1, 400e9, 0)};
  d.barrier = {speed(4, 300e-9, 0, 0)};
  ModelDiagnosis m;
  m.path = "m.gguf";
  m.description = "llama 1B Q8_0";
  m.file.bytes = 1'000'000'000;
  m.file.cached = 1;
  m.file.file_system = "ext4";
  m.bytes_per_token = 1e9;
  m.macs_per_token = 1e9;
  m.memory_needed = 2LL << 30;
  m.n_ctx = 8192;
  m.n_prompt = 512;
  m.prompt_seconds = 2.56;
  m.n_gen = 30;
  m.gen_seconds = 1;
  d.model = m;
  return d;
}

// The one cause of a diagnosis.
Finding only(const Diagnosis& d) {
  const std::vector<Finding> findings = find_causes(d);
  REQUIRE(findings.size() == 1);
  CHECK_FALSE(findings[0].cost.empty());
  CHECK_FALSE(findings[0].advice.empty());
  return findings[0];
}

}  // namespace

TEST_CASE("bounds and the share of them that a model reaches") {
  const Diagnosis d = healthy();
  CHECK(d.gen_bound() == Approx(40));
  CHECK(d.prompt_bound() == Approx(400));
  CHECK(d.model->gen_rate() == Approx(30));
  CHECK(d.model->prompt_rate() == Approx(200));
  const auto json = doctor_json(d);
  CHECK(json["model"]["decode"]["share"].get<double>() == Approx(0.75));
  CHECK(json["model"]["prefill"]["share"].get<double>() == Approx(0.5));
  CHECK(json["read_bandwidth"][1]["bytes_per_second"].get<double>() == Approx(40e9));
  const std::string text = doctor_text(d);
  CHECK(text.find("30.0 tokens/s, 75 % of the 40.0 that") != std::string::npos);
  CHECK(text.find("1: 20.0, 4: 40.0 GB/s by number of threads") != std::string::npos);
  CHECK(text.find("fit into the cache") == std::string::npos);
}

TEST_CASE("nothing is found on a machine that has nothing") {
  CHECK(find_causes(healthy()).empty());
  CHECK(doctor_text(healthy()).find("Nothing was found") != std::string::npos);
}

TEST_CASE("nothing is said of what is not known") {
  Diagnosis d;
  d.isa = "fast";
  CHECK(find_causes(d).empty());
  const auto json = doctor_json(d);
  CHECK(json["model"].is_null());
  CHECK(json["machine"]["memory"].is_null());
  CHECK(json["machine"]["governor"].is_null());
  CHECK(json["machine"]["cpus_busy_with_others"].is_null());
  const std::string text = doctor_text(d);
  for (const char* absent : {"memory", "swap", "clock", "other programs"}) {
    CHECK(text.find(absent) == std::string::npos);
  }
  CHECK(text.find("not measured") != std::string::npos);
}

TEST_CASE("memory and swap") {
  Diagnosis d = healthy();
  d.model->memory_needed = 13LL << 30;
  CHECK(only(d).what == "the model needs 13.96 GB with a context of 8192, 12.88 GB are free");
  d = healthy();
  d.machine.swap_used = 500 << 20;
  CHECK(only(d).what == "524.3 MB of swap are in use");
}

TEST_CASE("kernels") {
  Diagnosis d = healthy();
  d.isa = "plain";
  CHECK(only(d).advice == "leave --isa out");
  d.kernels[0].supported = false;
  CHECK(only(d).advice == "this CPU runs none of the faster ones");
}

TEST_CASE("threads, quotas and affinity") {
  Diagnosis d = healthy();
  d.threads = 1;
  d.threads_given = true;
  CHECK(only(d).what == "1 of 4 cores are used");
  CHECK(only(d).cost == "prompts take up to 4.0 times as long");
  CHECK(only(d).advice == "leave -t out");
  d.threads = 6;
  CHECK(only(d).what == "6 threads share 4 cores");
  d = healthy();
  d.machine.quota_cpus = d.threads = 2;
  CHECK(only(d).what == "the control group pays for 2 of 4 cores");
  d = healthy();
  d.machine.online_cpus = 16;
  CHECK(only(d).what == "this process may use 8 of 16 CPUs");
}

TEST_CASE("the clock") {
  Diagnosis d = healthy();
  d.machine.driver = "acpi-cpufreq";
  CHECK(only(d).what == "the CPU governor is powersave");
  d = healthy();
  d.machine.preference = "power";
  CHECK(only(d).what == "the CPU's energy preference is power");
  d = healthy();
  d.machine.most_khz = 2'000'000;
  CHECK(only(d).what == "the clock is limited to 2.0 of 4.0 GHz");
  CHECK(only(d).cost == "prompts take up to 2.0 times as long");
  d = healthy();
  d.machine.profile = "low-power";
  CHECK(only(d).what == "the power profile is low-power");
  d = healthy();
  d.machine.turbo_off = true;
  CHECK(only(d).what == "turbo is switched off");
  d = healthy();
  d.machine.on_battery = true;
  CHECK(only(d).what == "the machine runs on its battery");
}

TEST_CASE("others at work") {
  Diagnosis d = healthy();
  d.others_cpus = 1.5;
  CHECK(only(d).what == "other programs keep 1.5 of 8 CPUs busy");
  d = healthy();
  d.stolen = 0.2;
  CHECK(only(d).what == "the host takes 20 % of this virtual machine's time");
}

TEST_CASE("the file") {
  Diagnosis d = healthy();
  d.model->file.cached = 0.25;
  CHECK(only(d).what == "25 % of the file were in memory");
  CHECK(only(d).cost == "the first start reads 750.0 MB from disk");
  d = healthy();
  d.model->file.remote = true;
  d.model->file.file_system = "nfs4";
  CHECK(only(d).what == "the model lies on nfs4, which is not a disk of this machine");
  d = healthy();
  d.model->file.removable = true;
  CHECK(only(d).what == "the model lies on a removable disk");
  d = healthy();
  d.model->file.rotating = true;
  CHECK(only(d).what == "the system calls the model's disk a rotating one");
}

TEST_CASE("a finding is one line, whatever the machine is called") {
  Diagnosis d = healthy();
  d.machine.cpu = "evil\033[2J\nname";
  d.machine.profile = "quiet";
  const std::string text = doctor_text(d);
  CHECK(text.find('\033') == std::string::npos);
  CHECK(
      text.find("- the power profile is quiet: the firmware keeps the CPU's power down; choose ") !=
      std::string::npos);
}

TEST_CASE("weights that fit into the cache") {
  Diagnosis d = healthy();
  d.machine.cache = 2LL << 30;
  CHECK(doctor_text(d).find("they fit into the cache of 2.15 GB") != std::string::npos);
}
