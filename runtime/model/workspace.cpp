#include "runtime/model/workspace.h"

#include <algorithm>
#include <cmath>

#include "runtime/model/rope_freqs.h"

namespace nibble {

namespace {

int64_t align16(int64_t floats) {
  return (floats + 15) / 16 * 16;
}

/// ALiBi: a geometric series over the heads, for a power of two of them; the others lie between.
std::vector<float> alibi_slopes(int64_t n_head, float max_bias) {
  int64_t power = 1;
  while (2 * power <= n_head) power *= 2;
  std::vector<float> slopes;
  for (int64_t h = 0; h < n_head; ++h) {
    const double at =
        h < power ? static_cast<double>(h + 1) : static_cast<double>(2 * (h - power) + 1) / 2;
    const double exponent = -static_cast<double>(max_bias) * at / static_cast<double>(power);
    slopes.push_back(static_cast<float>(std::exp2(exponent)));
  }
  return slopes;
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

/// Scratch of one thread for a row: a block's input, gate and up in one, or how experts and their
/// groups are rated, and by what.
int64_t scratch_row_floats(const Widths& w) {
  return align16(std::max({w.input, 2 * w.ff, 2 * w.expert_ff, 3 * w.experts}));
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

/// What the experts of n_rows rows take, counted or reserved.
template <class F>
void for_each_expert_buffer(const KernelTable& kernels, const Widths& w, int n_threads,
                            int64_t n_rows, ExpertSlots& e, F&& f) {
  const int64_t slots = n_rows * w.used;
  const int64_t own = std::max<int64_t>(n_rows, n_threads);
  const int64_t input = std::max(w.embd, w.expert_ff);
  f(e.scores, n_rows * w.experts);
  f(e.chosen, own * w.used);
  f(e.weights, own * w.used);
  f(e.slot_of, slots);
  f(e.row_of, slots);
  f(e.begin, w.experts + 1);
  f(e.normed, own * w.embd);
  f(e.gate, slots * w.expert_ff);
  f(e.up, slots * w.expert_ff);
  f(e.down, slots * w.embd);
  for (const ActLayout layout : {ActLayout::f32, ActLayout::q8}) {
    const auto i = static_cast<size_t>(layout);
    const int64_t cols = layout == ActLayout::q8 ? (input + 31) / 32 * 32 : input;
    f(e.inputs[i], own * w.used * kernels.act_bytes(layout, cols, 1));
    f(e.input_at[i], w.experts);
  }
}

/// The same of latent attention.
template <class F>
void for_each_latent_buffer(const KernelTable& kernels, const Widths& w, int64_t n_rows,
                            LatentRows& l, F&& f) {
  f(l.q_a, n_rows * w.rank_q);
  f(l.q, n_rows * w.latent_q);
  f(l.heads, n_rows * w.latent_heads * w.latent_head);
  for (const ActLayout layout : {ActLayout::f32, ActLayout::q8}) {
    const bool q8 = layout == ActLayout::q8;
    const int64_t cols = q8 ? (w.latent_head + 31) / 32 * 32 : w.latent_head;
    f(l.inputs[static_cast<size_t>(layout)],
      w.latent_heads * kernels.act_bytes(layout, cols, n_rows));
  }
}

int64_t latent_bytes(const KernelTable& kernels, const Widths& w, int64_t n_rows) {
  if (w.latent_heads == 0) return 0;
  LatentRows none;
  int64_t bytes = 0;
  for_each_latent_buffer(kernels, w, n_rows, none, [&](const auto& buffer, int64_t n) {
    bytes += n * static_cast<int64_t>(sizeof(*buffer.data()));
  });
  return bytes;
}

int64_t expert_bytes(const KernelTable& kernels, const Widths& w, int n_threads, int64_t n_rows) {
  if (w.experts == 0) return 0;
  ExpertSlots none;
  int64_t bytes = 0;
  for_each_expert_buffer(kernels, w, n_threads, n_rows, none, [&](const auto& buffer, int64_t n) {
    bytes += n * static_cast<int64_t>(sizeof(*buffer.data()));
  });
  return bytes;
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
    w.ff = std::max({w.ff, s.n_ff, s.experts.n_ff_shared});
    w.experts = std::max(w.experts, s.experts.n);
    w.used = std::max(w.used, s.experts.n_used);
    w.expert_ff = std::max(w.expert_ff, s.experts.n_ff);
    const LatentSpec& l = s.latent;
    if (l.rank == 0) continue;
    w.rank_q = std::max(w.rank_q, l.rank_q);
    w.latent_q = std::max(w.latent_q, s.n_head * (l.n_plain + l.n_rotated));
    w.latent_head = std::max({w.latent_head, l.rank, l.dim_v, l.n_plain});
    w.latent_heads = std::max(w.latent_heads, s.n_head);
  }
  w.input = std::max({w.embd, w.attn, w.ff, w.expert_ff, w.rank_q, w.latent_heads * w.latent_head});
  return w;
}

int64_t Workspace::bytes(const Model& model, const KernelTable& kernels, int n_threads,
                         int64_t n_rows, int64_t n_logits) {
  const Widths w = Widths::of(model.config);
  const ActBytes act = act_bytes(kernels, w, n_rows);
  return act.q8 + act.f32 + expert_bytes(kernels, w, n_threads, n_rows) +
         latent_bytes(kernels, w, n_rows) +
         static_cast<int64_t>(sizeof(float)) *
             (n_rows * floats_of_row(model, w) + n_logits * model.config.n_vocab +
              n_threads * (scratch_row_floats(w) + attend_floats(model, kernels)));
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
  row_stride = scratch_row_floats(widths);
  row.reserve(n_threads * row_stride);
  if (observer != nullptr) {
    const int64_t expert_slots = widths.used * std::max(widths.embd, widths.expert_ff);
    observed.reserve(n_rows * std::max({row_stride, widths.experts > 0 ? expert_slots : 0,
                                        widths.latent_heads * widths.latent_head}));
  }
  attend_stride = attend_floats(model, kernels);
  attend.reserve(n_threads * attend_stride);
  cos_sin.resize(config.ropes.size());
  for (size_t i = 0; i < config.ropes.size(); ++i) {
    cos_sin[i].reserve(slots * config.ropes[i].dim);
    if (freqs.size() > i) continue;
    freqs.push_back(
        rope_freqs(config.ropes[i], model.weights.model, n_ctx > 0 ? n_ctx : config.n_ctx_train));
  }
  if (slopes.empty()) {
    for (const LayerSpec& s : config.layers) {
      slopes.push_back(alibi_slopes(s.max_alibi_bias > 0 ? s.n_head : 0, s.max_alibi_bias));
    }
  }
  if (widths.experts > 0) {
    for_each_expert_buffer(kernels, widths, n_threads, n_rows, experts,
                           [](auto& buffer, int64_t n) { buffer.reserve(n); });
    const auto n = static_cast<size_t>(std::max(widths.experts, n_threads * widths.used));
    experts.gate_up.resize(2 * n);
    experts.downs.resize(n + static_cast<size_t>(n_threads));
  }
  if (widths.latent_heads > 0) {
    for_each_latent_buffer(kernels, widths, n_rows, latents,
                           [](auto& buffer, int64_t n) { buffer.reserve(n); });
    latents.products.resize(static_cast<size_t>(widths.latent_heads));
  }
  logit_rows.reserve(static_cast<size_t>(std::max(n_rows, n_logits)));
  if (!config.causal) seen.resize(static_cast<size_t>(n_rows));
  if (model.weights.model[Role::output].form == PackForm::ordered) {
    bounds.reserve((config.n_vocab + kGroupRows - 1) / kGroupRows * 2);
  }
  const size_t phases = config.layers.size() * kPhasesPerLayer + kHeadPhases;
  if (counters.size() != phases) counters = std::vector<TileCounter>(phases);
}

}  // namespace nibble
