#include "runtime/model/blocks/attend.h"

#include <algorithm>

namespace nibble {
namespace {

constexpr int64_t kSplitRun = 2;  // splits of a row's attention that one thread takes at a time

}  // namespace

void Attend::store(int64_t t, IndexRange heads, float* k, const float* v) noexcept {
  const int64_t n = heads.end - heads.begin;
  const Row& row = worker_.row(t);
  const KvLayout::Layer& at = row.sequence->layout().layers[layer_];
  const KvType type = row.sequence->layout().type;
  if (kv_rotates(type)) kernels_.rotate(k, n, spec_.head_dim_k);
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

void Attend::match_keys(int64_t t, float* q, int64_t n) noexcept {
  if (!kv_rotates(worker_.row(t).sequence->layout().type)) return;
  kernels_.rotate(q, n, spec_.head_dim_k);
}

/// Heads of one unit: as many as share a key/value head, fewer where a thread would get none.
int64_t Attend::heads_together() const noexcept {
  const int64_t units = attend_tiles() * spec_.n_head_kv;
  const int64_t parts = divided() ? 1 : (worker_.team.size() + units - 1) / units;
  return std::clamp<int64_t>(group_ / parts, 1, kAttendQueries);
}

Attend::Heads Attend::heads_of(int64_t unit) const noexcept {
  const int64_t kv = unit / slices();
  const int64_t skipped = unit % slices() * heads_together();
  return {kv, kv * group_ + skipped, std::min(group_ - skipped, heads_together())};
}

AttendArgs Attend::attend_args(int64_t t, Heads heads) const noexcept {
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
  if (const float* sinks = sinks_of_layer(); sinks != nullptr) args.sinks = sinks + heads.first;
  if (!worker_.config.causal) args.seen = ws_.seen[static_cast<size_t>(t)];
  return args;
}

/// Splits of a row's positions that hold something it attends to.
IndexRange Attend::splits(int64_t t) const noexcept {
  const bool causal = worker_.config.causal;
  const int64_t end = causal ? worker_.row(t).pos + 1 : ws_.seen[static_cast<size_t>(t)];
  const int64_t begin = spec_.window > 0 && end > spec_.window ? end - spec_.window : 0;
  return {begin / kSplitLen, (end - 1) / kSplitLen + 1};
}

/// Partials of row t and some heads: [n_splits][heads.count, head_dim_v + 2]
float* Attend::partials(int64_t t, Heads heads) const noexcept {
  return ws_.partials.data() +
         (t * spec_.n_head + heads.first) * ws_.n_splits * (spec_.head_dim_v + 2);
}

/// Units of (row, heads, run of splits): a kernel asks for the page behind that it works on.
void Attend::attend_splits(TileCounter& counter) noexcept {
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

void Attend::merge(int64_t t, IndexRange units, float* out) noexcept {
  const float* sinks = sinks_of_layer();
  const IndexRange needed = splits(t);
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const Heads heads = heads_of(unit);
    const int64_t stride = heads.count * (spec_.head_dim_v + 2);
    for (int64_t i = 0; i < heads.count; ++i) {
      const float* from = partials(t, heads) + needed.begin * stride + i * (spec_.head_dim_v + 2);
      const int64_t head = heads.first + i;
      kernels_.attend_merge(from, needed.end - needed.begin, stride, spec_.head_dim_v,
                            sinks != nullptr ? sinks + head : nullptr,
                            out + head * spec_.head_dim_v);
    }
  }
}

/// Units of (tile of rows, heads), longest first: later rows see more.
void Attend::run() noexcept {
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
bool Attend::follows(int64_t t) const noexcept {
  const Row& row = worker_.row(t);
  const Row& before = worker_.row(t - 1);
  return row.sequence == before.sequence && row.pos == before.pos + 1;
}

}  // namespace nibble
