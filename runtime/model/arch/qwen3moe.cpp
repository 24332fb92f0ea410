// qwen3moe: qwen3 with a mixture of experts.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::rms);
  add_rope(hp, RopeKind::halves, config);
  add_experts(hp, config, {});
  return config;
}

constexpr auto kTensors = joined(kEmbeddingNames, kNormNames, kAttentionNames, kAttentionBiasNames,
                                 kQkNormNames, kExpertNames);

constexpr std::string_view kClasses[] = {"Qwen3MoeForCausalLM", "qwen3_moe"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"silu"});
  expect_flag(config, "use_sliding_window", false);
  if (!config.boolean_or("norm_topk_prob", false)) {
    config.refuse("norm_topk_prob", "true", "false");
  }
  import_heads(config, model);
  import_experts(config, model);
  import_partial_rope(config, 1.0, model);
}

constexpr HfNames kHf = {kClasses, kRmsKeys, import_more, false, kRotaryTables};

}  // namespace

extern const Arch arch_qwen3moe = {"qwen3moe", read_config, kTensors, &kHf};

}  // namespace nibble
