// llama: Llama 1-3, SmolLM, Mistral and whatever else is pre-norm, grouped heads, SwiGLU.
// GGUF stores the query and key rows permuted, so that rotation pairs are adjacent.
#include <cmath>

#include "formats/io/error.h"
#include "runtime/model/arch.h"

namespace nibble {

namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config;
  const int64_t n_layer = hp.integer("block_count", 1, HParams::kMaxLayers);
  config.n_embd = hp.integer("embedding_length", 1, HParams::kMaxWidth);
  config.n_ctx_train = hp.integer("context_length", 1, HParams::kMaxContext);
  config.norm_eps = static_cast<float>(hp.number("attention.layer_norm_rms_epsilon", 0.0, 1.0));
  if (hp.integer_or("expert_count", 0, 0, 1 << 16) != 0) {
    fail(ErrorCode::unsupported,
         "{}: key llama.expert_count: expected none, got a mixture of experts", hp.meta().file());
  }
  const std::vector<int64_t> n_head =
      hp.per_layer("attention.head_count", n_layer, 1, HParams::kMaxHeads);
  const std::vector<int64_t> n_head_kv =
      hp.has("attention.head_count_kv")
          ? hp.per_layer("attention.head_count_kv", n_layer, 1, HParams::kMaxHeads)
          : n_head;
  const std::vector<int64_t> n_ff =
      hp.per_layer("feed_forward_length", n_layer, 1, HParams::kMaxWidth);

  for (size_t i = 0; i < static_cast<size_t>(n_layer); ++i) {
    LayerSpec layer;
    layer.n_head = n_head[i];
    layer.n_head_kv = n_head_kv[i];
    const int64_t width_over_heads = config.n_embd / n_head[i];
    layer.head_dim_k =
        hp.integer_or("attention.key_length", width_over_heads, 1, HParams::kMaxHeadDim);
    layer.head_dim_v =
        hp.integer_or("attention.value_length", width_over_heads, 1, HParams::kMaxHeadDim);
    layer.n_ff = n_ff[i];
    layer.window = hp.integer_or("attention.sliding_window", 0, 0, HParams::kMaxContext);
    layer.rope = 0;
    layer.attn_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(layer.head_dim_k)));
    config.layers.push_back(layer);
  }

  RopeSpec rope;
  rope.kind = RopeKind::adjacent;
  rope.dim =
      hp.integer_or("rope.dimension_count", config.layers[0].head_dim_k, 2, HParams::kMaxHeadDim);
  rope.freq_base = hp.number_or("rope.freq_base", 10000.0, 1.0, 1e12);
  rope.freq_factors = true;  // where the file has rope_freqs.weight
  rope.freq_scale = hp.rope_freq_scale();
  config.ropes.push_back(rope);
  return config;
}

constexpr TensorName kTensors[] = {
    {Role::token_embd, "token_embd.weight"},
    {Role::output_norm, "output_norm.weight"},
    {Role::output, "output.weight", false},  // absent: tied to token_embd
    {Role::rope_freqs, "rope_freqs.weight", false},
    {Role::attn_norm, "blk.{}.attn_norm.weight"},
    {Role::attn_q, "blk.{}.attn_q.weight"},
    {Role::attn_k, "blk.{}.attn_k.weight"},
    {Role::attn_v, "blk.{}.attn_v.weight"},
    {Role::attn_q_bias, "blk.{}.attn_q.bias", false},
    {Role::attn_k_bias, "blk.{}.attn_k.bias", false},
    {Role::attn_v_bias, "blk.{}.attn_v.bias", false},
    {Role::attn_output, "blk.{}.attn_output.weight"},
    {Role::attn_output_bias, "blk.{}.attn_output.bias", false},
    {Role::ffn_norm, "blk.{}.ffn_norm.weight"},
    {Role::ffn_gate, "blk.{}.ffn_gate.weight"},
    {Role::ffn_up, "blk.{}.ffn_up.weight"},
    {Role::ffn_down, "blk.{}.ffn_down.weight"},
};

}  // namespace

extern const Arch arch_llama = {"llama", read_config, kTensors};

}  // namespace nibble
