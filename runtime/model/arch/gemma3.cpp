// gemma3: norms before and after each block, query/key norms, GeGLU, embeddings scaled by
// sqrt(n_embd); five layers with a sliding window and local positions, then one that sees all.
// Norm weights in GGUF already contain the "1 +".
#include <cmath>

#include "runtime/model/arch.h"

namespace nibble {

namespace {

constexpr int64_t kWindowPattern = 6;  // every sixth layer is global
constexpr double kLocalFreqBase = 10000.0;

ModelConfig read_config(const HParams& hp) {
  ModelConfig config;
  const int64_t n_layer = hp.integer("block_count", 1, HParams::kMaxLayers);
  config.n_embd = hp.integer("embedding_length", 1, HParams::kMaxWidth);
  config.n_ctx_train = hp.integer("context_length", 1, HParams::kMaxContext);
  config.norm_eps = static_cast<float>(hp.number("attention.layer_norm_rms_epsilon", 0.0, 1.0));
  config.embed_scale = static_cast<float>(std::sqrt(static_cast<double>(config.n_embd)));
  config.logit_softcap = static_cast<float>(hp.number_or("final_logit_softcapping", 0.0, 0.0, 1e6));
  const std::vector<int64_t> n_head =
      hp.per_layer("attention.head_count", n_layer, 1, HParams::kMaxHeads);
  const std::vector<int64_t> n_head_kv =
      hp.per_layer("attention.head_count_kv", n_layer, 1, HParams::kMaxHeads);
  const std::vector<int64_t> n_ff =
      hp.per_layer("feed_forward_length", n_layer, 1, HParams::kMaxWidth);
  const int64_t window = hp.integer_or("attention.sliding_window", 0, 0, HParams::kMaxContext);

  for (size_t i = 0; i < static_cast<size_t>(n_layer); ++i) {
    const bool local = window > 0 && (static_cast<int64_t>(i) + 1) % kWindowPattern != 0;
    LayerSpec layer;
    layer.n_head = n_head[i];
    layer.n_head_kv = n_head_kv[i];
    layer.head_dim_k =
        hp.integer_or("attention.key_length", config.n_embd / n_head[i], 1, HParams::kMaxHeadDim);
    layer.head_dim_v =
        hp.integer_or("attention.value_length", layer.head_dim_k, 1, HParams::kMaxHeadDim);
    layer.n_ff = n_ff[i];
    layer.window = local ? window : 0;
    layer.rope = local ? 1 : 0;
    // The 27B model divides by sqrt(n_embd / n_head), all others by sqrt(key_length); its 62 layers
    // are how the ecosystem's files tell it apart.
    const double divisor =
        n_layer == 62 ? static_cast<double>(config.n_embd) / static_cast<double>(layer.n_head)
                      : static_cast<double>(layer.head_dim_k);
    layer.attn_scale = static_cast<float>(1.0 / std::sqrt(divisor));
    layer.attn_softcap = static_cast<float>(hp.number_or("attn_logit_softcapping", 0.0, 0.0, 1e6));
    layer.activation = Activation::gelu_tanh;
    config.layers.push_back(layer);
  }

  RopeSpec global;
  global.kind = RopeKind::halves;
  global.dim = config.layers[0].head_dim_k;
  global.freq_base = hp.number_or("rope.freq_base", 1e6, 1.0, 1e12);
  global.freq_scale = hp.rope_freq_scale();
  RopeSpec local = global;
  local.freq_base = hp.number_or("rope.freq_base_swa", kLocalFreqBase, 1.0, 1e12);
  local.freq_scale = 1.0;
  config.ropes = {global, local};
  return config;
}

constexpr TensorName kTensors[] = {
    {Role::token_embd, "token_embd.weight"},
    {Role::output_norm, "output_norm.weight"},
    {Role::output, "output.weight", false},  // absent: tied to token_embd
    {Role::attn_norm, "blk.{}.attn_norm.weight"},
    {Role::attn_q, "blk.{}.attn_q.weight"},
    {Role::attn_k, "blk.{}.attn_k.weight"},
    {Role::attn_v, "blk.{}.attn_v.weight"},
    {Role::attn_q_norm, "blk.{}.attn_q_norm.weight"},
    {Role::attn_k_norm, "blk.{}.attn_k_norm.weight"},
    {Role::attn_output, "blk.{}.attn_output.weight"},
    {Role::attn_post_norm, "blk.{}.post_attention_norm.weight"},
    {Role::ffn_norm, "blk.{}.ffn_norm.weight"},
    {Role::ffn_gate, "blk.{}.ffn_gate.weight"},
    {Role::ffn_up, "blk.{}.ffn_up.weight"},
    {Role::ffn_down, "blk.{}.ffn_down.weight"},
    {Role::ffn_post_norm, "blk.{}.post_ffw_norm.weight"},
};

}  // namespace

extern const Arch arch_gemma3 = {"gemma3", read_config, kTensors};

}  // namespace nibble
