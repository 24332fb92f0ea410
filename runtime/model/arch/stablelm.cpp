// stablelm: layer norms with biases, a part of each head rotated, a gated feed-forward; the 12B has
// both blocks side by side behind one norm, and norms of queries and keys with a weight a head.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::layer);
  add_rope(hp, RopeKind::halves, config);
  for (LayerSpec& layer : config.layers) {
    layer.parallel = hp.boolean_or("use_parallel_residual", false);
    layer.qk_norm = QkNorm::each_head;
  }
  return config;
}

constexpr auto kTensors =
    joined(kEmbeddingNames, kNormBiasNames, kAttentionNames, kAttentionBiasNames, kGatedNames,
           names(TensorName{Role::attn_norm, "blk.{}.attn_norm.weight",
                            "model.layers.{}.input_layernorm.weight"},
                 TensorName{Role::ffn_norm, "blk.{}.ffn_norm.weight",
                            "model.layers.{}.post_attention_layernorm.weight", false},
                 TensorName{Role::attn_q_norm, "blk.{}.attn_q_norm.weight",
                            "model.layers.{}.self_attn.q_layernorm.norms.{}.weight", false},
                 TensorName{Role::attn_k_norm, "blk.{}.attn_k_norm.weight",
                            "model.layers.{}.self_attn.k_layernorm.norms.{}.weight", false}));

constexpr std::string_view kClasses[] = {"StableLmForCausalLM", "StableLMEpochForCausalLM",
                                         "stablelm"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"silu"});
  model.set_flag("use_parallel_residual", config.boolean_or("use_parallel_residual", false));
  import_heads(config, model);
  import_feed_forward(config, "intermediate_size", model);
  import_partial_rope(config, 0.25, model);
}

constexpr HfNames kHf = {kClasses, kLayerNormKeys, import_more, false, kRotaryTables};

}  // namespace

extern const Arch arch_stablelm = {"stablelm", read_config, kTensors, &kHf,
                                   shared_input::kAnyLayer};

}  // namespace nibble
