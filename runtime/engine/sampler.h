#pragma once
// Logits to token. One documented order of stages (SamplerOptions::stages), each a row of the table
// in sampler.cpp:
//   logit_bias, penalties, top_k, typical, top_p, min_p, temperature, dist
// temperature 0 is greedy: logit_bias and penalties, then the largest. Ties go to the lowest id.
// Same seed, same logits: same token on every machine.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/engine/candidates.h"

namespace nibble {

class Metadata;

struct SamplerOptions {
  float temperature = 0.8f;        // 0: greedy
  int32_t top_k = 40;              // 0 or less: off
  float top_p = 0.95f;             // 1: off
  float min_p = 0.05f;             // 0: off
  float typical_p = 1.0f;          // 1: off
  int32_t repeat_last_n = 64;      // tokens the penalties look back on; -1: all, 0: none
  float repeat_penalty = 1.0f;     // divides positive logits and multiplies negative ones
  float frequency_penalty = 0.0f;  // subtracted once per occurrence
  float presence_penalty = 0.0f;   // subtracted once
  uint64_t seed = 0;               // with random_seed: replaced by one from the system
  bool random_seed = true;
  std::vector<std::pair<int32_t, float>> logit_bias;  // added first
  /// Order of the stages, by name; llama.cpp's spellings are taken too (typ_p, top-k, temp ...).
  /// One that is left out is off, but logit_bias then comes first and dist always comes last.
  std::vector<std::string> stages = default_stages();
  /// general.sampling.* that a file asks for and nibble does not do; a sentence each, for a notice.
  std::vector<std::string> ignored;

  static std::vector<std::string> default_stages();
  /// general.sampling.* of a file over *this. Errors: bad_file (wrong type or out of range).
  void apply_metadata(const Metadata&);
  /// Errors: bad_argument names the option, its range and the value.
  void check(int32_t n_vocab) const;
};

/// Names of all stages in their default order, for --help and messages.
std::vector<std::string_view> sampler_stage_names();

/// A place in a random sequence: its seed and how many numbers of it were drawn.
struct RandomState {
  uint64_t seed = 0;
  uint64_t draws = 0;
};

class Sampler {
 public:
  /// Errors: bad_argument.
  Sampler(const SamplerOptions&, int32_t n_vocab);

  /// Chooses from logits [n_vocab]; reads the history but does not add to it.
  /// Errors: internal (every logit is NaN or -infinity), bad_argument (another n_vocab).
  int32_t sample(std::span<const float> logits);
  /// How many of the largest logits sample() looks at with these options; 0: at all of them.
  int64_t n_top() const noexcept;
  /// The token enters the history that the penalties look at. Errors: bad_argument (no such id).
  void accept(int32_t id);
  /// The history becomes these tokens; the random sequence goes on. Errors as accept.
  void set_history(std::span<const int32_t> ids);
  void reset();  // empties the history, starts the random sequence again
  uint64_t seed() const noexcept { return seed_; }
  /// Where the random sequence is; for a sampler that goes on with it.
  RandomState random() const noexcept { return {seed_, draws_}; }
  void set_random(const RandomState& random) noexcept {
    seed_ = random.seed;
    draws_ = random.draws;
  }

 private:
  friend struct SamplerStages;
  SamplerOptions options_;
  int32_t n_vocab_;
  uint64_t seed_;
  uint64_t draws_ = 0;         // counter of the counter-based random generator
  std::vector<size_t> order_;  // rows of the stage table
  std::vector<int32_t> history_;
  std::unordered_map<int32_t, int32_t> counts_;  // of the last repeat_last_n of history_
  Candidates candidates_;
};

}  // namespace nibble
