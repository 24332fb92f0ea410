#pragma once
// An architecture: how a file's metadata becomes a ModelConfig, and what its tensors are called.
// One file in runtime/model/arch/ and one row in archs.cpp each.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "runtime/model/config.h"
#include "runtime/model/hf_names.h"
#include "runtime/model/hparams.h"

namespace nibble {

/// What a tensor is for. Shapes follow from the role and the config (weights.cpp).
enum class Role : uint8_t {
  // once a model
  token_embd,
  token_types,
  position_embd,
  embd_norm,
  embd_norm_bias,
  output_norm,
  output_norm_bias,
  output,
  output_bias,
  rope_freqs,
  rope_short,
  rope_long,
  // once a layer
  attn_norm,
  attn_norm_bias,
  attn_qkv,  // queries, keys and values in one matrix, or
  attn_q,
  attn_k,
  attn_v,
  attn_qkv_bias,
  attn_q_bias,
  attn_k_bias,
  attn_v_bias,
  attn_q_norm,
  attn_k_norm,
  attn_q_a,  // latent attention: to the latents, their norms, and from them
  attn_q_a_norm,
  attn_q_b,
  attn_kv_a,
  attn_kv_a_norm,
  attn_k_b,  // for each head: its plain query to the latents
  attn_v_b,  // and the latents to its values
  attn_output,
  attn_output_bias,
  attn_sinks,  // for each head: what its weights also share
  attn_post_norm,
  attn_post_norm_bias,
  ffn_norm,
  ffn_norm_bias,
  ffn_gate,
  ffn_up,
  ffn_down,
  ffn_gate_bias,
  ffn_up_bias,
  ffn_down_bias,
  ffn_post_norm,
  ffn_post_norm_bias,
  router,
  router_score_bias,  // of the product
  router_bias,        // added to the scores for the choice only
  experts_gate,       // all experts of a layer, one after the other
  experts_up,
  experts_down,
  experts_gate_bias,  // for each expert
  experts_up_bias,
  experts_down_bias,
  shared_router,  // how much of the shared one a token gets
  shared_gate,
  shared_up,
  shared_down,
  count
};

inline constexpr int kRoleCount = static_cast<int>(Role::count);
inline constexpr bool is_layer_role(Role r) {
  return r >= Role::attn_norm;
}

/// Matrices of a layer that read the same input, for quantizers that look at inputs. The users'
/// column i may be multiplied by s if the producer's output i is divided by s: a norm's weight i,
/// or row i of a matrix behind which there are only products. (A matrix with a bias, or whose rows
/// are not as many as the users' columns, as with grouped heads, cannot take a scale up.)
struct SharedInput {
  std::span<const Role> users;
  Role producer = Role::count;       // count: nothing can take a scale up
  Role producer_bias = Role::count;  // count: there is none
};

namespace shared_input {
inline constexpr Role kReadAttnNorm[] = {Role::attn_q, Role::attn_k, Role::attn_v};
inline constexpr Role kReadAttended[] = {Role::attn_output};
inline constexpr Role kReadFfnNorm[] = {Role::ffn_gate, Role::ffn_up};
inline constexpr Role kReadGated[] = {Role::ffn_down};
inline constexpr Role kReadFused[] = {Role::attn_qkv};
/// Norm, attention, residual, norm, gated feed-forward, residual.
inline constexpr SharedInput kGatedLayer[] = {
    {kReadAttnNorm, Role::attn_norm},
    {kReadAttended, Role::attn_v, Role::attn_v_bias},
    {kReadFfnNorm, Role::ffn_norm},
    {kReadGated, Role::ffn_up},
};
/// Any dense layer: fused or plain, with biases, blocks in parallel. Columns keep their scales.
inline constexpr SharedInput kAnyLayer[] = {
    {kReadAttnNorm}, {kReadFused}, {kReadAttended}, {kReadFfnNorm}, {kReadGated},
};
}  // namespace shared_input

struct TensorName {
  Role role;
  std::string_view name;  // a layer's: "{}" stands for its number
  /// What Hugging Face calls it, "{}" likewise; empty: it has none. A second "{}" is the number of
  /// an expert or head: its tensors are stacked.
  std::string_view hf = {};
  bool required = true;
  HfTransform transform = HfTransform::none;
};

struct Arch {
  std::string_view name;  // general.architecture
  /// Errors: bad_file, unsupported (names the key).
  ModelConfig (*read_config)(const HParams&);
  std::span<const TensorName> tensors;
  const HfNames* hf = nullptr;  // nullptr: cannot be converted
  /// Of every layer; empty: quantizers that look at inputs do not know this architecture.
  std::span<const SharedInput> shared_inputs = {};
};

/// Heads whose rows a query's or key's tensor holds; of a fused one, the queries'.
inline int64_t role_heads(Role role, const LayerSpec& layer) noexcept {
  const bool queries = role == Role::attn_q || role == Role::attn_q_bias ||
                       role == Role::attn_qkv || role == Role::attn_qkv_bias;
  return queries ? layer.n_head : layer.n_head_kv;
}

/// A tensor's name for one layer: the first "{}" is replaced.
std::string layer_name(std::string_view pattern, int64_t layer);

/// By general.architecture; nullptr if nibble has none of this name.
const Arch* find_arch(std::string_view name) noexcept;
/// The table, for messages and tests.
std::span<const Arch* const> all_archs() noexcept;

}  // namespace nibble
