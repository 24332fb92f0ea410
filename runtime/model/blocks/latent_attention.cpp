// Latent attention: what is kept of a position is one vector that all heads share, the latent of
// keys and values, and one rotated key. The matrices that would widen it to keys and values of each
// head act on the queries before and on the results after, so nothing is widened: queries meet the
// latents themselves, as grouped heads with one key/value head (DeepSeek-V2, arXiv 2405.04434).
#include <algorithm>

#include "runtime/model/blocks/attend.h"
#include "runtime/model/blocks/blocks.h"

namespace nibble {
namespace {

class LatentAttention {
 public:
  LatentAttention(Worker& worker, size_t layer) noexcept
      : worker_(worker),
        kernels_(worker.kernels),
        ws_(worker.ws),
        at_(worker.ws.latents),
        spec_(worker.spec(layer)),
        latent_(spec_.latent),
        w_(worker.weights(layer)),
        n_rows_(worker.n_rows),
        n_head_(spec_.n_head),
        attend_(worker, layer) {}

  void run() noexcept {
    enter();
    worker_.team.barrier();
    if (latent_.rank_q > 0) {
      widen_queries();
      worker_.team.barrier();
    }
    prepare_plain_queries();
    worker_.team.barrier();
    multiply(w_[Role::attn_k_b]);
    worker_.team.barrier();
    place();
    worker_.team.barrier();
    attend_.run();
    worker_.team.barrier();
    prepare_latents();
    worker_.team.barrier();
    multiply(w_[Role::attn_v_b]);
    worker_.team.barrier();
    output();
    worker_.team.barrier();
    if (spec_.parallel) return;
    worker_.add_branch(spec_, w_, Role::attn_output_bias, Role::attn_post_norm,
                       Role::attn_post_norm_bias);
  }

 private:
  /// Norm; queries, or their latents; the latents of keys and values.
  void enter() noexcept {
    const Matrix& q = w_[latent_.rank_q > 0 ? Role::attn_q_a : Role::attn_q];
    const Matrix& kv = w_[Role::attn_kv_a];
    const Matrix* users[] = {&q, &kv};
    const IndexRange mine = worker_.rows_of(n_rows_);
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      worker_.enter_norm(w_, false, worker_.x_row(t), worker_.scratch_row());
      worker_.prepare(t, n_rows_, worker_.scratch_row(), worker_.config.n_embd, users);
    }
    worker_.inputs_are_done(n_rows_, users);
    float* queries = latent_.rank_q > 0 ? at_.q_a.data() : at_.q.data();
    const Product products[] = {Product::whole(&q, queries, n_rows_),
                                Product::whole(&kv, ws_.k.data(), n_rows_)};
    worker_.matmul(products);
  }

  void widen_queries() noexcept {
    const Matrix* users[] = {&w_[Role::attn_q_b]};
    const IndexRange mine = worker_.rows_of(n_rows_);
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      const float* from = at_.q_a.data() + t * latent_.rank_q;
      kernels_.rms_norm(from, w_.vector(Role::attn_q_a_norm), latent_.rank_q,
                        worker_.config.norm_eps, worker_.scratch_row());
      worker_.prepare(t, n_rows_, worker_.scratch_row(), latent_.rank_q, users);
    }
    worker_.inputs_are_done(n_rows_, users);
    const Product product[] = {Product::whole(users[0], at_.q.data(), n_rows_)};
    worker_.matmul(product);
  }

  // ---- products of single heads ----

  /// What the unrotated part of each head's queries is against the latents: its products.
  void prepare_plain_queries() noexcept {
    const Matrix& w = w_[Role::attn_k_b];
    plan(w, latent_.rank);
    const IndexRange mine = worker_.share(n_rows_ * n_head_);
    for (int64_t unit = mine.begin; unit < mine.end; ++unit) {
      const int64_t t = unit / n_head_, h = unit % n_head_;
      prepare(w, t, h, raw_query(t, h), latent_.n_plain);
    }
  }

  /// What each head took of the latents, to become its values.
  void prepare_latents() noexcept {
    const Matrix& w = w_[Role::attn_v_b];
    plan(w, latent_.dim_v);
    const int64_t rank = latent_.rank, n_units = attend_.head_units();
    const IndexRange mine = worker_.share(n_rows_ * n_units);
    for (int64_t i = mine.begin; i < mine.end; ++i) {
      const int64_t t = i / n_units, unit = i % n_units;
      float* attended = ws_.attn.data() + t * n_head_ * rank;  // [n_head, rank]
      if (attend_.divided()) attend_.merge(t, {unit, unit + 1}, attended);
      const Attend::Heads heads = attend_.heads_of(unit);
      for (int64_t h = heads.first; h < heads.first + heads.count; ++h) {
        prepare(w, t, h, attended + h * rank, rank);
      }
    }
  }

  /// Products of each head's rows of w, `rows` of them, into LatentRows::heads.
  void plan(const Matrix& w, int64_t rows) noexcept {
    if (worker_.thread != 0) return;
    for (int64_t h = 0; h < n_head_; ++h) {
      at_.products[static_cast<size_t>(h)] = {
          &w, at_.heads.data() + h * n_rows_ * rows, h * rows, rows, n_rows_, input(w, h)};
    }
  }
  void multiply(const Matrix& w) noexcept {
    for (int64_t h = 0; h < n_head_; ++h) worker_.show_part(w, h, h * n_rows_, n_rows_);
    worker_.matmul(std::span<const Product>(at_.products.data(), static_cast<size_t>(n_head_)));
  }
  void prepare(const Matrix& w, int64_t t, int64_t h, const float* x, int64_t n) noexcept {
    ws_.observe_slot(h * n_rows_ + t, x, n);
    kernels_.prepare_act(kernels_.act_layout(w.type), x, n, input(w, h), t, n_rows_);
  }
  std::byte* input(const Matrix& w, int64_t h) const noexcept {
    const ActLayout layout = kernels_.act_layout(w.type);
    const int64_t cols = layout == ActLayout::q8 ? (w.cols + 31) / 32 * 32 : w.cols;
    return at_.inputs[static_cast<size_t>(layout)].data() +
           h * kernels_.act_bytes(layout, cols, n_rows_);
  }

  // ---- queries and keys ----

  /// Norm of the latents, rotation; latents and rotated keys into the sequence.
  void place() noexcept {
    if (worker_.each_alone) {
      place_queries(0, worker_.share(n_head_));
      if (worker_.thread == 0) place_latent(0);
      return;
    }
    const IndexRange mine = worker_.share(n_rows_);
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      place_queries(t, {0, n_head_});
      place_latent(t);
    }
  }

  /// The latent is key and value at once; a value is not rotated.
  void place_latent(int64_t t) noexcept {
    float* k = ws_.k.data() + t * spec_.head_dim_k;  // [rank + n_rotated]
    float* v = ws_.v.data() + t * latent_.rank;      // [rank]
    kernels_.rms_norm(k, w_.vector(Role::attn_kv_a_norm), latent_.rank, worker_.config.norm_eps, k);
    std::copy(k, k + latent_.rank, v);
    rotate(t, k, 1);
    attend_.store(t, {0, 1}, k, v);
  }

  /// Of some heads: the product with the latents' matrix, then the rotated part.
  void place_queries(int64_t t, IndexRange heads) noexcept {
    const int64_t rank = latent_.rank, dim = spec_.head_dim_k;
    float* q = ws_.q.data() + (t * n_head_ + heads.begin) * dim;  // [heads, rank + n_rotated]
    for (int64_t h = heads.begin; h < heads.end; ++h) {
      float* to = q + (h - heads.begin) * dim;
      const float* absorbed = at_.heads.data() + (h * n_rows_ + t) * rank;
      const float* rotated = raw_query(t, h) + latent_.n_plain;
      std::copy(absorbed, absorbed + rank, to);
      std::copy(rotated, rotated + latent_.n_rotated, to + rank);
    }
    const int64_t n = heads.end - heads.begin;
    rotate(t, q, n);
    attend_.match_keys(t, q, n);
  }

  /// x [heads, rank + n_rotated]: positions turn what is behind the latent.
  void rotate(int64_t t, float* x, int64_t heads) noexcept {
    const auto r = static_cast<size_t>(spec_.rope);
    const RopeSpec& rope = worker_.config.ropes[r];
    const float* cos_sin = ws_.cos_sin[r].data() + worker_.slot(t) * rope.dim;
    kernels_.rope(x + latent_.rank, heads, spec_.head_dim_k, rope.dim, cos_sin, rope.kind);
  }

  void output() noexcept {
    const Matrix* wo[] = {&w_[Role::attn_output]};
    const int64_t dim = latent_.dim_v;
    const IndexRange mine = worker_.rows_of(n_rows_);
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      float* row = worker_.scratch_row();  // [n_head, dim_v]
      for (int64_t h = 0; h < n_head_; ++h) {
        const float* from = at_.heads.data() + (h * n_rows_ + t) * dim;
        std::copy(from, from + dim, row + h * dim);
      }
      worker_.prepare(t, n_rows_, row, n_head_ * dim, wo);
    }
    worker_.inputs_are_done(n_rows_, wo);
    const Product out[] = {Product::whole(wo[0], ws_.branch.data(), n_rows_)};
    worker_.matmul(out);
  }

  const float* raw_query(int64_t t, int64_t h) const noexcept {
    return at_.q.data() + (t * n_head_ + h) * (latent_.n_plain + latent_.n_rotated);
  }

  Worker& worker_;
  const KernelTable& kernels_;
  Workspace& ws_;
  LatentRows& at_;
  const LayerSpec& spec_;
  const LatentSpec& latent_;
  const LayerWeights& w_;
  const int64_t n_rows_;
  const int64_t n_head_;
  Attend attend_;
};

}  // namespace

void latent_attention(Worker& worker, size_t layer) noexcept {
  LatentAttention(worker, layer).run();
}

}  // namespace nibble
