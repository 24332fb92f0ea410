// Setting keys, and rotary positions, which config.json has spelled in three ways over time.
#include "runtime/model/hf_names.h"

#include <fmt/format.h>

#include <cmath>

#include "formats/gguf.h"
#include "formats/io/quote.h"
#include "runtime/model/hf_config.h"
#include "runtime/model/rope_freqs.h"

namespace nibble {
namespace {

constexpr double kMaxBase = 1e12;
constexpr double kMaxFactor = 1e6;
constexpr double kMaxContext = 1e9;

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

int64_t first_context(const HfConfig& config, JsonValue parameters) {
  const JsonValue inside = parameters.find("original_max_position_embeddings");
  if (inside.integer()) {
    return static_cast<int64_t>(
        config.number_in(parameters, "original_max_position_embeddings", 1, kMaxContext));
  }
  return config.integer("original_max_position_embeddings|max_position_embeddings", 1,
                        static_cast<int64_t>(kMaxContext));
}

void import_yarn(const HfConfig& config, JsonValue p, HfModel& model) {
  const double factor = config.number_in(p, "factor", 1, kMaxFactor);
  model.set_text("rope.scaling.type", "yarn");
  model.set_real("rope.scaling.factor", factor);
  model.set_whole("rope.scaling.original_context_length", first_context(config, p));
  if (p.find("truncate").boolean().value_or(true) != model.whole_ramp) {
    config.refuse("rope: truncate", model.whole_ramp ? "true" : "false",
                  model.whole_ramp ? "false" : "true");
  }
  for (const auto& [hf, gguf] : {std::pair("beta_fast", "rope.scaling.yarn_beta_fast"),
                                 std::pair("beta_slow", "rope.scaling.yarn_beta_slow")}) {
    if (p.find(hf).number()) model.set_real(gguf, config.number_in(p, hf, 1e-6, kMaxFactor));
  }
  double magnitude = yarn_magnitude(factor);
  const double all_dims = p.find("mscale_all_dim").number().value_or(0);
  if (model.yarn_scales_scores && all_dims != 0) {
    if (p.find("mscale").number().value_or(0) != all_dims || p.find("attention_factor").number()) {
      config.refuse("mscale", "as much as mscale_all_dim", "another");
    }
    const double all = config.number_in(p, "mscale_all_dim", 1e-6, kMaxFactor);
    model.set_real("rope.scaling.yarn_log_multiplier", 0.1 * all);
    return;
  }
  if (p.find("attention_factor").number()) {
    magnitude = config.number_in(p, "attention_factor", 1e-6, kMaxFactor);
  } else if (p.find("mscale").number().value_or(0) != 0 && all_dims != 0) {
    magnitude = yarn_magnitude(factor, config.number_in(p, "mscale", 1e-6, kMaxFactor)) /
                yarn_magnitude(factor, all_dims);
  }
  const double beyond = magnitude / yarn_magnitude(factor);
  if (beyond != 1) model.set_real("rope.scaling.attn_factor", beyond);
}

std::vector<float> factors_of(const HfConfig& config, JsonValue p, std::string_view key,
                              int64_t dim) {
  std::vector<float> out;
  for (auto i = p.find(key).walk(); i.next();) {
    const auto factor = i.value().number();
    if (!factor || !(*factor >= 1e-6 && *factor <= kMaxFactor)) break;
    out.push_back(static_cast<float>(*factor));
  }
  if (static_cast<int64_t>(out.size()) != dim / 2 || p.find(key).size() != out.size()) {
    config.refuse(key, fmt::format("{} numbers", dim / 2), "others");
  }
  return out;
}

void import_longrope(const HfConfig& config, JsonValue p, int64_t dim, HfModel& model) {
  const auto first = static_cast<double>(first_context(config, p));
  const double longer = config.number("max_position_embeddings", 1, kMaxContext) / first;
  const double scale =
      p.find("factor").number() ? config.number_in(p, "factor", 1e-6, kMaxFactor) : longer;
  double magnitude = scale > 1 ? std::sqrt(1 + std::log(scale) / std::log(first)) : 1.0;
  if (p.find("attention_factor").number()) {
    magnitude = config.number_in(p, "attention_factor", 1e-6, kMaxFactor);
  }
  model.rope_short = factors_of(config, p, "short_factor", dim);
  model.rope_long = factors_of(config, p, "long_factor", dim);
  model.set_text("rope.scaling.type", "longrope");
  model.set_whole("rope.scaling.original_context_length", static_cast<int64_t>(first));
  model.set_real("rope.scaling.attn_factor", magnitude);
}

}  // namespace

void HfModel::set_whole(std::string_view key, int64_t value) const {
  header.set(full(arch, key), static_cast<uint32_t>(value));
}
void HfModel::set_real(std::string_view key, double value) const {
  header.set(full(arch, key), static_cast<float>(value));
}
void HfModel::set_flag(std::string_view key, bool value) const {
  header.set(full(arch, key), value);
}
void HfModel::set_text(std::string_view key, std::string_view value) const {
  header.set_string(full(arch, key), value);
}

void import_rope(const HfConfig& config, std::string_view layers, double default_base, int64_t dim,
                 HfModel& model, bool partial) {
  const Rope rope = find_rope(config, layers, default_base);
  model.set_real("rope.freq_base", rope.base);
  const JsonValue inside = rope.parameters.find("partial_rotary_factor");
  const double part = inside.number().value_or(config.number_or("partial_rotary_factor", 1, 0, 1));
  if (part != 1 && !partial) config.refuse("partial_rotary_factor", "1", fmt::format("{}", part));
  const JsonValue p = rope.parameters;
  if (!p.is(JsonType::object)) return;
  const JsonValue named = p.find("rope_type");
  const std::string_view type =
      (named.exists() ? named : p.find("type")).text().value_or("default");
  if (type == "default") return;
  if (type == "linear") {
    model.set_text("rope.scaling.type", "linear");
    model.set_real("rope.scaling.factor", config.number_in(p, "factor", 1e-6, kMaxFactor));
  } else if (type == "dynamic") {
    // Files have no name for it, and readers that do not know it are right up to the first context.
    model.set_real("rope.scaling.dynamic_factor", config.number_in(p, "factor", 1, kMaxFactor));
    model.set_whole("rope.scaling.original_context_length", first_context(config, p));
  } else if (type == "yarn") {
    import_yarn(config, p, model);
  } else if ((type == "longrope" || type == "su") && model.takes_longrope) {
    import_longrope(config, p, dim, model);
  } else if (type == "llama3" && model.takes_rope_freqs) {
    model.rope_freqs = llama3_factors(config, rope, dim);
  } else {
    config.refuse(
        fmt::format("{}: rope_type", rope.key),
        fmt::format("default, linear, dynamic, yarn{}{}", model.takes_longrope ? ", longrope" : "",
                    model.takes_rope_freqs ? ", llama3" : ""),
        quoted(type));
  }
}

}  // namespace nibble
