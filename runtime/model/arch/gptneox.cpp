// gptneox (Pythia): attention and a plain feed-forward side by side behind a layer norm each, or
// one after the other; a part of each head rotated.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::layer);
  add_rope(hp, RopeKind::halves, config);
  for (LayerSpec& layer : config.layers) {
    layer.parallel = hp.boolean_or("use_parallel_residual", true);
    layer.feed_forward = FeedForward::plain;
    layer.activation = Activation::gelu;
  }
  return config;
}

constexpr HfTransform kGroups = HfTransform::qkv_groups;
constexpr TensorName kTensors[] = {
    {Role::token_embd, "token_embd.weight", "embed_in.weight"},
    {Role::output_norm, "output_norm.weight", "final_layer_norm.weight"},
    {Role::output_norm_bias, "output_norm.bias", "final_layer_norm.bias"},
    {Role::output, "output.weight", "embed_out.weight", false},
    {Role::attn_norm, "blk.{}.attn_norm.weight", "layers.{}.input_layernorm.weight"},
    {Role::attn_norm_bias, "blk.{}.attn_norm.bias", "layers.{}.input_layernorm.bias"},
    {Role::attn_qkv, "blk.{}.attn_qkv.weight", "layers.{}.attention.query_key_value.weight", true,
     kGroups},
    {Role::attn_qkv_bias, "blk.{}.attn_qkv.bias", "layers.{}.attention.query_key_value.bias", false,
     kGroups},
    {Role::attn_output, "blk.{}.attn_output.weight", "layers.{}.attention.dense.weight"},
    {Role::attn_output_bias, "blk.{}.attn_output.bias", "layers.{}.attention.dense.bias", false},
    {Role::ffn_norm, "blk.{}.ffn_norm.weight", "layers.{}.post_attention_layernorm.weight"},
    {Role::ffn_norm_bias, "blk.{}.ffn_norm.bias", "layers.{}.post_attention_layernorm.bias"},
    {Role::ffn_up, "blk.{}.ffn_up.weight", "layers.{}.mlp.dense_h_to_4h.weight"},
    {Role::ffn_up_bias, "blk.{}.ffn_up.bias", "layers.{}.mlp.dense_h_to_4h.bias"},
    {Role::ffn_down, "blk.{}.ffn_down.weight", "layers.{}.mlp.dense_4h_to_h.weight"},
    {Role::ffn_down_bias, "blk.{}.ffn_down.bias", "layers.{}.mlp.dense_4h_to_h.bias"},
};

constexpr std::string_view kClasses[] = {"GPTNeoXForCausalLM", "gpt_neox"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"gelu"});
  model.set_flag("use_parallel_residual", config.boolean_or("use_parallel_residual", true));
  import_feed_forward(config, "intermediate_size", model);
  import_partial_rope(config, 0.25, model);
}

// Masks and tables of old checkpoints.
constexpr std::string_view kLeftOut[] = {".attention.bias", ".attention.masked_bias",
                                         ".rotary_emb.inv_freq"};

constexpr HfNames kHf = {kClasses, kLayerNormKeys, import_more, false, kLeftOut, "gpt_neox."};

}  // namespace

extern const Arch arch_gptneox = {"gptneox", read_config, kTensors, &kHf, shared_input::kAnyLayer};

}  // namespace nibble
