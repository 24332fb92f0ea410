// falcon: attention and a plain feed-forward side by side, behind one layer norm (7B) or one each
// (40B); few key/value heads, no biases but those of the norms.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::layer);
  add_rope(hp, RopeKind::halves, config);
  for (LayerSpec& layer : config.layers) {
    layer.parallel = true;
    layer.feed_forward = FeedForward::plain;
    layer.activation = Activation::gelu;
  }
  return config;
}

// What GGUF calls attn_norm is the feed-forward's where attention has its own, attn_norm_2.
constexpr TensorName kTensors[] = {
    {Role::token_embd, "token_embd.weight", "word_embeddings.weight"},
    {Role::output_norm, "output_norm.weight", "ln_f.weight"},
    {Role::output_norm_bias, "output_norm.bias", "ln_f.bias"},
    {Role::output, "output.weight", "lm_head.weight", false},
    {Role::ffn_norm, "blk.{}.attn_norm.weight", "h.{}.input_layernorm.weight", false},
    {Role::ffn_norm_bias, "blk.{}.attn_norm.bias", "h.{}.input_layernorm.bias", false},
    {Role::ffn_norm, "blk.{}.attn_norm.weight", "h.{}.ln_mlp.weight", false},
    {Role::ffn_norm_bias, "blk.{}.attn_norm.bias", "h.{}.ln_mlp.bias", false},
    {Role::attn_norm, "blk.{}.attn_norm_2.weight", "h.{}.ln_attn.weight", false},
    {Role::attn_norm_bias, "blk.{}.attn_norm_2.bias", "h.{}.ln_attn.bias", false},
    {Role::attn_qkv, "blk.{}.attn_qkv.weight", "h.{}.self_attention.query_key_value.weight", true,
     HfTransform::qkv_groups},
    {Role::attn_output, "blk.{}.attn_output.weight", "h.{}.self_attention.dense.weight"},
    {Role::ffn_up, "blk.{}.ffn_up.weight", "h.{}.mlp.dense_h_to_4h.weight"},
    {Role::ffn_down, "blk.{}.ffn_down.weight", "h.{}.mlp.dense_4h_to_h.weight"},
};

constexpr std::string_view kClasses[] = {"FalconForCausalLM", "RWForCausalLM", "falcon"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("activation", {"gelu"});
  expect_flag(config, "alibi", false);
  expect_flag(config, "bias", false);
  expect_flag(config, "parallel_attn", true);
  const int64_t n_head = config.integer("num_attention_heads|n_head", 1, HParams::kMaxHeads);
  int64_t n_head_kv = config.integer_or("num_kv_heads|n_head_kv", n_head, 1, HParams::kMaxHeads);
  if (!config.boolean_or("new_decoder_architecture", false)) {
    n_head_kv = config.boolean_or("multi_query", true) ? 1 : n_head;
  }
  model.set_whole("attention.head_count_kv", n_head_kv);
  import_feed_forward(config, "ffn_hidden_size", model);
  import_partial_rope(config, 1.0, model);
}

constexpr HfNames kHf = {kClasses, kLayerNormKeys, import_more,
                         true,     kRotaryTables,  "transformer."};

}  // namespace

extern const Arch arch_falcon = {"falcon", read_config, kTensors, &kHf, shared_input::kAnyLayer};

}  // namespace nibble
