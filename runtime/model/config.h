#pragma once
// A model as data: what the one forward pass needs to know about an architecture. An arch file
// (runtime/model/arch/) fills it from the file's metadata; nothing else asks which arch it is.
#include <cstdint>
#include <string>
#include <vector>

#include "quant/kernels/kernels.h"

namespace nibble {

/// How rotary positions reach beyond the context of the training.
enum class RopeScaling : uint8_t {
  linear,    // freq_scale alone
  yarn,      // short waves kept, long ones scaled, a ramp between (Peng et al., arXiv 2309.00071)
  longrope,  // only the file's short or long factors, by the length of the session
  dynamic,   // a larger base, by the length of the session ("dynamic NTK")
};

/// Rotary positions (Su et al. 2021, arXiv 2104.09864). Angle of pair i at position p:
/// p * freq_scale * freq_base^(-2i/dim) / factors[i]; factors are the file's, where it has some.
struct RopeSpec {
  RopeKind kind = RopeKind::adjacent;
  int64_t dim = 0;  // rotated elements of a head, even
  double freq_base = 10000.0;
  double freq_scale = 1.0;    // linear scaling: 1 / factor
  bool freq_factors = false;  // divide by the file's rope_freqs.weight (Llama 3.1)
  RopeScaling scaling = RopeScaling::linear;
  double magnitude = 1.0;   // multiplies sine and cosine
  int64_t n_ctx_first = 0;  // context of the training before it was extended
  double beta_fast = 32.0;  // yarn: turns over n_ctx_first of the waves between which the ramp lies
  double beta_slow = 1.0;
  bool whole_ramp = true;  // yarn: the ramp begins and ends at whole pairs
};

enum class NormKind : uint8_t {
  rms,
  layer,  // the mean is subtracted; with a bias where there is one
};

/// Where a block (attention, feed-forward) has its norms; x is the residual stream.
enum class NormPlacement : uint8_t {
  before,  // x += block(norm(x))
  after,   // x += norm(block(x))
  both,    // x += norm(block(norm(x)))
  sum,     // x = norm(x + block(x))
};

/// What norms of queries and keys are taken over, where the file has them.
enum class QkNorm : uint8_t {
  head,       // each head; one weight for all
  each_head,  // each head, with a weight of its own
  row,        // all heads together
};

enum class FeedForward : uint8_t {
  gated,        // down(act(gate(x)) * up(x))
  gated_fused,  // the same; gate and up are the halves of one matrix, "up"
  plain,        // down(act(up(x)))
};

/// How the weights of the experts of a token follow from the router's results.
enum class ExpertScore : uint8_t {
  softmax,  // over all experts
  sigmoid,
};

/// A mixture of experts: each token goes through the n_used of n feed-forwards that the router
/// gives most, and through one that all share, if there is one.
struct ExpertSpec {
  int64_t n = 0;  // 0: a layer without
  int64_t n_used = 0;
  int64_t n_ff = 0;         // of each
  int64_t n_ff_shared = 0;  // of what all share; 0: nothing
  ExpertScore score = ExpertScore::softmax;
  bool normalized = true;  // weights of the chosen sum up to 1
  float scale = 1.0f;      // multiplies the weights
  /// Experts are chosen among those of the best groups only: by a group's best expert with
  /// softmax, by the sum of its two best with sigmoid.
  int64_t n_groups = 1;
  int64_t n_groups_used = 1;
};

/// Latent attention: keys and values of all heads are made of one vector a position, the latent,
/// and only it is kept. Such a layer has one key/value head, of rank + n_rotated and rank elements.
struct LatentSpec {
  int64_t rank = 0;     // of the latent; 0: a layer without
  int64_t rank_q = 0;   // of that of the queries; 0: they are one product
  int64_t n_plain = 0;  // elements of a head's query that positions do not turn, and those they do
  int64_t n_rotated = 0;
  int64_t dim_v = 0;  // of a head's value
};

/// One layer: attention and feed-forward, with norms and residuals. What is optional beyond this
/// (biases, query/key norms, fused tensors) is there when its tensor is.
struct LayerSpec {
  int64_t n_head = 0;
  int64_t n_head_kv = 0;
  int64_t head_dim_k = 0;
  int64_t head_dim_v = 0;
  int64_t n_ff = 0;
  int64_t window = 0;  // positions seen, this one included; 0: all
  int rope = -1;       // index into ModelConfig::ropes; -1: no rotation
  float attn_scale = 1.0f;
  float attn_softcap = 0.0f;    // 0: none
  float max_alibi_bias = 0.0f;  // 0: no ALiBi
  float clamp_qkv = 0.0f;       // > 0: queries, keys and values are cut to [-it, it]
  QkNorm qk_norm = QkNorm::head;
  NormPlacement norms = NormPlacement::before;
  bool parallel = false;  // both blocks read x as it is before the layer
  FeedForward feed_forward = FeedForward::gated;
  Activation activation = Activation::silu;
  ExpertSpec experts;
  LatentSpec latent;
};

struct ModelConfig {
  std::string arch;
  int64_t n_vocab = 0;
  int64_t n_ctx_train = 0;
  int64_t n_embd = 0;
  NormKind norm = NormKind::rms;
  float norm_eps = 1e-5f;
  int64_t n_token_types = 0;    // of an encoder: first text, second ...; the first is added
  bool causal = true;           // false: an encoder, where all positions see all
  bool bounded = false;         // positions end at n_ctx_train: they are a table
  bool sinusoidal = false;      // sines of the position, then cosines, are added to the embedding
  int64_t first_position = 0;   // what these count from
  float embed_scale = 1.0f;     // multiplies the token embedding
  float residual_scale = 1.0f;  // multiplies what a block adds to x
  float logit_scale = 1.0f;
  float logit_softcap = 0.0f;  // 0: none
  std::vector<RopeSpec> ropes;
  std::vector<LayerSpec> layers;
};

}  // namespace nibble
