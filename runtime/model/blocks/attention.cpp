// Attention with keys and values of their own in the sequence's pages: grouped heads, windows,
// rotation, ALiBi, norms of queries and keys, divided over threads where a batch is small.
#include <algorithm>

#include "runtime/model/blocks/blocks.h"

namespace nibble {
namespace {

constexpr int64_t kSplitRun = 2;  // splits of a row's attention that one thread takes at a time

class Attention {
 public:
  Attention(Worker& worker, size_t layer) noexcept
      : worker_(worker),
        kernels_(worker.kernels),
        ws_(worker.ws),
        layer_(layer),
        spec_(worker.spec(layer)),
        w_(worker.weights(layer)),
        n_rows_(worker.n_rows),
        group_(spec_.n_head / spec_.n_head_kv) {}

  void run() noexcept {
    project();
    worker_.team.barrier();
    place();
    worker_.team.barrier();
    attend();
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
    store(t, heads, q, k, v);
  }

  void store(int64_t t, IndexRange heads, float* q, float* k, const float* v) noexcept {
    const int64_t n = heads.end - heads.begin;
    const Row& row = worker_.row(t);
    const KvLayout::Layer& at = row.sequence->layout().layers[layer_];
    const KvType type = row.sequence->layout().type;
    if (kv_rotates(type)) {
      kernels_.rotate(q, n * group_, spec_.head_dim_k);
      kernels_.rotate(k, n, spec_.head_dim_k);
    }
    const int64_t place_in_page = row.pos % kKvPageLen;
    std::byte* page = row.sequence->page_of(row.pos);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t h = heads.begin + i;
      kernels_.store_key(type, k + i * spec_.head_dim_k, spec_.head_dim_k,
                         page + at.k_offset + h * at.k_head, place_in_page);
      kernels_.store_value(type, v + i * spec_.head_dim_v, spec_.head_dim_v,
                           page + at.v_offset + h * at.v_head, place_in_page);
    }
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

  // ---- attention proper ----

  /// Query heads [first, first + count) of one key/value head: what one call attends for.
  struct Heads {
    int64_t kv;
    int64_t first;
    int64_t count;
  };
  /// Heads of one unit: as many as share a key/value head, fewer where a thread would get none.
  int64_t heads_together() const noexcept {
    const int64_t units = attend_tiles() * spec_.n_head_kv;
    const int64_t parts = divided() ? 1 : (worker_.team.size() + units - 1) / units;
    return std::clamp<int64_t>(group_ / parts, 1, kAttendQueries);
  }
  int64_t slices() const noexcept { return (group_ - 1) / heads_together() + 1; }
  int64_t head_units() const noexcept { return spec_.n_head_kv * slices(); }
  Heads heads_of(int64_t unit) const noexcept {
    const int64_t kv = unit / slices();
    const int64_t skipped = unit % slices() * heads_together();
    return {kv, kv * group_ + skipped, std::min(group_ - skipped, heads_together())};
  }

  AttendArgs attend_args(int64_t t, Heads heads) const noexcept {
    const Row& row = worker_.row(t);
    const KvLayout::Layer& at = row.sequence->layout().layers[layer_];
    AttendArgs args;
    args.q_stride = q_width();
    args.q = ws_.q.data() + t * args.q_stride + heads.first * spec_.head_dim_k;
    args.out_stride = spec_.n_head * spec_.head_dim_v;
    args.out = ws_.attn.data() + t * args.out_stride + heads.first * spec_.head_dim_v;
    args.rows = 1;
    args.group = heads.count;
    args.head_dim_k = spec_.head_dim_k;
    args.head_dim_v = spec_.head_dim_v;
    args.pages = row.sequence->pages();
    args.k_offset = at.k_offset + heads.kv * at.k_head;
    args.v_offset = at.v_offset + heads.kv * at.v_head;
    args.pos = row.pos;
    args.window = spec_.window;
    args.scale = spec_.attn_scale;
    args.softcap = spec_.attn_softcap;
    args.kv_type = row.sequence->layout().type;
    if (spec_.max_alibi_bias > 0) args.slopes = ws_.slopes[layer_].data() + heads.first;
    if (!worker_.config.causal) args.seen = ws_.seen[static_cast<size_t>(t)];
    return args;
  }

  /// Splits of a row's positions that hold something it attends to.
  IndexRange splits(int64_t t) const noexcept {
    const bool causal = worker_.config.causal;
    const int64_t end = causal ? worker_.row(t).pos + 1 : ws_.seen[static_cast<size_t>(t)];
    const int64_t begin = spec_.window > 0 && end > spec_.window ? end - spec_.window : 0;
    return {begin / kSplitLen, (end - 1) / kSplitLen + 1};
  }

  bool divided() const noexcept {
    return ws_.n_splits > 0 && n_rows_ <= kSplitRows && kernels_.attend_partial != nullptr;
  }

  /// Partials of row t and some heads: [n_splits][heads.count, head_dim_v + 2]
  float* partials(int64_t t, Heads heads) const noexcept {
    return ws_.partials.data() +
           (t * spec_.n_head + heads.first) * ws_.n_splits * (spec_.head_dim_v + 2);
  }

  /// Units of (row, heads, run of splits): a kernel asks for the page behind that it works on.
  void attend_splits(TileCounter& counter) noexcept {
    const int64_t runs = (ws_.n_splits + kSplitRun - 1) / kSplitRun;
    const int64_t n_heads = head_units(), n_units = n_rows_ * n_heads * runs;
    for (int64_t unit = counter.next(); unit < n_units; unit = counter.next()) {
      if (worker_.cancelled()) return;
      const Heads heads = heads_of(unit / runs % n_heads);
      const int64_t t = unit / runs / n_heads;
      const IndexRange needed = splits(t);
      const int64_t first = unit % runs * kSplitRun;
      const int64_t end = std::min(first + kSplitRun, needed.end);
      const AttendArgs args = attend_args(t, heads);
      for (int64_t split = std::max(first, needed.begin); split < end; ++split) {
        float* to = partials(t, heads) + split * heads.count * (spec_.head_dim_v + 2);
        kernels_.attend_partial(args, split, to, scratch());
      }
    }
  }

  /// out [n_head, head_dim_v] from row t's partials.
  void merge_splits(int64_t t, float* out) noexcept {
    const IndexRange needed = splits(t);
    for (int64_t unit = 0; unit < head_units(); ++unit) {
      const Heads heads = heads_of(unit);
      const int64_t stride = heads.count * (spec_.head_dim_v + 2);
      for (int64_t i = 0; i < heads.count; ++i) {
        const float* from = partials(t, heads) + needed.begin * stride + i * (spec_.head_dim_v + 2);
        kernels_.attend_merge(from, needed.end - needed.begin, stride, spec_.head_dim_v,
                              out + (heads.first + i) * spec_.head_dim_v);
      }
    }
  }

  int64_t attend_tiles() const noexcept { return (n_rows_ - 1) / attend_rows(group_) + 1; }

  /// Units of (tile of rows, heads), longest first: later rows see more.
  void attend() noexcept {
    TileCounter& counter = worker_.next_counter();
    if (divided()) return attend_splits(counter);
    const int64_t tile_rows = attend_rows(group_);
    const int64_t n_tiles = attend_tiles(), n_heads = head_units(), n_units = n_tiles * n_heads;
    for (int64_t unit = counter.next(); unit < n_units; unit = counter.next()) {
      const int64_t tile = n_tiles - 1 - unit / n_heads;
      const int64_t end = std::min((tile + 1) * tile_rows, n_rows_);
      for (int64_t t = tile * tile_rows; t < end;) {
        if (worker_.cancelled()) return;
        AttendArgs args = attend_args(t, heads_of(unit % n_heads));
        while (t + args.rows < end && follows(t + args.rows)) ++args.rows;
        kernels_.attend(args, scratch());
        t += args.rows;
      }
    }
  }

  /// Row t is the next position of the sequence of the row before it.
  bool follows(int64_t t) const noexcept {
    const Row& row = worker_.row(t);
    const Row& before = worker_.row(t - 1);
    return row.sequence == before.sequence && row.pos == before.pos + 1;
  }

  void output() noexcept {
    const Matrix* wo[] = {&w_[Role::attn_output]};
    const int64_t width = spec_.n_head * spec_.head_dim_v;
    const IndexRange mine = worker_.rows_of(n_rows_);
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      const float* attended = ws_.attn.data() + t * width;  // [n_head, head_dim_v]
      if (divided()) {
        merge_splits(t, worker_.scratch_row());
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
  float* scratch() const noexcept { return ws_.attend.data() + worker_.thread * ws_.attend_stride; }

  Worker& worker_;
  const KernelTable& kernels_;
  Workspace& ws_;
  const size_t layer_;
  const LayerSpec& spec_;
  const LayerWeights& w_;
  const int64_t n_rows_;
  const int64_t group_;
};

}  // namespace

void attention(Worker& worker, size_t layer) noexcept {
  Attention(worker, layer).run();
}

}  // namespace nibble
