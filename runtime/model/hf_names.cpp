// Setting keys, and rotary positions, which config.json has spelled in three ways over time.
#include "runtime/model/hf_names.h"

#include <fmt/format.h>

#include <cmath>

#include "formats/gguf.h"
#include "formats/io/quote.h"
#include "runtime/model/hf_config.h"

namespace nibble {
namespace {

constexpr double kMaxBase = 1e12;
constexpr double kMaxFactor = 1e6;

std::string full(std::string_view arch, std::string_view key) {
  return fmt::format("{}.{}", arch, key);
}

struct Rope {
  std::string_view key;  // where it stands, for messages
  JsonValue parameters;  // absent: none
  double base = 0;
};

// rope_parameters of transformers 5: one object, or one a kind of layers. Before: rope_theta beside
// rope_scaling.
Rope find_rope(const HfConfig& config, std::string_view layers, double default_base) {
  const JsonValue all = config.find("rope_parameters");
  if (!all.exists()) {
    return {"rope_scaling", config.find("rope_scaling"),
            config.number_or("rope_theta", default_base, 1.0, kMaxBase)};
  }
  const JsonValue own = all.find(layers);
  const JsonValue parameters = own.is(JsonType::object) ? own : all;
  const bool has_base = parameters.find("rope_theta").number().has_value();
  const double base = has_base ? config.number_in(parameters, "rope_theta", 1.0, kMaxBase)
                               : config.number_or("rope_theta", default_base, 1.0, kMaxBase);
  return {"rope_parameters", parameters, base};
}

// Llama 3.1: long waves are stretched by factor, short ones kept, those between interpolated.
std::vector<float> llama3_factors(const HfConfig& config, const Rope& rope, int64_t dim) {
  const JsonValue p = rope.parameters;
  const double factor = config.number_in(p, "factor", 1.0, kMaxFactor);
  const double low = config.number_in(p, "low_freq_factor", 1e-6, kMaxFactor);
  const double high = config.number_in(p, "high_freq_factor", 1e-6, kMaxFactor);
  const double context = config.number_in(p, "original_max_position_embeddings", 1.0, 1e9);
  if (!(high > low)) config.refuse("high_freq_factor", "more than low_freq_factor", "less");
  std::vector<float> factors;
  for (int64_t i = 0; i < dim; i += 2) {
    const double frequency =
        std::pow(rope.base, -static_cast<double>(i) / static_cast<double>(dim));
    const double wave = 2 * 3.14159265358979323846 / frequency;
    double scale = 1;
    if (wave > context / low) {
      scale = factor;
    } else if (wave >= context / high) {
      const double smooth = (context / wave - low) / (high - low);
      scale = 1 / ((1 - smooth) / factor + smooth);
    }
    factors.push_back(static_cast<float>(scale));
  }
  return factors;
}

}  // namespace

void HfModel::set_whole(std::string_view key, int64_t value) const {
  header.set(full(arch, key), static_cast<uint32_t>(value));
}
void HfModel::set_real(std::string_view key, double value) const {
  header.set(full(arch, key), static_cast<float>(value));
}
void HfModel::set_text(std::string_view key, std::string_view value) const {
  header.set_string(full(arch, key), value);
}

void import_rope(const HfConfig& config, std::string_view layers, double default_base, int64_t dim,
                 HfModel& model) {
  const Rope rope = find_rope(config, layers, default_base);
  model.set_real("rope.freq_base", rope.base);
  const JsonValue partial = rope.parameters.find("partial_rotary_factor");
  const double part = partial.number().value_or(config.number_or("partial_rotary_factor", 1, 0, 1));
  if (part != 1) config.refuse("partial_rotary_factor", "1", fmt::format("{}", part));
  if (!rope.parameters.is(JsonType::object)) return;
  const JsonValue named = rope.parameters.find("rope_type");
  const std::string_view type =
      (named.exists() ? named : rope.parameters.find("type")).text().value_or("default");
  if (type == "default") return;
  if (type == "linear") {
    model.set_text("rope.scaling.type", "linear");
    model.set_real("rope.scaling.factor",
                   config.number_in(rope.parameters, "factor", 1e-6, kMaxFactor));
  } else if (type == "llama3" && model.takes_rope_freqs) {
    model.rope_freqs = llama3_factors(config, rope, dim);
  } else {
    config.refuse(fmt::format("{}: rope_type", rope.key),
                  model.takes_rope_freqs ? "default, linear or llama3" : "default or linear",
                  quoted(type));
  }
}

}  // namespace nibble
