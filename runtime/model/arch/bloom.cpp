// bloom: ALiBi, a norm behind the embedding, layer norms with biases, a plain feed-forward.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

constexpr float kMaxBias = 8.0f;

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::layer);
  for (LayerSpec& layer : config.layers) {
    layer.max_alibi_bias = kMaxBias;
    layer.feed_forward = FeedForward::plain;
    layer.activation = Activation::gelu_tanh;
  }
  return config;
}

constexpr HfTransform kGroups = HfTransform::qkv_groups;
constexpr TensorName kTensors[] = {
    {Role::token_embd, "token_embd.weight", "word_embeddings.weight"},
    {Role::embd_norm, "token_embd_norm.weight", "word_embeddings_layernorm.weight"},
    {Role::embd_norm_bias, "token_embd_norm.bias", "word_embeddings_layernorm.bias"},
    {Role::output_norm, "output_norm.weight", "ln_f.weight"},
    {Role::output_norm_bias, "output_norm.bias", "ln_f.bias"},
    {Role::output, "output.weight", "lm_head.weight", false},
    {Role::attn_norm, "blk.{}.attn_norm.weight", "h.{}.input_layernorm.weight"},
    {Role::attn_norm_bias, "blk.{}.attn_norm.bias", "h.{}.input_layernorm.bias"},
    {Role::attn_qkv, "blk.{}.attn_qkv.weight", "h.{}.self_attention.query_key_value.weight", true,
     kGroups},
    {Role::attn_qkv_bias, "blk.{}.attn_qkv.bias", "h.{}.self_attention.query_key_value.bias", true,
     kGroups},
    {Role::attn_output, "blk.{}.attn_output.weight", "h.{}.self_attention.dense.weight"},
    {Role::attn_output_bias, "blk.{}.attn_output.bias", "h.{}.self_attention.dense.bias"},
    {Role::ffn_norm, "blk.{}.ffn_norm.weight", "h.{}.post_attention_layernorm.weight"},
    {Role::ffn_norm_bias, "blk.{}.ffn_norm.bias", "h.{}.post_attention_layernorm.bias"},
    {Role::ffn_up, "blk.{}.ffn_up.weight", "h.{}.mlp.dense_h_to_4h.weight"},
    {Role::ffn_up_bias, "blk.{}.ffn_up.bias", "h.{}.mlp.dense_h_to_4h.bias"},
    {Role::ffn_down, "blk.{}.ffn_down.weight", "h.{}.mlp.dense_4h_to_h.weight"},
    {Role::ffn_down_bias, "blk.{}.ffn_down.bias", "h.{}.mlp.dense_4h_to_h.bias"},
};

constexpr std::string_view kClasses[] = {"BloomForCausalLM", "bloom"};
constexpr HfKey kKeys[] = {
    {"vocab_size", "vocab_size"},
    {"seq_length", "context_length", HfKey::Kind::whole, 2048},  // which the family does not need
    {"hidden_size|n_embed", "embedding_length"},
    {"n_layer|num_hidden_layers", "block_count"},
    {"n_head|num_attention_heads", "attention.head_count"},
    {"layer_norm_epsilon", "attention.layer_norm_epsilon", HfKey::Kind::real, 1e-5},
};

void import_more(const HfConfig& config, HfModel& model) {
  expect_flag(config, "apply_residual_connection_post_layernorm", false);
  const int64_t n_embd = config.integer("hidden_size|n_embed", 1, HParams::kMaxWidth / 4);
  model.set_whole("feed_forward_length", 4 * n_embd);
}

constexpr HfNames kHf = {kClasses, kKeys, import_more, true, {}, "transformer."};

}  // namespace

extern const Arch arch_bloom = {"bloom", read_config, kTensors, &kHf, shared_input::kAnyLayer};

}  // namespace nibble
