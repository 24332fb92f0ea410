#pragma once
// What `nibble doctor` found: the machine, its bounds, a model's speed beside them, and what slows
// it. Measuring is the command's work (cmd_doctor.cpp); conclusions and text are pure functions of
// the figures, so that tests can show them machines that are not at hand.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/file_state.h"
#include "tools/kernel_bench.h"
#include "tools/machine.h"

namespace nibble {

struct KernelChoice {
  std::string name;
  std::string description;
  bool supported = false;  // by this CPU
};

struct ModelDiagnosis {
  std::string path;
  std::string description;  // "llama 135M Q4_1"
  FileState file;           // before anything read it
  double load_seconds = 0;
  double bytes_per_token = 0;  // of weights, decoding
  double macs_per_token = 0;   // of weights, in a prompt
  int64_t memory_needed = 0;   // the plan for a context of the model's own size
  int64_t n_ctx = 0;           // of that plan
  bool repacked = false;       // the weights were rearranged in memory
  int64_t n_prompt = 0;
  int64_t n_gen = 0;
  double prompt_seconds = 0;
  double gen_seconds = 0;

  double prompt_rate() const noexcept;  // tokens a second
  double gen_rate() const noexcept;
};

struct Diagnosis {
  Machine machine;
  std::vector<KernelChoice> kernels;  // best first, the reference left out
  std::string isa;                    // chosen
  int threads = 1;
  bool threads_given = false;        // by -t
  double others_cpus = -1;           // that other programs kept busy; -1: unknown
  double stolen = -1;                // share of this virtual machine's time; -1: unknown
  std::vector<KernelSpeed> read;     // by threads; the last is with all of them
  std::vector<KernelSpeed> peak;     // int8 multipliers, the same
  std::vector<KernelSpeed> barrier;  // the same
  std::optional<ModelDiagnosis> model;

  double read_bandwidth() const noexcept;  // bytes a second with all threads; 0: not measured
  double int8_peak() const noexcept;       // multiply-adds a second; 0: not measured
  /// Tokens a second that memory or multipliers allow; 0: not known.
  double gen_bound() const noexcept;
  double prompt_bound() const noexcept;
};

/// Something that makes this machine slower than it could be.
struct Finding {
  std::string what;
  std::string cost;
  std::string advice;
};

/// The worst first; empty if nothing was found.
std::vector<Finding> find_causes(const Diagnosis& diagnosis);

nlohmann::ordered_json doctor_json(const Diagnosis& diagnosis);
std::string doctor_text(const Diagnosis& diagnosis);

}  // namespace nibble
