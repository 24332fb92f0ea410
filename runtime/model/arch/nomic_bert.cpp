// nomic-bert: an encoder as bert, with rotary positions, a gated feed-forward and no biases but the
// norms'. Its tensors have two sets of names: the class in transformers, which has parts of what
// the authors' own code fuses, and the authors'.
#include <algorithm>

#include "formats/gguf.h"
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

constexpr const char* kTokenTypeCount = "tokenizer.ggml.token_type_count";
constexpr int64_t kMostTokenTypes = 64;

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::layer);
  add_rope(hp, RopeKind::halves, config);
  config.causal = false;
  config.n_token_types =
      std::clamp<int64_t>(hp.meta().get_int(kTokenTypeCount).value_or(2), 1, kMostTokenTypes);
  for (LayerSpec& layer : config.layers) layer.norms = NormPlacement::sum;
  return config;
}

constexpr TensorName kTensors[] = {
    {Role::token_embd, "token_embd.weight", "embeddings.word_embeddings.weight"},
    {Role::token_types, "token_types.weight", "embeddings.token_type_embeddings.weight"},
    {Role::embd_norm, "token_embd_norm.weight", "embeddings.LayerNorm.weight", false},
    {Role::embd_norm_bias, "token_embd_norm.bias", "embeddings.LayerNorm.bias", false},
    {Role::embd_norm, "token_embd_norm.weight", "emb_ln.weight", false},
    {Role::embd_norm_bias, "token_embd_norm.bias", "emb_ln.bias", false},
    {Role::attn_q, "blk.{}.attn_q.weight", "layers.{}.self_attn.q_proj.weight", false},
    {Role::attn_k, "blk.{}.attn_k.weight", "layers.{}.self_attn.k_proj.weight", false},
    {Role::attn_v, "blk.{}.attn_v.weight", "layers.{}.self_attn.v_proj.weight", false},
    {Role::attn_qkv, "blk.{}.attn_qkv.weight", "encoder.layers.{}.attn.Wqkv.weight", false},
    {Role::attn_output, "blk.{}.attn_output.weight", "layers.{}.self_attn.o_proj.weight", false},
    {Role::attn_output, "blk.{}.attn_output.weight", "encoder.layers.{}.attn.out_proj.weight",
     false},
    {Role::attn_post_norm, "blk.{}.attn_output_norm.weight",
     "layers.{}.post_attention_layernorm.weight", false},
    {Role::attn_post_norm_bias, "blk.{}.attn_output_norm.bias",
     "layers.{}.post_attention_layernorm.bias", false},
    {Role::attn_post_norm, "blk.{}.attn_output_norm.weight", "encoder.layers.{}.norm1.weight",
     false},
    {Role::attn_post_norm_bias, "blk.{}.attn_output_norm.bias", "encoder.layers.{}.norm1.bias",
     false},
    {Role::ffn_gate, "blk.{}.ffn_gate.weight", "layers.{}.mlp.gate_proj.weight", false},
    {Role::ffn_up, "blk.{}.ffn_up.weight", "layers.{}.mlp.up_proj.weight", false},
    {Role::ffn_down, "blk.{}.ffn_down.weight", "layers.{}.mlp.down_proj.weight", false},
    {Role::ffn_gate, "blk.{}.ffn_gate.weight", "encoder.layers.{}.mlp.fc12.weight", false},
    {Role::ffn_up, "blk.{}.ffn_up.weight", "encoder.layers.{}.mlp.fc11.weight", false},
    {Role::ffn_down, "blk.{}.ffn_down.weight", "encoder.layers.{}.mlp.fc2.weight", false},
    {Role::ffn_post_norm, "blk.{}.layer_output_norm.weight", "layers.{}.post_mlp_layernorm.weight",
     false},
    {Role::ffn_post_norm_bias, "blk.{}.layer_output_norm.bias", "layers.{}.post_mlp_layernorm.bias",
     false},
    {Role::ffn_post_norm, "blk.{}.layer_output_norm.weight", "encoder.layers.{}.norm2.weight",
     false},
    {Role::ffn_post_norm_bias, "blk.{}.layer_output_norm.bias", "encoder.layers.{}.norm2.bias",
     false},
};

constexpr std::string_view kClasses[] = {"NomicBertModel", "NomicBertForMaskedLM", "nomic_bert"};

constexpr HfKey kKeys[] = {
    {"vocab_size", "vocab_size"},
    {"max_position_embeddings|n_positions", "context_length", HfKey::Kind::whole, 2048},
    {"hidden_size|n_embd", "embedding_length"},
    {"num_hidden_layers|n_layer", "block_count"},
    {"intermediate_size|n_inner", "feed_forward_length"},
    {"num_attention_heads|n_head", "attention.head_count"},
    {"layer_norm_eps|layer_norm_epsilon", "attention.layer_norm_epsilon", HfKey::Kind::real, 1e-12},
};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act|activation_function", {"silu", "swiglu"});
  for (const char* flag : {"prenorm", "causal", "rotary_emb_interleaved", "qkv_proj_bias",
                           "mlp_fc1_bias", "mlp_fc2_bias", "parallel_block", "use_rms_norm"}) {
    expect_flag(config, flag, false);
  }
  for (const char* key : {"moe_every_n_layers", "num_experts"}) {
    if (config.integer_or(key, 0, 0, 1 << 14) > 0) config.refuse(key, "none", "experts");
  }
  if (config.number_or("rotary_emb_fraction", 1, 0, 1) != 1) {
    config.refuse("rotary_emb_fraction", "1", "less");
  }
  if (config.has("rotary_scaling_factor")) {
    config.refuse("rotary_scaling_factor", "none", "a number");
  }
  model.set_flag("attention.causal", false);
  const int64_t n_types = config.integer_or("type_vocab_size", 2, 1, kMostTokenTypes);
  model.header.set(kTokenTypeCount, static_cast<uint32_t>(n_types));
  import_heads(config, model);
  const int64_t n_embd = config.integer("hidden_size|n_embd", 1, HParams::kMaxWidth);
  const int64_t n_head = config.integer("num_attention_heads|n_head", 1, HParams::kMaxHeads);
  const double base = config.number_or("rotary_emb_base", 1000.0, 1.0, 1e12);
  import_rope(config, "full_attention", base,
              config.integer_or("head_dim", n_embd / n_head, 1, HParams::kMaxHeadDim), model);
}

// Heads of other tasks.
constexpr std::string_view kLeftOut[] = {"pooler.", "cls.", ".rotary_emb.inv_freq"};

constexpr HfNames kHf = {kClasses, kKeys, import_more, true, kLeftOut, "nomic_bert.|bert."};

}  // namespace

extern const Arch arch_nomic_bert = {"nomic-bert", read_config, kTensors, &kHf};

}  // namespace nibble
