// smollm3: Llama's shape; every fourth layer knows no positions.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

constexpr size_t kInterval = 4;

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::rms);
  add_rope(hp, RopeKind::adjacent, config);
  for (size_t i = kInterval - 1; i < config.layers.size(); i += kInterval) {
    config.layers[i].rope = -1;
  }
  return config;
}

constexpr auto kTensors = joined(kEmbeddingNames, kNormNames, kRotatedAttentionNames, kGatedNames);

constexpr std::string_view kClasses[] = {"SmolLM3ForCausalLM", "smollm3"};

// Which layers rotate is fixed in GGUF; config.json could say anything.
void check_layers(const HfConfig& config) {
  size_t layer = 0;
  for (auto i = config.find("no_rope_layers").walk(); i.next();) {
    if (i.value().integer() == (++layer % kInterval == 0 ? 0 : 1)) continue;
    config.refuse("no_rope_layers", "0 for every fourth layer only", "another order");
  }
}

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"silu"});
  expect_flag(config, "mlp_bias", false);
  expect_flag(config, "use_sliding_window", false);
  check_layers(config);
  import_heads(config, model);
  import_partial_rope(config, 1.0, model);
}

constexpr HfNames kHf = {kClasses, kRmsKeys, import_more, true, kRotaryTables};

}  // namespace

extern const Arch arch_smollm3 = {"smollm3", read_config, kTensors, &kHf,
                                  shared_input::kGatedLayer};

}  // namespace nibble
