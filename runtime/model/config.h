#pragma once
// A model as data: what the one forward pass needs to know about an architecture. An arch file
// (runtime/model/arch/) fills it from the file's metadata; nothing else asks which arch it is.
#include <cstdint>
#include <string>
#include <vector>

#include "quant/kernels/kernels.h"

namespace nibble {

/// Rotary positions (Su et al. 2021, arXiv 2104.09864). Angle of pair i at position p:
/// p * freq_scale * freq_base^(-2i/dim) / freq_factors[i].
struct RopeSpec {
  RopeKind kind = RopeKind::adjacent;
  int64_t dim = 0;  // rotated elements of a head, even
  double freq_base = 10000.0;
  double freq_scale = 1.0;    // linear scaling: 1 / factor
  bool freq_factors = false;  // divide by the file's rope_freqs.weight (Llama 3.1)
};

/// One layer: norm, attention, residual, norm, gated feed-forward, residual. Optional parts
/// (biases, query/key norms, norms after the block) are there when their tensors are.
struct LayerSpec {
  int64_t n_head = 0;
  int64_t n_head_kv = 0;
  int64_t head_dim_k = 0;
  int64_t head_dim_v = 0;
  int64_t n_ff = 0;
  int64_t window = 0;  // positions seen, this one included; 0: all
  int rope = -1;       // index into ModelConfig::ropes; -1: no rotation
  float attn_scale = 1.0f;
  float attn_softcap = 0.0f;  // 0: none
  Activation activation = Activation::silu;
};

struct ModelConfig {
  std::string arch;
  int64_t n_vocab = 0;
  int64_t n_ctx_train = 0;
  int64_t n_embd = 0;
  float norm_eps = 1e-5f;
  float embed_scale = 1.0f;  // multiplies the token embedding
  float logit_scale = 1.0f;
  float logit_softcap = 0.0f;  // 0: none
  std::vector<RopeSpec> ropes;
  std::vector<LayerSpec> layers;
};

}  // namespace nibble
