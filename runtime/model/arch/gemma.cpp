// gemma: norms that multiply by 1 + weight (GGUF's weights contain the 1), GeGLU, embeddings scaled
// by sqrt(n_embd).
#include <cmath>

#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::rms);
  config.embed_scale = static_cast<float>(std::sqrt(static_cast<double>(config.n_embd)));
  add_rope(hp, RopeKind::halves, config);
  for (LayerSpec& layer : config.layers) layer.activation = Activation::gelu_tanh;
  return config;
}

constexpr HfTransform kPlusOne = HfTransform::plus_one;
constexpr auto kTensors = joined(
    kAttentionNames, kGatedNames,
    names(TensorName{Role::token_embd, "token_embd.weight", "model.embed_tokens.weight"},
          TensorName{Role::output_norm, "output_norm.weight", "model.norm.weight", true, kPlusOne},
          TensorName{Role::output, "output.weight", "lm_head.weight", false},
          TensorName{Role::attn_norm, "blk.{}.attn_norm.weight",
                     "model.layers.{}.input_layernorm.weight", true, kPlusOne},
          TensorName{Role::ffn_norm, "blk.{}.ffn_norm.weight",
                     "model.layers.{}.post_attention_layernorm.weight", true, kPlusOne}));

constexpr std::string_view kClasses[] = {"GemmaForCausalLM", "gemma"};

void import_more(const HfConfig& config, HfModel& model) {
  // The class takes the approximation, whatever old files call it.
  config.expect_text("hidden_activation|hidden_act", {"gelu_pytorch_tanh", "gelu"});
  expect_flag(config, "attention_bias", false);
  expect_flag(config, "use_bidirectional_attention", false);
  import_heads(config, model);
  import_partial_rope(config, 1.0, model);
}

constexpr HfNames kHf = {kClasses, kRmsKeys, import_more, true, kRotaryTables};

}  // namespace

extern const Arch arch_gemma = {"gemma", read_config, kTensors, &kHf, shared_input::kAnyLayer};

}  // namespace nibble
