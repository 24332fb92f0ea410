// starcoder2: layer norms, biases everywhere, a plain feed-forward, a sliding window.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::layer);
  add_rope(hp, RopeKind::halves, config);
  add_window(hp, config);
  for (LayerSpec& layer : config.layers) {
    layer.feed_forward = FeedForward::plain;
    layer.activation = Activation::gelu_tanh;
  }
  return config;
}

constexpr auto kTensors = joined(
    kEmbeddingNames, kNormNames, kNormBiasNames, kAttentionNames, kAttentionBiasNames,
    names(
        TensorName{Role::ffn_up, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.c_fc.weight"},
        TensorName{Role::ffn_up_bias, "blk.{}.ffn_up.bias", "model.layers.{}.mlp.c_fc.bias", false},
        TensorName{Role::ffn_down, "blk.{}.ffn_down.weight", "model.layers.{}.mlp.c_proj.weight"},
        TensorName{Role::ffn_down_bias, "blk.{}.ffn_down.bias", "model.layers.{}.mlp.c_proj.bias",
                   false}));

constexpr std::string_view kClasses[] = {"Starcoder2ForCausalLM", "starcoder2"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"gelu_pytorch_tanh", "gelu_new"});
  import_heads(config, model);
  import_window(config, model);
  import_feed_forward(config, "intermediate_size", model);
  import_partial_rope(config, 1.0, model);
}

constexpr HfNames kHf = {kClasses, kLayerNormKeys, import_more, true, kRotaryTables};

}  // namespace

extern const Arch arch_starcoder2 = {"starcoder2", read_config, kTensors, &kHf,
                                     shared_input::kAnyLayer};

}  // namespace nibble
