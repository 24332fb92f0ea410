// gpt2: learned positions, layer norms with biases, one matrix for queries, keys and values, a
// plain feed-forward. Hugging Face stores its matrices transposed.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::layer);
  config.bounded = true;
  for (LayerSpec& layer : config.layers) {
    layer.feed_forward = FeedForward::plain;
    layer.activation = Activation::gelu_tanh;
  }
  return config;
}

constexpr HfTransform kTurned = HfTransform::transposed;
constexpr TensorName kTensors[] = {
    {Role::token_embd, "token_embd.weight", "wte.weight"},
    {Role::position_embd, "position_embd.weight", "wpe.weight"},
    {Role::output_norm, "output_norm.weight", "ln_f.weight"},
    {Role::output_norm_bias, "output_norm.bias", "ln_f.bias"},
    {Role::output, "output.weight", "lm_head.weight", false},
    {Role::attn_norm, "blk.{}.attn_norm.weight", "h.{}.ln_1.weight"},
    {Role::attn_norm_bias, "blk.{}.attn_norm.bias", "h.{}.ln_1.bias"},
    {Role::attn_qkv, "blk.{}.attn_qkv.weight", "h.{}.attn.c_attn.weight", true, kTurned},
    {Role::attn_qkv_bias, "blk.{}.attn_qkv.bias", "h.{}.attn.c_attn.bias"},
    {Role::attn_output, "blk.{}.attn_output.weight", "h.{}.attn.c_proj.weight", true, kTurned},
    {Role::attn_output_bias, "blk.{}.attn_output.bias", "h.{}.attn.c_proj.bias"},
    {Role::ffn_norm, "blk.{}.ffn_norm.weight", "h.{}.ln_2.weight"},
    {Role::ffn_norm_bias, "blk.{}.ffn_norm.bias", "h.{}.ln_2.bias"},
    {Role::ffn_up, "blk.{}.ffn_up.weight", "h.{}.mlp.c_fc.weight", true, kTurned},
    {Role::ffn_up_bias, "blk.{}.ffn_up.bias", "h.{}.mlp.c_fc.bias"},
    {Role::ffn_down, "blk.{}.ffn_down.weight", "h.{}.mlp.c_proj.weight", true, kTurned},
    {Role::ffn_down_bias, "blk.{}.ffn_down.bias", "h.{}.mlp.c_proj.bias"},
};

constexpr std::string_view kClasses[] = {"GPT2LMHeadModel", "gpt2"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("activation_function", {"gelu_new", "gelu_pytorch_tanh"});
  expect_flag(config, "scale_attn_weights", true);
  expect_flag(config, "scale_attn_by_inverse_layer_idx", false);
  expect_flag(config, "add_cross_attention", false);
  import_feed_forward(config, "n_inner", model);
}

// The masks of old checkpoints.
constexpr std::string_view kLeftOut[] = {".attn.bias", ".attn.masked_bias"};

constexpr HfNames kHf = {kClasses, kLayerNormKeys, import_more, true, kLeftOut, "transformer."};

}  // namespace

extern const Arch arch_gpt2 = {"gpt2", read_config, kTensors, &kHf, shared_input::kAnyLayer};

}  // namespace nibble
