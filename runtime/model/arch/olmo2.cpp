// olmo2: norms behind the blocks instead of before them, queries and keys normed over all heads.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::rms);
  add_rope(hp, RopeKind::halves, config);
  for (LayerSpec& layer : config.layers) {
    layer.norms = NormPlacement::after;
    layer.qk_norm = QkNorm::row;
  }
  return config;
}

constexpr auto kTensors =
    joined(kEmbeddingNames, kAttentionNames, kQkNormNames, kGatedNames,
           names(TensorName{Role::attn_post_norm, "blk.{}.post_attention_norm.weight",
                            "model.layers.{}.post_attention_layernorm.weight"},
                 TensorName{Role::ffn_post_norm, "blk.{}.post_ffw_norm.weight",
                            "model.layers.{}.post_feedforward_layernorm.weight"}));

constexpr std::string_view kClasses[] = {"Olmo2ForCausalLM", "olmo2"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"silu"});
  expect_flag(config, "attention_bias", false);
  import_heads(config, model);
  import_partial_rope(config, 1.0, model);
}

constexpr HfNames kHf = {kClasses, kRmsKeys, import_more, false, kRotaryTables};

}  // namespace

extern const Arch arch_olmo2 = {"olmo2", read_config, kTensors, &kHf, shared_input::kAnyLayer};

}  // namespace nibble
