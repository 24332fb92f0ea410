// The dense feed-forward: gated, gated with one matrix for gate and up, or plain.
#include <algorithm>

#include "runtime/model/blocks/blocks.h"

namespace nibble {

void enter_feed_forward(Worker& worker, size_t layer, std::span<const Matrix* const> users,
                        float* normed) noexcept {
  const LayerSpec& spec = worker.spec(layer);
  const LayerWeights& w = worker.weights(layer);
  const int64_t n = worker.config.n_embd;
  const bool has_norm = spec.norms == NormPlacement::before || spec.norms == NormPlacement::both;
  const IndexRange mine = worker.rows_of(worker.n_rows);
  for (int64_t t = mine.begin; t < mine.end; ++t) {
    const float* input = worker.x_row(t);
    if (has_norm) {
      float* out = normed != nullptr ? normed + worker.slot(t) * n : worker.scratch_row();
      worker.enter_norm(w, true, input, out);
      input = out;
    } else if (normed != nullptr) {
      std::copy(input, input + n, normed + worker.slot(t) * n);
    }
    worker.prepare(t, worker.n_rows, input, n, users);
  }
  if (spec.parallel) {
    worker.add_branch(spec, w, Role::attn_output_bias, Role::attn_post_norm,
                      Role::attn_post_norm_bias);
  }
  worker.inputs_are_done(worker.n_rows, users);
}

namespace {

/// One row's act(gate) * up, or act(up) -> out [n_ff].
void activate_row(Worker& worker, const LayerSpec& spec, const LayerWeights& w, int64_t t,
                  float* out) noexcept {
  const KernelTable& kernels = worker.kernels;
  const int64_t n = spec.n_ff;
  const float* gate = worker.ws.gate.data() + t * n;
  const float* up = worker.ws.up.data() + t * n;
  const float* gate_bias = w.vector(Role::ffn_gate_bias);
  const float* up_bias = w.vector(Role::ffn_up_bias);
  // Others read these rows too where each thread works alone: what is changed is a copy.
  float* changed = worker.scratch_row() + n;
  if (up_bias != nullptr) {
    std::copy(up, up + n, changed);
    kernels.add(changed, up_bias, n);
    up = changed;
  }
  if (spec.feed_forward == FeedForward::plain) {
    kernels.activate(spec.activation, up, n, out);
    return;
  }
  if (gate_bias != nullptr) {
    std::copy(gate, gate + n, out);
    kernels.add(out, gate_bias, n);
    gate = out;
  }
  kernels.glu(spec.activation, gate, up, n, out);
}

}  // namespace

void feed_forward(Worker& worker, size_t layer) noexcept {
  const LayerSpec& spec = worker.spec(layer);
  const LayerWeights& w = worker.weights(layer);
  Workspace& ws = worker.ws;
  const int64_t n = worker.n_rows;
  // The rows of add_branch and of the norm are the same thread's: no barrier between them.
  const Matrix* ups[] = {&w[Role::ffn_up], &w[Role::ffn_gate]};
  const bool two = spec.feed_forward == FeedForward::gated;
  const std::span<const Matrix* const> users(ups, two ? 2 : 1);
  enter_feed_forward(worker, layer, users, nullptr);
  const int64_t gate_rows = spec.feed_forward == FeedForward::gated_fused ? spec.n_ff : 0;
  const Product products[] = {
      two ? Product::whole(ups[1], ws.gate.data(), n)
          : Product{ups[0], ws.gate.data(), 0, gate_rows, n, nullptr},
      {ups[0], ws.up.data(), gate_rows, spec.n_ff, n, nullptr},
  };
  const bool plain = spec.feed_forward == FeedForward::plain;
  worker.matmul(std::span<const Product>(products).subspan(plain ? 1 : 0));
  worker.team.barrier();
  const Matrix* down[] = {&w[Role::ffn_down]};
  const IndexRange mine = worker.rows_of(n);
  float* activated = worker.scratch_row();  // [n_ff]
  for (int64_t t = mine.begin; t < mine.end; ++t) {
    activate_row(worker, spec, w, t, activated);
    worker.prepare(t, n, activated, spec.n_ff, down);
  }
  worker.inputs_are_done(n, down);
  const Product out[] = {Product::whole(down[0], ws.branch.data(), n)};
  worker.matmul(out);
  worker.team.barrier();
  worker.add_branch(spec, w, Role::ffn_down_bias, Role::ffn_post_norm, Role::ffn_post_norm_bias);
}

}  // namespace nibble
