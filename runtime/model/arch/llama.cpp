// llama: Llama 1-3, SmolLM, Mistral and whatever else is pre-norm, grouped heads, SwiGLU.
// GGUF stores the query and key rows permuted, so that rotation pairs are adjacent.
#include <cmath>

#include "formats/io/error.h"
#include "runtime/model/arch.h"
#include "runtime/model/hf_config.h"

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
    {Role::token_embd, "token_embd.weight", "model.embed_tokens.weight"},
    {Role::output_norm, "output_norm.weight", "model.norm.weight"},
    {Role::output, "output.weight", "lm_head.weight", false},  // absent: tied to token_embd
    {Role::rope_freqs, "rope_freqs.weight", {}, false},
    {Role::attn_norm, "blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight"},
    {Role::attn_q, "blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight", true,
     HfTransform::rope_rows},
    {Role::attn_k, "blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight", true,
     HfTransform::rope_rows},
    {Role::attn_v, "blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight"},
    {Role::attn_q_bias, "blk.{}.attn_q.bias", "model.layers.{}.self_attn.q_proj.bias", false,
     HfTransform::rope_rows},
    {Role::attn_k_bias, "blk.{}.attn_k.bias", "model.layers.{}.self_attn.k_proj.bias", false,
     HfTransform::rope_rows},
    {Role::attn_v_bias, "blk.{}.attn_v.bias", "model.layers.{}.self_attn.v_proj.bias", false},
    {Role::attn_output, "blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight"},
    {Role::attn_output_bias, "blk.{}.attn_output.bias", "model.layers.{}.self_attn.o_proj.bias",
     false},
    {Role::ffn_norm, "blk.{}.ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight"},
    {Role::ffn_gate, "blk.{}.ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight"},
    {Role::ffn_up, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight"},
    {Role::ffn_down, "blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"},
};

constexpr std::string_view kClasses[] = {"LlamaForCausalLM", "MistralForCausalLM",
                                         "LLaMAForCausalLM", "llama", "mistral"};
constexpr HfKey kKeys[] = {
    {"vocab_size", "vocab_size"},
    {"max_position_embeddings", "context_length"},
    {"hidden_size", "embedding_length"},
    {"num_hidden_layers", "block_count"},
    {"intermediate_size", "feed_forward_length"},
    {"num_attention_heads", "attention.head_count"},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", HfKey::Kind::real, 1e-6},
};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"silu", "swish"});
  const int64_t n_embd = config.integer("hidden_size", 1, HParams::kMaxWidth);
  const int64_t n_head = config.integer("num_attention_heads", 1, HParams::kMaxHeads);
  model.set_whole("attention.head_count_kv",
                  config.integer_or("num_key_value_heads", n_head, 1, HParams::kMaxHeads));
  const int64_t head_dim = config.integer_or("head_dim", n_embd / n_head, 1, HParams::kMaxHeadDim);
  model.set_whole("rope.dimension_count", head_dim);
  if (config.has("head_dim")) {
    model.set_whole("attention.key_length", head_dim);
    model.set_whole("attention.value_length", head_dim);
  }
  // Only Mistral's class looks at the key.
  const bool mistral = config.class_name() == "MistralForCausalLM" ||
                       (config.class_name().empty() && config.model_type() == "mistral");
  if (mistral && config.has("sliding_window")) {
    model.set_whole("attention.sliding_window",
                    config.integer("sliding_window", 1, HParams::kMaxContext));
  }
  import_rope(config, "full_attention", 10000.0, head_dim, model);
}

// Tables of rotary frequencies, which old checkpoints carry and every reader computes.
constexpr std::string_view kLeftOut[] = {".rotary_emb.inv_freq"};

constexpr HfNames kHf = {kClasses, kKeys, import_more, false, kLeftOut};

}  // namespace

extern const Arch arch_llama = {"llama", read_config, kTensors, &kHf, shared_input::kGatedLayer};

}  // namespace nibble
