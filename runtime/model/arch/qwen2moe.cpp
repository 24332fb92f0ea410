// qwen2moe: qwen2 with a mixture of experts, and one that all tokens go through, as far as a gate
// of its own lets them.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::rms);
  add_rope(hp, RopeKind::halves, config);
  ExpertSpec experts;
  experts.normalized = false;
  experts.n_ff_shared =
      hp.integer_or("expert_shared_feed_forward_length", 0, 0, HParams::kMaxWidth);
  add_experts(hp, config, experts);
  return config;
}

constexpr auto kTensors =
    joined(kEmbeddingNames, kNormNames, kAttentionNames, kAttentionBiasNames, kExpertNames,
           names(TensorName{Role::shared_router, "blk.{}.ffn_gate_inp_shexp.weight",
                            "model.layers.{}.mlp.shared_expert_gate.weight"},
                 TensorName{Role::shared_gate, "blk.{}.ffn_gate_shexp.weight",
                            "model.layers.{}.mlp.shared_expert.gate_proj.weight"},
                 TensorName{Role::shared_up, "blk.{}.ffn_up_shexp.weight",
                            "model.layers.{}.mlp.shared_expert.up_proj.weight"},
                 TensorName{Role::shared_down, "blk.{}.ffn_down_shexp.weight",
                            "model.layers.{}.mlp.shared_expert.down_proj.weight"}));

constexpr std::string_view kClasses[] = {"Qwen2MoeForCausalLM", "qwen2_moe"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"silu"});
  expect_flag(config, "use_sliding_window", false);
  expect_flag(config, "norm_topk_prob", false);
  import_heads(config, model);
  import_experts(config, model);
  model.set_whole("expert_shared_feed_forward_length",
                  config.integer("shared_expert_intermediate_size", 1, HParams::kMaxWidth));
  import_partial_rope(config, 1.0, model);
}

constexpr HfNames kHf = {kClasses, kRmsKeys, import_more, false, kRotaryTables};

}  // namespace

extern const Arch arch_qwen2moe = {"qwen2moe", read_config, kTensors, &kHf};

}  // namespace nibble
