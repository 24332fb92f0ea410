#pragma once
// A seeded model of any architecture, made from its row: keys that all families understand, and a
// tensor for each name of the table, of the shape that its role has. Widths are whole blocks, so
// that matrices of every type can be packed.
#include <set>
#include <string>

#include "runtime/model/arch.h"
#include "runtime/model/weights.h"
#include "tests/support/toy_model.h"

namespace nibble::test {

/// Bytes of `rows * cols` floats in another type, which goes to `type`.
using ToyEncode =
    std::function<std::string(const std::vector<float>&, int64_t cols, uint32_t& type)>;

inline void add_toy_keys(GgufBuilder& b, const std::string& arch, bool experts) {
  const auto u32 = [&](const char* key, uint32_t v) { b.add_u32(arch + "." + key, v); };
  const auto f32 = [&](const char* key, float v) { b.add_f32(arch + "." + key, v); };
  b.add_string("general.architecture", arch);
  u32("block_count", arch == "gemma3" ? 7 : 4);
  u32("context_length", 128);
  u32("embedding_length", 96);
  u32("feed_forward_length", 160);
  u32("attention.head_count", 4);
  u32("attention.head_count_kv", 2);
  u32("attention.sliding_window", 9);
  u32("rope.dimension_count", 16);
  f32("attention.layer_norm_rms_epsilon", 1e-5f);
  f32("attention.layer_norm_epsilon", 1e-5f);
  f32("attention.max_alibi_bias", 8.0f);
  f32("attention.clamp_kqv", 1.5f);
  f32("logit_scale", 0.5f);
  f32("residual_scale", 0.7f);
  u32("expert_used_count", 3);
  u32("expert_feed_forward_length", 64);
  u32("expert_shared_feed_forward_length", 32);
  u32("leading_dense_block_count", 1);
  u32("expert_shared_count", 1);
  u32("attention.kv_lora_rank", 32);
  u32("attention.q_lora_rank", 64);
  u32("attention.key_length_mla", 48);
  u32("attention.value_length_mla", 32);
  if (experts) u32("expert_count", 5);
  add_toy_vocab(b);
}

/// Architectures that have experts in every file.
inline bool has_experts_only(const Arch& arch) {
  return arch.name.ends_with("moe") || arch.name == "deepseek2" || arch.name == "gpt-oss";
}

/// A tensor of a table for all layers of its role, or for the model.
inline void add_toy_tensors(GgufBuilder& b, const TensorName& row, const ModelConfig& config,
                            ToyRandom& random, const ToyEncode& encode) {
  const size_t n = is_layer_role(row.role) ? config.layers.size() : 1;
  for (size_t i = 0; i < n; ++i) {
    const LayerSpec layer = is_layer_role(row.role) ? config.layers[i] : LayerSpec();
    const RoleShape shape = role_shape(row.role, config, layer);
    if (shape.rows == 0 || shape.cols == 0) continue;
    const std::string name = is_layer_role(row.role) ? layer_name(row.name, static_cast<int64_t>(i))
                                                     : std::string(row.name);
    std::vector<int64_t> dims = {shape.rows, shape.cols};
    if (shape.n_dims() == 1) dims = {shape.cols};
    if (shape.n_dims() == 3) dims = {shape.n_stacked, shape.rows / shape.n_stacked, shape.cols};
    const bool norm = shape.is_vector && name.ends_with("weight");
    const std::vector<float> floats =
        random.floats(static_cast<size_t>(shape.rows * shape.cols), 0.2f, norm ? 1.0f : 0.0f);
    uint32_t type = 0;
    const std::string bytes =
        encode && !shape.is_vector && !shape.stays_float ? encode(floats, shape.cols, type) : "";
    if (bytes.empty()) {
      b.add_tensor(name, dims, floats);
    } else {
      b.add_tensor(name, dims, type, bytes.data(), bytes.size());
    }
  }
}

inline std::string toy_family(const Arch& arch, bool experts, const ToyEncode& encode = {}) {
  GgufBuilder b;
  add_toy_keys(b, std::string(arch.name), experts);
  const std::string keys = b.build();
  const TensorFile parsed = open_tensor_memory(std::as_bytes(std::span(keys)), "toy");
  ModelConfig config = arch.read_config(HParams(parsed.meta(), arch.name));
  config.n_vocab = kToyVocab;
  const auto has = [&](Role role) {
    return std::any_of(arch.tensors.begin(), arch.tensors.end(),
                       [&](const TensorName& row) { return row.role == role; });
  };
  ToyRandom random(11);
  std::set<std::string_view> done;
  for (const TensorName& row : arch.tensors) {
    const bool part = row.role >= Role::attn_q && row.role <= Role::attn_v;
    const bool part_bias = row.role >= Role::attn_q_bias && row.role <= Role::attn_v_bias;
    if ((part && has(Role::attn_qkv)) || (part_bias && has(Role::attn_qkv_bias))) continue;
    if (done.insert(row.name).second) add_toy_tensors(b, row, config, random, encode);
  }
  return b.build();
}

}  // namespace nibble::test
