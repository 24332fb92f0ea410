// Attention with keys and values of their own: fused or single products, biases, norms of queries
// and keys, rotation.
#include <algorithm>

#include "runtime/model/blocks/attend.h"
#include "runtime/model/blocks/blocks.h"

namespace nibble {
namespace {

class Attention {
 public:
  Attention(Worker& worker, size_t layer) noexcept
      : worker_(worker),
        kernels_(worker.kernels),
        ws_(worker.ws),
        spec_(worker.spec(layer)),
        w_(worker.weights(layer)),
        n_rows_(worker.n_rows),
        group_(spec_.n_head / spec_.n_head_kv),
        attend_(worker, layer) {}

  void run() noexcept {
    project();
    worker_.team.barrier();
    place();
    worker_.team.barrier();
    attend_.run();
    worker_.team.barrier();
    output();
    worker_.team.barrier();
    if (spec_.parallel) return;
    worker_.add_branch(spec_, w_, Role::attn_output_bias, Role::attn_post_norm,
                       Role::attn_post_norm_bias);
  }

 private:
  // ---- phases ----

  void project() noexcept {
    const Matrix* qkv[] = {&w_[Role::attn_q], &w_[Role::attn_k], &w_[Role::attn_v]};
    const Matrix* fused[] = {&w_[Role::attn_qkv]};
    const bool is_fused = fused[0]->data != nullptr;
    const std::span<const Matrix* const> users =
        is_fused ? std::span<const Matrix* const>(fused) : std::span<const Matrix* const>(qkv);
    norm_rows(users);
    worker_.inputs_are_done(n_rows_, users);
    const int64_t widths[] = {q_width(), k_width(), v_width()};
    float* outs[] = {ws_.q.data(), ws_.k.data(), ws_.v.data()};
    Product products[3];
    int64_t first = 0;
    for (size_t i = 0; i < 3; ++i) {
      products[i] = {
          is_fused ? fused[0] : qkv[i], outs[i], is_fused ? first : 0, widths[i], n_rows_, nullptr};
      first += widths[i];
    }
    worker_.matmul(products);
  }

  /// x -> norm -> matmul input, for this thread's rows.
  void norm_rows(std::span<const Matrix* const> users) noexcept {
    const int64_t n = worker_.config.n_embd;
    const bool has_norm =
        spec_.norms == NormPlacement::before || spec_.norms == NormPlacement::both;
    const IndexRange mine = worker_.rows_of(n_rows_);
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      const float* input = worker_.x_row(t);
      if (has_norm) {
        worker_.enter_norm(w_, false, input, worker_.scratch_row());
        input = worker_.scratch_row();
      }
      worker_.prepare(t, n_rows_, input, n, users);
    }
  }

  /// Biases, query/key norms, rotation; keys and values into the sequence.
  void place() noexcept {
    const bool whole_rows = spec_.qk_norm == QkNorm::row && w_.vector(Role::attn_q_norm) != nullptr;
    if (worker_.each_alone && !whole_rows) {
      place_heads(0, worker_.share(spec_.n_head_kv));
      return;
    }
    const IndexRange mine = worker_.share(n_rows_);
    for (int64_t t = mine.begin; t < mine.end; ++t) place_heads(t, {0, spec_.n_head_kv});
  }

  /// Key/value heads of row t, and the query heads of each.
  void place_heads(int64_t t, IndexRange heads) noexcept {
    const int64_t n = heads.end - heads.begin;
    if (n == 0) return;
    const int64_t dim_k = spec_.head_dim_k, dim_v = spec_.head_dim_v;
    const int64_t first_q = heads.begin * group_ * dim_k;
    const int64_t first_k = heads.begin * dim_k;
    const int64_t first_v = heads.begin * dim_v;
    // q [n * group, head_dim_k], k [n, head_dim_k], v [n, head_dim_v]
    float* q = ws_.q.data() + t * q_width() + first_q;
    float* k = ws_.k.data() + t * k_width() + first_k;
    float* v = ws_.v.data() + t * v_width() + first_v;
    worker_.add_bias(q, bias(Role::attn_q_bias, 0), first_q, n * group_ * dim_k);
    worker_.add_bias(k, bias(Role::attn_k_bias, q_width()), first_k, n * dim_k);
    worker_.add_bias(v, bias(Role::attn_v_bias, q_width() + k_width()), first_v, n * dim_v);
    if (spec_.clamp_qkv > 0) {
      clamp(q, n * group_ * dim_k);
      clamp(k, n * dim_k);
      clamp(v, n * dim_v);
    }
    norm_heads(q, Role::attn_q_norm, first_q, n * group_);
    norm_heads(k, Role::attn_k_norm, first_k, n);
    if (spec_.rope >= 0) {
      const size_t r = static_cast<size_t>(spec_.rope);
      const RopeSpec& rope = worker_.config.ropes[r];
      const float* cos_sin = ws_.cos_sin[r].data() + worker_.slot(t) * rope.dim;
      kernels_.rope(q, n * group_, dim_k, rope.dim, cos_sin, rope.kind);
      kernels_.rope(k, n, dim_k, rope.dim, cos_sin, rope.kind);
    }
    attend_.match_keys(t, q, n * group_);
    attend_.store(t, heads, k, v);
  }

  /// The bias of a part of the fused bias, or of the part's own; nullptr: none.
  const float* bias(Role own, int64_t first) const noexcept {
    const float* fused = w_.vector(Role::attn_qkv_bias);
    return fused != nullptr ? fused + first : w_.vector(own);
  }

  void clamp(float* x, int64_t n) const noexcept {
    const float most = spec_.clamp_qkv;
    for (int64_t i = 0; i < n; ++i) x[i] = std::clamp(x[i], -most, most);
  }

  /// x [heads, head_dim_k], of which the first is at `first` of a row.
  void norm_heads(float* x, Role role, int64_t first, int64_t heads) noexcept {
    const float* weight = w_.vector(role);
    if (weight == nullptr) return;
    if (spec_.qk_norm != QkNorm::head) weight += first;
    const int64_t dim = spec_.qk_norm == QkNorm::row ? heads * spec_.head_dim_k : spec_.head_dim_k;
    const int64_t step = spec_.qk_norm == QkNorm::each_head ? dim : 0;
    const float eps = worker_.config.norm_eps;
    for (float* at = x; at < x + heads * spec_.head_dim_k; at += dim, weight += step) {
      if (worker_.config.norm == NormKind::rms) {
        kernels_.rms_norm(at, weight, dim, eps, at);
      } else {
        kernels_.layer_norm(at, weight, nullptr, dim, eps, at);
      }
    }
  }

  void output() noexcept {
    const Matrix* wo[] = {&w_[Role::attn_output]};
    const int64_t width = spec_.n_head * spec_.head_dim_v;
    const IndexRange mine = worker_.rows_of(n_rows_);
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      const float* attended = ws_.attn.data() + t * width;  // [n_head, head_dim_v]
      if (attend_.divided()) {
        attend_.merge(t, {0, attend_.head_units()}, worker_.scratch_row());
        attended = worker_.scratch_row();
      }
      worker_.prepare(t, n_rows_, attended, width, wo);
    }
    worker_.inputs_are_done(n_rows_, wo);
    const Product out[] = {Product::whole(wo[0], ws_.branch.data(), n_rows_)};
    worker_.matmul(out);
  }

  int64_t q_width() const noexcept { return spec_.n_head * spec_.head_dim_k; }
  int64_t k_width() const noexcept { return spec_.n_head_kv * spec_.head_dim_k; }
  int64_t v_width() const noexcept { return spec_.n_head_kv * spec_.head_dim_v; }

  Worker& worker_;
  const KernelTable& kernels_;
  Workspace& ws_;
  const LayerSpec& spec_;
  const LayerWeights& w_;
  const int64_t n_rows_;
  const int64_t group_;
  Attend attend_;
};

}  // namespace

void attention(Worker& worker, size_t layer) noexcept {
  Attention(worker, layer).run();
}

}  // namespace nibble
