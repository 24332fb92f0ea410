#pragma once
// Queries meet the keys and values in the pages of their sequences: what all kinds of attention
// share, whatever made the queries. Units of (rows, heads) go to whoever is free; where a batch is
// small, each row's positions are divided as well, and partial results merged in order.
#include "runtime/model/blocks/worker.h"

namespace nibble {

class Attend {
 public:
  Attend(Worker& worker, size_t layer) noexcept
      : worker_(worker),
        kernels_(worker.kernels),
        ws_(worker.ws),
        layer_(layer),
        spec_(worker.spec(layer)),
        n_rows_(worker.n_rows),
        group_(spec_.n_head / spec_.n_head_kv) {}

  /// Query heads [first, first + count) of one key/value head: what one call attends for.
  struct Heads {
    int64_t kv;
    int64_t first;
    int64_t count;
  };

  /// Row t's key/value heads into its page, as the layout has them. k [heads, head_dim_k], changed;
  /// v [heads, head_dim_v]
  void store(int64_t t, IndexRange heads, float* k, const float* v) noexcept;
  /// Queries of row t as the pages have keys. q [n, head_dim_k]
  void match_keys(int64_t t, float* q, int64_t n) noexcept;

  /// One phase: Workspace::q -> Workspace::attn or, if divided(), partial results.
  void run() noexcept;

  bool divided() const noexcept {
    return ws_.n_splits > 0 && n_rows_ <= kSplitRows && kernels_.attend_partial != nullptr;
  }
  /// If divided: row t's results of some units of heads. out [n_head, head_dim_v], those only.
  void merge(int64_t t, IndexRange units, float* out) noexcept;

  /// Slices of heads that are attended for together.
  int64_t head_units() const noexcept { return spec_.n_head_kv * slices(); }
  Heads heads_of(int64_t unit) const noexcept;

 private:
  int64_t q_width() const noexcept { return spec_.n_head * spec_.head_dim_k; }
  int64_t heads_together() const noexcept;
  int64_t slices() const noexcept { return (group_ - 1) / heads_together() + 1; }
  int64_t attend_tiles() const noexcept { return (n_rows_ - 1) / attend_rows(group_) + 1; }
  AttendArgs attend_args(int64_t t, Heads heads) const noexcept;
  IndexRange splits(int64_t t) const noexcept;
  float* partials(int64_t t, Heads heads) const noexcept;
  void attend_splits(TileCounter& counter) noexcept;
  bool follows(int64_t t) const noexcept;
  /// [n_head] or nullptr
  const float* sinks_of_layer() const noexcept {
    return worker_.weights(layer_).vector(Role::attn_sinks);
  }
  float* scratch() const noexcept { return ws_.attend.data() + worker_.thread * ws_.attend_stride; }

  Worker& worker_;
  const KernelTable& kernels_;
  Workspace& ws_;
  const size_t layer_;
  const LayerSpec& spec_;
  const int64_t n_rows_;
  const int64_t group_;
};

}  // namespace nibble
