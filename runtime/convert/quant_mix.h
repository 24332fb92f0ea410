#pragma once
// Mixes: what a name such as Q4_K_M stands for. A mix is a base type and rules for the tensors that
// lose more than others. The rules are those that files of these names follow everywhere (llama.cpp
// set them), so that a name means the same size and the same choice of types in every program.
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "quant/dtype.h"

namespace nibble {

/// A tensor's part in a model, as far as mixes tell tensors apart.
enum class TensorPart : uint8_t {
  output,     // the output head, or the embedding that serves as one
  embedding,  // of tokens, where the head is another tensor
  attn_q,
  attn_k,
  attn_v,  // also the fused tensors that hold the values
  attn_output,
  ffn_gate,
  ffn_up,
  ffn_down,
  other,
};

/// Which layers a rule is for. Layers are counted among those that have such a tensor.
enum class LayerSet : uint8_t {
  all,
  first_two,
  first_four,
  first_eighth,
  first_sixteenth,
  spread,  // the first and the last eighth, and every third between
};

/// What else a rule asks for.
enum class MixCondition : uint8_t {
  always,
  shared_values,  // at least four query heads share keys and values
  eighty_layers,  // and heads share keys and values: the 70B models
  eight_experts,  // of which a token uses some
  imatrix,        // an importance matrix is there
  no_imatrix,     // none is there
};

struct MixRule {
  TensorPart part;
  LayerSet layers;
  MixCondition condition;
  DType type;
};

/// One row of the table of mixes.
struct QuantMix {
  const char* name;    // "Q4_K_M"
  DType base;          // of every tensor that no rule names
  uint32_t file_type;  // general.file_type
  /// The first rule that fits decides.
  std::span<const MixRule> rules;
  /// Measured on SmolLM2-135M (docs/decisions/0022): bits per weight of all tensors, mean KL
  /// divergence to the F16 file, in nats; negative where nothing was measured.
  double bits_per_weight;
  double loss;
  /// Only nibble reads such files.
  bool only_nibble = false;
  /// Of the matrices of all experts; empty: as the rules say.
  std::optional<DType> of_experts = {};
};

/// In the order of what they lose: the most first.
std::span<const QuantMix> all_mixes() noexcept;
/// By name in any case, or by the name that the ecosystem has for the medium one ("Q4_K": Q4_K_M);
/// nullptr if there is none.
const QuantMix* find_mix(std::string_view name) noexcept;
/// By the number of general.file_type; nullptr if there is none.
const QuantMix* find_mix(uint32_t file_type) noexcept;

/// What the rules ask about a model.
struct MixModel {
  int64_t n_layer = 0;
  int64_t heads_per_value = 1;  // query heads that share a key/value head
  int64_t n_expert = 0;
  bool tied = true;  // there is no output head besides the embedding
  bool has_imatrix = false;
};

/// What a tensor is, from its name as GGUF files have it.
TensorPart part_of(std::string_view name, const MixModel& model) noexcept;

/// Whether a tensor holds the matrices of all experts of a layer.
bool holds_experts(std::string_view name) noexcept;

/// The mix's type for a tensor without experts, or where of_experts is empty: number `layer` of
/// `n_layers` that have such a tensor.
DType type_in_mix(const QuantMix& mix, const MixModel& model, TensorPart part, int64_t layer,
                  int64_t n_layers) noexcept;

/// The type that stands in where rows do not divide into blocks of `type`; F16 if none fits.
DType fallback_type(DType type, int64_t cols) noexcept;

/// Whether a tensor is one that may be quantized: a matrix of weights, and none that is small and
/// decides much (norms, routers, position embeddings, convolutions).
bool may_quantize(std::string_view name, int n_dims) noexcept;

}  // namespace nibble
