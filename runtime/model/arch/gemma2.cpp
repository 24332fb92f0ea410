// gemma2: gemma with norms before and after each block, capped scores and logits, and a sliding
// window in every other layer, the first one included.
#include <fmt/format.h>

#include <cmath>

#include "runtime/model/decoder.h"

namespace nibble {
namespace {

// The 27B model divides scores by sqrt(n_embd / n_head), all others by sqrt(key_length); its 46
// layers are how the ecosystem's files tell it apart.
constexpr int64_t kLayersOf27B = 46;

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::rms);
  config.embed_scale = static_cast<float>(std::sqrt(static_cast<double>(config.n_embd)));
  add_rope(hp, RopeKind::halves, config);
  add_window(hp, config);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    LayerSpec& layer = config.layers[i];
    layer.norms = NormPlacement::both;
    layer.activation = Activation::gelu_tanh;
    if (i % 2 == 1) layer.window = 0;
    if (config.layers.size() == kLayersOf27B && !hp.has("attention.scale")) {
      const double width = static_cast<double>(config.n_embd) / static_cast<double>(layer.n_head);
      layer.attn_scale = static_cast<float>(1.0 / std::sqrt(width));
    }
  }
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
          TensorName{Role::attn_post_norm, "blk.{}.post_attention_norm.weight",
                     "model.layers.{}.post_attention_layernorm.weight", true, kPlusOne},
          TensorName{Role::ffn_norm, "blk.{}.ffn_norm.weight",
                     "model.layers.{}.pre_feedforward_layernorm.weight", true, kPlusOne},
          TensorName{Role::ffn_post_norm, "blk.{}.post_ffw_norm.weight",
                     "model.layers.{}.post_feedforward_layernorm.weight", true, kPlusOne}));

constexpr std::string_view kClasses[] = {"Gemma2ForCausalLM", "gemma2"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_activation", {"gelu_pytorch_tanh"});
  expect_flag(config, "attention_bias", false);
  expect_flag(config, "use_bidirectional_attention", false);
  expect_alternating_window(config);  // GGUF cannot say another
  import_heads(config, model);
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (config.has(key)) model.set_real(key, config.number(key, 1e-6, 1e6));
  }
  model.set_whole("attention.sliding_window",
                  config.integer_or("sliding_window", 4096, 1, HParams::kMaxContext));
  const double scale = config.number_or("query_pre_attn_scalar", 256, 1, 1e6);
  const auto head_dim = static_cast<double>(config.integer_or("head_dim", 256, 1, 1 << 14));
  const bool is_27b = config.integer("num_hidden_layers", 1, 1 << 12) == kLayersOf27B;
  if (scale != head_dim && !is_27b) model.set_real("attention.scale", 1 / std::sqrt(scale));
  import_partial_rope(config, 1.0, model);
}

constexpr HfNames kHf = {kClasses, kRmsKeys, import_more, true, kRotaryTables};

}  // namespace

extern const Arch arch_gemma2 = {"gemma2", read_config, kTensors, &kHf, shared_input::kAnyLayer};

}  // namespace nibble
