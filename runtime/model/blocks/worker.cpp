#include "runtime/model/blocks/worker.h"

#include <algorithm>

namespace nibble {

bool Pass::cancelled() noexcept {
  if (skipped.load(std::memory_order_relaxed)) return true;
  if (cancel == nullptr || !cancel->requested()) return false;
  skipped.store(true, std::memory_order_relaxed);
  return true;
}

std::byte* Worker::act(ActLayout layout) const noexcept {
  const bool q8 = layout == ActLayout::q8;
  std::byte* all = q8 ? ws.act_q8.data() : ws.act_f32.data();
  return all + (each_alone ? thread * (q8 ? ws.act_q8_row : ws.act_f32_row) : 0);
}

void Worker::inputs_are_done(int64_t n, std::span<const Matrix* const> users) noexcept {
  rows_are_done();
  if (ws.observer == nullptr) return;
  const IndexRange mine = rows_of(users[0]->cols);
  for (const Matrix* w : users) ws.observe(*w, n, mine.begin, mine.end);
}

void Worker::norm(const LayerWeights& w, Role weight, Role bias, const float* x, int64_t n,
                  float* out) noexcept {
  if (config.norm == NormKind::rms) {
    kernels.rms_norm(x, w.vector(weight), n, config.norm_eps, out);
  } else {
    kernels.layer_norm(x, w.vector(weight), w.vector(bias), n, config.norm_eps, out);
  }
}

void Worker::enter_norm(const LayerWeights& w, bool feed_forward, const float* x,
                        float* out) noexcept {
  const Role own = feed_forward ? Role::ffn_norm : Role::attn_norm;
  const bool take_ffn = feed_forward == (w.vector(own) != nullptr);
  if (take_ffn) {
    norm(w, Role::ffn_norm, Role::ffn_norm_bias, x, config.n_embd, out);
  } else {
    norm(w, Role::attn_norm, Role::attn_norm_bias, x, config.n_embd, out);
  }
}

void Worker::prepare(int64_t t, int64_t tokens, const float* x, int64_t n,
                     std::span<const Matrix* const> users) noexcept {
  if (ws.observer != nullptr) ws.observe_row(t, x, n);
  bool done[2] = {false, false};
  for (const Matrix* user : users) {
    const ActLayout layout = kernels.act_layout(user->type);
    bool& is_done = done[layout == ActLayout::q8 ? 1 : 0];
    if (!is_done) kernels.prepare_act(layout, x, n, act(layout), t, tokens);
    is_done = true;
  }
}

void Worker::add_branch(const LayerSpec& spec, const LayerWeights& w, Role bias, Role norm_weight,
                        Role norm_bias) noexcept {
  const IndexRange mine = rows_of(n_rows);
  for (int64_t t = mine.begin; t < mine.end; ++t) {
    add_row(spec, w, bias, norm_weight, norm_bias, t, ws.branch.data() + t * config.n_embd);
  }
}

void Worker::add_row(const LayerSpec& spec, const LayerWeights& w, Role bias, Role norm_weight,
                     Role norm_bias, int64_t t, const float* branch) noexcept {
  const int64_t n = config.n_embd;
  float* changed = scratch_row();  // the branch itself may be read by others
  if (const float* added = w.vector(bias); added != nullptr) {
    std::copy(branch, branch + n, changed);
    kernels.add(changed, added, n);
    branch = changed;
  }
  if (spec.norms == NormPlacement::after || spec.norms == NormPlacement::both) {
    norm(w, norm_weight, norm_bias, branch, n, changed);
    branch = changed;
  }
  if (config.residual_scale != 1.0f) {
    if (branch != changed) std::copy(branch, branch + n, changed);
    kernels.scale(changed, n, config.residual_scale);
    branch = changed;
  }
  kernels.add(x_row(t), branch, n);
  if (spec.norms == NormPlacement::sum) norm(w, norm_weight, norm_bias, x_row(t), n, x_row(t));
}

void Worker::matmul(std::span<const Product> products) noexcept {
  TileCounter& counter = next_counter();
  const Tiling tiling = Tiling::of(products, team.size());
  int64_t n_tiles = 0;
  for (const Product& p : products) n_tiles += tiling.tiles(p);
  size_t i = 0;  // tiles come in order: so do their products
  int64_t before = 0;
  for (int64_t tile = counter.next(); tile < n_tiles; tile = counter.next()) {
    if (cancelled()) return;
    while (tile - before >= tiling.tiles(products[i])) before += tiling.tiles(products[i++]);
    const Product& p = products[i];
    const int64_t panels = Tiling::panels(p);
    const int64_t at = tile - before;
    MatmulArgs args;
    args.w = *p.w;
    args.act = p.act != nullptr ? p.act : act(kernels.act_layout(p.w->type));
    args.tokens = p.tokens;
    args.row_begin = p.first + at / panels * tiling.rows;
    args.row_end = std::min(args.row_begin + tiling.rows, p.first + p.rows);
    args.token_begin = at % panels * kPanelTokens;
    args.token_end = args.token_begin + kPanelTokens;
    // Kernels count rows from the matrix's first one.
    const auto out = reinterpret_cast<uintptr_t>(p.out);
    args.out = reinterpret_cast<float*>(out - static_cast<uintptr_t>(p.first) * sizeof(float));
    args.out_stride = p.rows;
    kernels.matmul(args);
  }
}

}  // namespace nibble
