// command-r: attention and a gated feed-forward side by side behind one layer norm without a bias,
// heads rotated in adjacent pairs, scaled logits; the largest has norms of queries and keys.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::layer);
  config.logit_scale = static_cast<float>(hp.number("logit_scale", 1e-6, 1e6));
  add_rope(hp, RopeKind::adjacent, config);
  for (LayerSpec& layer : config.layers) {
    layer.parallel = true;
    layer.qk_norm = QkNorm::each_head;
  }
  return config;
}

constexpr auto kTensors =
    joined(kEmbeddingNames, kAttentionNames, kGatedNames,
           names(TensorName{Role::attn_norm, "blk.{}.attn_norm.weight",
                            "model.layers.{}.input_layernorm.weight"},
                 TensorName{Role::attn_q_norm, "blk.{}.attn_q_norm.weight",
                            "model.layers.{}.self_attn.q_norm.weight", false},
                 TensorName{Role::attn_k_norm, "blk.{}.attn_k_norm.weight",
                            "model.layers.{}.self_attn.k_norm.weight", false}));

constexpr std::string_view kClasses[] = {"CohereForCausalLM", "cohere"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"silu"});
  expect_flag(config, "attention_bias", false);
  import_heads(config, model);
  import_feed_forward(config, "intermediate_size", model);
  model.set_real("logit_scale", config.number_or("logit_scale", 0.0625, 1e-6, 1e6));
  import_partial_rope(config, 1.0, model);
}

constexpr HfNames kHf = {kClasses, kLayerNormKeys, import_more, true, kRotaryTables};

}  // namespace

extern const Arch arch_command_r = {"command-r", read_config, kTensors, &kHf,
                                    shared_input::kAnyLayer};

}  // namespace nibble
