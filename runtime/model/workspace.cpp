#include "runtime/model/workspace.h"

#include <algorithm>
#include <cmath>

namespace nibble {

namespace {

int64_t align16(int64_t floats) {
  return (floats + 15) / 16 * 16;
}

/// Radians a position for each rotated pair; see RopeSpec.
std::vector<double> rope_freqs(const RopeSpec& rope, const float* factors) {
  std::vector<double> freqs(static_cast<size_t>(rope.dim / 2));
  for (size_t i = 0; i < freqs.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(rope.dim);
    freqs[i] = rope.freq_scale * std::pow(rope.freq_base, exponent);
    if (rope.freq_factors && factors != nullptr) freqs[i] /= static_cast<double>(factors[i]);
  }
  return freqs;
}

/// Bytes of the prepared inputs of n_rows rows.
struct ActBytes {
  int64_t q8;
  int64_t f32;
};

ActBytes act_bytes(const KernelTable& kernels, const Widths& w, int64_t n_rows) {
  return {kernels.act_bytes(ActLayout::q8, (w.input + 31) / 32 * 32, n_rows),
          kernels.act_bytes(ActLayout::f32, w.input, n_rows)};
}

int64_t floats_of_row(const Model& model, const Widths& w) {
  int64_t floats = 2 * w.embd + w.q + w.kv_k + w.kv_v + w.attn + 2 * w.ff;
  for (const RopeSpec& rope : model.config.ropes) floats += rope.dim;
  return floats;
}

/// Attention scratch of one thread.
int64_t attend_floats(const Model& model, const KernelTable& kernels) {
  int64_t most = 0;
  for (const LayerSpec& s : model.config.layers) {
    const int64_t group = s.n_head / s.n_head_kv;
    most =
        std::max(most, kernels.attend_scratch(attend_rows(group), std::min(group, kAttendQueries),
                                              s.head_dim_k, s.head_dim_v));
  }
  return align16(most);
}

int64_t splits_of(int64_t n_positions) {
  return (n_positions + kSplitLen - 1) / kSplitLen;
}

/// Partial results of attention, for all rows that can be divided.
int64_t split_floats(const Model& model, int64_t n_positions) {
  if (n_positions <= kSplitLen) return 0;
  int64_t most = 0;
  for (const LayerSpec& s : model.config.layers) {
    most = std::max(most, s.n_head * (s.head_dim_v + 2));
  }
  return kSplitRows * splits_of(n_positions) * most;
}

}  // namespace

Widths Widths::of(const ModelConfig& config) {
  Widths w;
  w.embd = config.n_embd;
  for (const LayerSpec& s : config.layers) {
    w.q = std::max(w.q, s.n_head * s.head_dim_k);
    w.kv_k = std::max(w.kv_k, s.n_head_kv * s.head_dim_k);
    w.kv_v = std::max(w.kv_v, s.n_head_kv * s.head_dim_v);
    w.attn = std::max(w.attn, s.n_head * s.head_dim_v);
    w.ff = std::max(w.ff, s.n_ff);
  }
  w.input = std::max({w.embd, w.attn, w.ff});
  return w;
}

int64_t Workspace::bytes(const Model& model, const KernelTable& kernels, int n_threads,
                         int64_t n_rows, int64_t n_logits) {
  const Widths w = Widths::of(model.config);
  const ActBytes act = act_bytes(kernels, w, n_rows);
  return act.q8 + act.f32 +
         static_cast<int64_t>(sizeof(float)) *
             (n_rows * floats_of_row(model, w) + n_logits * model.config.n_vocab +
              n_threads * (align16(w.input) + attend_floats(model, kernels)));
}

int64_t Workspace::split_bytes(const Model& model, int64_t n_positions) {
  return static_cast<int64_t>(sizeof(float)) * split_floats(model, n_positions);
}

void Workspace::reserve_splits(const Model& model, int64_t n_rows, int64_t n_positions) {
  n_splits = 0;
  if (n_rows > kSplitRows || n_positions <= kSplitLen) return;
  partials.reserve(split_floats(model, n_positions));
  n_splits = splits_of(n_positions);
}

void Workspace::reserve(const Model& model, const KernelTable& kernels, int n_threads,
                        int64_t n_rows, int64_t n_logits, int64_t n_hidden) {
  const ModelConfig& config = model.config;
  widths = Widths::of(config);
  const ActBytes act = act_bytes(kernels, widths, n_rows);
  const ActBytes act_row = act_bytes(kernels, widths, 1);
  act_q8_row = act_row.q8;
  act_f32_row = act_row.f32;
  const int64_t slots = std::max<int64_t>(n_rows, n_threads);
  x.reserve(slots * widths.embd);
  branch.reserve(n_rows * widths.embd);
  q.reserve(n_rows * widths.q);
  k.reserve(n_rows * widths.kv_k);
  v.reserve(n_rows * widths.kv_v);
  attn.reserve(n_rows * widths.attn);
  gate.reserve(n_rows * widths.ff);
  up.reserve(n_rows * widths.ff);
  act_q8.reserve(std::max(act.q8, n_threads * act_q8_row));
  act_f32.reserve(std::max(act.f32, n_threads * act_f32_row));
  logits.reserve(n_logits * config.n_vocab);
  hidden.reserve(n_hidden * widths.embd);
  row_stride = align16(widths.input);
  row.reserve(n_threads * row_stride);
  if (observer != nullptr) observed.reserve(n_rows * row_stride);
  attend_stride = attend_floats(model, kernels);
  attend.reserve(n_threads * attend_stride);
  cos_sin.resize(config.ropes.size());
  const float* factors = model.weights.model.vector(Role::rope_freqs);
  for (size_t i = 0; i < config.ropes.size(); ++i) {
    cos_sin[i].reserve(slots * config.ropes[i].dim);
    if (freqs.size() <= i) freqs.push_back(rope_freqs(config.ropes[i], factors));
  }
  logit_rows.reserve(static_cast<size_t>(std::max(n_rows, n_logits)));
  if (model.weights.model[Role::output].form == PackForm::ordered) {
    bounds.reserve((config.n_vocab + kGroupRows - 1) / kGroupRows * 2);
  }
  const size_t phases = config.layers.size() * kPhasesPerLayer + kHeadPhases;
  if (counters.size() != phases) counters = std::vector<TileCounter>(phases);
}

}  // namespace nibble
