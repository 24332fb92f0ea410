// See parameters.h. Names are ollama's.
#include "tools/parameters.h"

#include <fmt/format.h>

#include <limits>

#include "tools/exit_code.h"
#include "tools/suggest.h"
#include "tools/values.h"

namespace nibble {
namespace {

struct FloatRow {
  const char* name;
  float SamplerOptions::*field;
  double low, high;
};

constexpr FloatRow kFloats[] = {
    {"temperature", &SamplerOptions::temperature, 0, 100},
    {"top_p", &SamplerOptions::top_p, 0, 1},
    {"min_p", &SamplerOptions::min_p, 0, 1},
    {"typical_p", &SamplerOptions::typical_p, 0, 1},
    {"repeat_penalty", &SamplerOptions::repeat_penalty, kAboveZero, 100},
    {"presence_penalty", &SamplerOptions::presence_penalty, -100, 100},
    {"frequency_penalty", &SamplerOptions::frequency_penalty, -100, 100},
};

struct IntRow {
  const char* name;
  int32_t SamplerOptions::*field;
  int64_t low;
};

constexpr IntRow kInts[] = {
    {"top_k", &SamplerOptions::top_k, 0},
    {"repeat_last_n", &SamplerOptions::repeat_last_n, -1},
};

constexpr const char* kOthers[] = {"seed", "num_predict", "stop"};

}  // namespace

void set_parameter(const std::string& name, const std::string& value, SamplerOptions* sampling,
                   GenerationOptions* generation) {
  for (const FloatRow& row : kFloats) {
    if (name == row.name) {
      sampling->*row.field = float_value(name, value, row.low, row.high);
      return;
    }
  }
  for (const IntRow& row : kInts) {
    if (name == row.name) {
      sampling->*row.field = static_cast<int32_t>(
          int_value(name, value, row.low, std::numeric_limits<int32_t>::max()));
      return;
    }
  }
  const int64_t most = std::numeric_limits<int64_t>::max();
  if (name == "seed") {
    const int64_t seed = int_value(name, value, -1, most);
    sampling->random_seed = seed < 0;
    sampling->seed = seed < 0 ? 0 : static_cast<uint64_t>(seed);
  } else if (name == "num_predict") {
    generation->n_predict = int_value(name, value, -1, most);
  } else if (name == "stop") {
    generation->stop.clear();
    if (!value.empty()) generation->stop.push_back(value);
  } else {
    std::vector<std::string> known(std::begin(kOthers), std::end(kOthers));
    for (const FloatRow& row : kFloats) known.emplace_back(row.name);
    for (const IntRow& row : kInts) known.emplace_back(row.name);
    const std::string near = nearest(name, known);
    usage_error(fmt::format("/set parameter: no parameter named '{}'", name),
                near.empty() ? fmt::format("known: {}", fmt::join(known, ", "))
                             : fmt::format("did you mean {}?", near));
  }
}

std::string describe_parameters(const SamplerOptions& sampling,
                                const GenerationOptions& generation) {
  std::string out;
  const auto line = [&out](const char* name, const std::string& value) {
    out += fmt::format("{:<20}{}\n", name, value);
  };
  for (const FloatRow& row : kFloats) line(row.name, fmt::format("{}", sampling.*row.field));
  for (const IntRow& row : kInts) line(row.name, fmt::format("{}", sampling.*row.field));
  line("seed", sampling.random_seed ? "random" : fmt::format("{}", sampling.seed));
  line("num_predict", fmt::format("{}", generation.n_predict));
  for (const std::string& stop : generation.stop) line("stop", stop);
  line("samplers", fmt::format("{}", fmt::join(sampling.stages, ",")));
  return out;
}

}  // namespace nibble
