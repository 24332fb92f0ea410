#pragma once
// What architectures of decoders have in common, for their files to put together: hyperparameters
// under the ecosystem's usual keys, the usual keys of config.json, and rows of tensor names.
#include <array>
#include <cstddef>

#include "runtime/model/arch.h"
#include "runtime/model/hf_config.h"

namespace nibble {

/// Counts, widths, heads and the norms' epsilon; layers alike, without rotation and windows.
/// Attention is scaled by the key attention.scale or 1 / sqrt(key_length).
ModelConfig read_decoder(const HParams& hp, NormKind norm);

/// Adds rotary positions under the keys rope.* and makes every layer use them. n_rotated: of a
/// head, where the file does not say; 0: all.
void add_rope(const HParams& hp, RopeKind kind, ModelConfig& config, int64_t n_rotated = 0);

/// Sets the window of every layer from attention.sliding_window, where there is one.
void add_window(const HParams& hp, ModelConfig& config);

/// Makes every layer a mixture of experts, from the keys expert_*.
void add_experts(const HParams& hp, ModelConfig& config, ExpertSpec spec);

// ---- config.json ----

/// Of families after Llama; of those with layer norms, in their spellings.
inline constexpr HfKey kRmsKeys[] = {
    {"vocab_size", "vocab_size"},
    {"max_position_embeddings", "context_length"},
    {"hidden_size", "embedding_length"},
    {"num_hidden_layers", "block_count"},
    {"intermediate_size", "feed_forward_length"},
    {"num_attention_heads", "attention.head_count"},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", HfKey::Kind::real, 1e-6},
};
inline constexpr HfKey kLayerNormKeys[] = {
    {"vocab_size", "vocab_size"},
    {"max_position_embeddings|n_positions", "context_length", HfKey::Kind::whole, 2048},
    {"hidden_size|n_embd", "embedding_length"},
    {"num_hidden_layers|n_layer", "block_count"},
    {"num_attention_heads|n_head", "attention.head_count"},
    {"layer_norm_eps|layer_norm_epsilon|norm_epsilon|norm_eps", "attention.layer_norm_epsilon",
     HfKey::Kind::real, 1e-5},
};

/// feed_forward_length: intermediate_size or what `keys` name, four times the width if it is none.
void import_feed_forward(const HfConfig& config, std::string_view keys, HfModel& model);
/// num_key_value_heads and head_dim, as keys of GGUF.
void import_heads(const HfConfig& config, HfModel& model);
/// Rope with partial_rotary_factor, into rope.dimension_count and what import_rope() sets.
void import_partial_rope(const HfConfig& config, double default_part, HfModel& model);
/// sliding_window, unless use_sliding_window says no.
void import_window(const HfConfig& config, HfModel& model);
/// num_experts, num_experts_per_tok, moe_intermediate_size; all layers must have experts.
void import_experts(const HfConfig& config, HfModel& model);
/// Refuses layer_types other than a window in every other layer, the first one included.
void expect_alternating_window(const HfConfig& config);
/// Refuses a flag that is other than the forward pass does it.
void expect_flag(const HfConfig& config, std::string_view key, bool expected);

// ---- tensor names ----

template <size_t... N>
constexpr auto joined(const std::array<TensorName, N>&... parts) {
  std::array<TensorName, (N + ...)> all{};
  size_t n = 0;
  const auto append = [&](const auto& part) {
    for (const TensorName& row : part) all[n++] = row;
  };
  (append(parts), ...);
  return all;
}

template <class... Row>
constexpr std::array<TensorName, sizeof...(Row)> names(const Row&... rows) {
  return {rows...};
}

/// As Llama's class calls them, and so most others.
inline constexpr auto kEmbeddingNames =
    names(TensorName{Role::token_embd, "token_embd.weight", "model.embed_tokens.weight"},
          TensorName{Role::output_norm, "output_norm.weight", "model.norm.weight"},
          // absent: tied to token_embd
          TensorName{Role::output, "output.weight", "lm_head.weight", false});

inline constexpr auto kAttentionNames = names(
    TensorName{Role::attn_q, "blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight"},
    TensorName{Role::attn_k, "blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight"},
    TensorName{Role::attn_v, "blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight"},
    TensorName{Role::attn_output, "blk.{}.attn_output.weight",
               "model.layers.{}.self_attn.o_proj.weight"});

inline constexpr auto kAttentionBiasNames =
    names(TensorName{Role::attn_q_bias, "blk.{}.attn_q.bias",
                     "model.layers.{}.self_attn.q_proj.bias", false},
          TensorName{Role::attn_k_bias, "blk.{}.attn_k.bias",
                     "model.layers.{}.self_attn.k_proj.bias", false},
          TensorName{Role::attn_v_bias, "blk.{}.attn_v.bias",
                     "model.layers.{}.self_attn.v_proj.bias", false},
          TensorName{Role::attn_output_bias, "blk.{}.attn_output.bias",
                     "model.layers.{}.self_attn.o_proj.bias", false});

/// Llama's own: GGUF stores the rows of queries and keys so that rotation pairs are adjacent.
inline constexpr auto kRotatedAttentionNames = names(
    TensorName{Role::attn_q, "blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight",
               true, HfTransform::rope_rows},
    TensorName{Role::attn_k, "blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight",
               true, HfTransform::rope_rows},
    TensorName{Role::attn_v, "blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight"},
    TensorName{Role::attn_output, "blk.{}.attn_output.weight",
               "model.layers.{}.self_attn.o_proj.weight"},
    TensorName{Role::attn_q_bias, "blk.{}.attn_q.bias", "model.layers.{}.self_attn.q_proj.bias",
               false, HfTransform::rope_rows},
    TensorName{Role::attn_k_bias, "blk.{}.attn_k.bias", "model.layers.{}.self_attn.k_proj.bias",
               false, HfTransform::rope_rows},
    TensorName{Role::attn_v_bias, "blk.{}.attn_v.bias", "model.layers.{}.self_attn.v_proj.bias",
               false},
    TensorName{Role::attn_output_bias, "blk.{}.attn_output.bias",
               "model.layers.{}.self_attn.o_proj.bias", false});

inline constexpr auto kQkNormNames =
    names(TensorName{Role::attn_q_norm, "blk.{}.attn_q_norm.weight",
                     "model.layers.{}.self_attn.q_norm.weight"},
          TensorName{Role::attn_k_norm, "blk.{}.attn_k_norm.weight",
                     "model.layers.{}.self_attn.k_norm.weight"});

inline constexpr auto kNormNames =
    names(TensorName{Role::attn_norm, "blk.{}.attn_norm.weight",
                     "model.layers.{}.input_layernorm.weight"},
          TensorName{Role::ffn_norm, "blk.{}.ffn_norm.weight",
                     "model.layers.{}.post_attention_layernorm.weight"});

inline constexpr auto kGatedNames = names(
    TensorName{Role::ffn_gate, "blk.{}.ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight"},
    TensorName{Role::ffn_up, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight"},
    TensorName{Role::ffn_down, "blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"});

inline constexpr auto kNormBiasNames =
    names(TensorName{Role::output_norm_bias, "output_norm.bias", "model.norm.bias"},
          TensorName{Role::attn_norm_bias, "blk.{}.attn_norm.bias",
                     "model.layers.{}.input_layernorm.bias"},
          TensorName{Role::ffn_norm_bias, "blk.{}.ffn_norm.bias",
                     "model.layers.{}.post_attention_layernorm.bias", false});

inline constexpr auto kExpertNames =
    names(TensorName{Role::router, "blk.{}.ffn_gate_inp.weight", "model.layers.{}.mlp.gate.weight"},
          TensorName{Role::experts_gate, "blk.{}.ffn_gate_exps.weight",
                     "model.layers.{}.mlp.experts.{}.gate_proj.weight"},
          TensorName{Role::experts_up, "blk.{}.ffn_up_exps.weight",
                     "model.layers.{}.mlp.experts.{}.up_proj.weight"},
          TensorName{Role::experts_down, "blk.{}.ffn_down_exps.weight",
                     "model.layers.{}.mlp.experts.{}.down_proj.weight"});

inline constexpr std::string_view kRotaryTables[] = {".rotary_emb.inv_freq"};

}  // namespace nibble
