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
  output_norm,
  output,
  rope_freqs,
  // once a layer
  attn_norm,
  attn_q,
  attn_k,
  attn_v,
  attn_q_bias,
  attn_k_bias,
  attn_v_bias,
  attn_q_norm,
  attn_k_norm,
  attn_output,
  attn_output_bias,
  attn_post_norm,
  ffn_norm,
  ffn_gate,
  ffn_up,
  ffn_down,
  ffn_post_norm,
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
  Role producer;
  Role producer_bias = Role::count;  // count: there is none
};

namespace shared_input {
inline constexpr Role kReadAttnNorm[] = {Role::attn_q, Role::attn_k, Role::attn_v};
inline constexpr Role kReadAttended[] = {Role::attn_output};
inline constexpr Role kReadFfnNorm[] = {Role::ffn_gate, Role::ffn_up};
inline constexpr Role kReadGated[] = {Role::ffn_down};
/// Norm, attention, residual, norm, gated feed-forward, residual.
inline constexpr SharedInput kGatedLayer[] = {
    {kReadAttnNorm, Role::attn_norm},
    {kReadAttended, Role::attn_v, Role::attn_v_bias},
    {kReadFfnNorm, Role::ffn_norm},
    {kReadGated, Role::ffn_up},
};
}  // namespace shared_input

struct TensorName {
  Role role;
  std::string_view name;     // a layer's: "{}" stands for its number
  std::string_view hf = {};  // what Hugging Face calls it, "{}" likewise; empty: it has none
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

/// Heads whose rows a query's or key's tensor holds.
inline int64_t role_heads(Role role, const LayerSpec& layer) noexcept {
  return role == Role::attn_q || role == Role::attn_q_bias ? layer.n_head : layer.n_head_kv;
}

/// A tensor's name for one layer.
std::string layer_name(std::string_view pattern, int64_t layer);

/// By general.architecture; nullptr if nibble has none of this name.
const Arch* find_arch(std::string_view name) noexcept;
/// The table, for messages and tests.
std::span<const Arch* const> all_archs() noexcept;

}  // namespace nibble
