// One parallel region a forward. Every thread runs the same sequence of phases and meets the others
// at a barrier between them; inside a phase, rows of the batch are dealt out evenly and tiles of
// weight rows are taken from a counter. A batch of one row has nothing to deal out: every thread
// does the work on rows itself, in memory of its own, which is quicker than to wait for another.
// Nothing here depends on who computes what.
#include "runtime/model/forward.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "runtime/model/head_bounds.h"
#include "runtime/model/tiling.h"
#include "runtime/threads/float_environment.h"

namespace nibble {
namespace {

constexpr int64_t kSplitRun = 2;  // splits of a row's attention that one thread takes at a time

struct Range {
  int64_t begin;
  int64_t end;
};

class Pass {
 public:
  Pass(const Model& model, const KernelTable& kernels, Team& team, Workspace& ws,
       std::span<const Row> rows, const CancelToken* cancel) noexcept
      : model_(model),
        config_(model.config),
        kernels_(kernels),
        team_(team),
        ws_(ws),
        rows_(rows),
        n_rows_(static_cast<int64_t>(rows.size())),
        each_alone_(rows.size() == 1),
        cancel_(cancel) {
    for (TileCounter& c : ws.counters) c.reset();
    ws.head_share = -1;
    ws.logit_rows.clear();
    for (int64_t t = 0; t < n_rows_; ++t) {
      if (rows[static_cast<size_t>(t)].output == RowOutput::logits) ws.logit_rows.push_back(t);
    }
  }

  ForwardStatus run() noexcept {
    team_.run([this](int thread, Team&) {
      const DefaultFloatEnvironment as_compiled;
      work(thread);
    });
    return skipped_.load(std::memory_order_relaxed) ? ForwardStatus::cancelled : ForwardStatus::ok;
  }

 private:
  void work(int thread) noexcept {
    embed(thread);
    int64_t phase = 0;
    for (size_t i = 0; i < config_.layers.size(); ++i) {
      if (thread == 0 && cancelled()) stop_ = true;
      const LayerSpec& spec = config_.layers[i];
      const LayerWeights& w = model_.weights.layers[i];
      attention(thread, i, spec, w, phase);
      if (stop_) return;  // written before a barrier inside attention, the same for all
      feed_forward(thread, spec, w, phase);
    }
    outputs(thread, phase);
  }

  // ---- phases ----

  void embed(int thread) noexcept {
    const Range mine = rows_of(thread, n_rows_);
    for (size_t r = 0; r < config_.ropes.size(); ++r) {
      const int64_t half = config_.ropes[r].dim / 2;
      for (int64_t t = mine.begin; t < mine.end; ++t) {
        float* out = ws_.cos_sin[r].data() + slot(thread, t) * 2 * half;  // [half, 2]
        const double pos = static_cast<double>(row(t).pos);
        for (int64_t i = 0; i < half; ++i) {
          const double angle = pos * ws_.freqs[r][static_cast<size_t>(i)];
          out[2 * i] = static_cast<float>(std::cos(angle));
          out[2 * i + 1] = static_cast<float>(std::sin(angle));
        }
      }
    }
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      float* x = x_row(thread, t);
      kernels_.dequantize_row(model_.weights.model[Role::token_embd], row(t).token, x);
      if (config_.embed_scale != 1.0f) kernels_.scale(x, config_.n_embd, config_.embed_scale);
    }
  }

  void attention(int thread, size_t layer, const LayerSpec& spec, const LayerWeights& w,
                 int64_t& phase) noexcept {
    const Matrix* qkv[] = {&w[Role::attn_q], &w[Role::attn_k], &w[Role::attn_v]};
    norm_rows(thread, w.vector(Role::attn_norm), qkv);
    inputs_are_done(thread, n_rows_, qkv);
    const Product products[] = {
        {qkv[0], ws_.q.data()}, {qkv[1], ws_.k.data()}, {qkv[2], ws_.v.data()}};
    matmul(thread, products, n_rows_, phase);
    team_.barrier();
    place(thread, layer, spec, w);
    team_.barrier();
    attend(thread, layer, spec, phase);
    team_.barrier();
    const Matrix* wo[] = {&w[Role::attn_output]};
    const int64_t width = spec.n_head * spec.head_dim_v;
    const Range mine = rows_of(thread, n_rows_);
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      const float* attended = ws_.attn.data() + t * width;  // [n_head, head_dim_v]
      if (divides_attention()) {
        merge_splits(t, spec, scratch_row(thread));
        attended = scratch_row(thread);
      }
      prepare(thread, t, n_rows_, attended, width, wo);
    }
    inputs_are_done(thread, n_rows_, wo);
    const Product out[] = {{wo[0], ws_.branch.data()}};
    matmul(thread, out, n_rows_, phase);
    team_.barrier();
    add_branch(thread, w.vector(Role::attn_output_bias), w.vector(Role::attn_post_norm));
  }

  void feed_forward(int thread, const LayerSpec& spec, const LayerWeights& w,
                    int64_t& phase) noexcept {
    // The rows of add_branch and norm_rows are the same thread's: no barrier between them.
    const Matrix* gate_up[] = {&w[Role::ffn_gate], &w[Role::ffn_up]};
    norm_rows(thread, w.vector(Role::ffn_norm), gate_up);
    inputs_are_done(thread, n_rows_, gate_up);
    const Product products[] = {{gate_up[0], ws_.gate.data()}, {gate_up[1], ws_.up.data()}};
    matmul(thread, products, n_rows_, phase);
    team_.barrier();
    const Matrix* down[] = {&w[Role::ffn_down]};
    const Range mine = rows_of(thread, n_rows_);
    float* gated = scratch_row(thread);  // [n_ff]
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      kernels_.glu(spec.activation, ws_.gate.data() + t * spec.n_ff, ws_.up.data() + t * spec.n_ff,
                   spec.n_ff, gated);
      prepare(thread, t, n_rows_, gated, spec.n_ff, down);
    }
    inputs_are_done(thread, n_rows_, down);
    const Product out[] = {{down[0], ws_.branch.data()}};
    matmul(thread, out, n_rows_, phase);
    team_.barrier();
    add_branch(thread, nullptr, w.vector(Role::ffn_post_norm));
  }

  void outputs(int thread, int64_t& phase) noexcept {
    const LayerWeights& w = model_.weights.model;
    const int64_t n_embd = config_.n_embd;
    const Matrix* head[] = {&w[Role::output]};
    rows_are_done();  // those of the last add_branch are read by other threads now
    const int64_t n_logits = static_cast<int64_t>(ws_.logit_rows.size());
    const Range mine = rows_of(thread, n_logits);
    for (int64_t s = mine.begin; s < mine.end; ++s) {
      float* normed = scratch_row(thread);
      kernels_.rms_norm(x_row(thread, ws_.logit_rows[static_cast<size_t>(s)]),
                        w.vector(Role::output_norm), n_embd, config_.norm_eps, normed);
      prepare(thread, s, n_logits, normed, n_embd, head);
    }
    if (thread == 0) write_hidden();
    inputs_are_done(thread, n_logits, head);
    if (n_logits == 1 && can_bound_head()) return top_logits(thread, phase);
    const Product product[] = {{head[0], ws_.logits.data()}};
    if (n_logits > 0) matmul(thread, product, n_logits, phase);
    team_.barrier();
    const Range finished = share(n_logits, thread);
    for (int64_t s = finished.begin; s < finished.end; ++s) {
      float* logits = ws_.logits.data() + s * config_.n_vocab;
      if (config_.logit_scale != 1.0f) {
        kernels_.scale(logits, config_.n_vocab, config_.logit_scale);
      }
      if (config_.logit_softcap > 0.0f) {
        kernels_.softcap(logits, config_.n_vocab, config_.logit_softcap);
      }
    }
  }

  // ---- the largest logits only ----

  /// A scale or a cap could make equal what was not, and then the order of ids decides.
  bool can_bound_head() const noexcept {
    return ws_.top_k > 0 && kernels_.head_bounds != nullptr &&
           model_.weights.model[Role::output].form == PackForm::ordered &&
           config_.logit_scale == 1.0f && config_.logit_softcap == 0.0f;
  }

  /// The k largest logits, and -infinity for rows that the upper planes of the weights rule out:
  /// those of groups that cannot reach what k groups reach for certain.
  void top_logits(int thread, int64_t& phase) noexcept {
    const Matrix& head = model_.weights.model[Role::output];
    const int64_t n_groups = (head.rows + kGroupRows - 1) / kGroupRows;
    MatmulArgs args;
    args.w = head;
    args.act = act(thread, ActLayout::q8);
    args.tokens = 1;
    args.out = ws_.logits.data();
    args.out_stride = head.rows;
    const auto rows_of_groups = [&](Range groups) {
      args.row_begin = groups.begin * kGroupRows;
      args.row_end = std::min(groups.end * kGroupRows, head.rows);
    };
    for_each_tile(phase, n_groups, [&](Range groups) {
      rows_of_groups(groups);
      kernels_.head_bounds(args, ws_.bounds.data() + groups.begin * 2);
    });
    team_.barrier();
    const HeadBounds bounds = {ws_.bounds.data(), n_groups};
    const float least = bounds.least_of_top(ws_.top_k);
    if (thread == 0) ws_.head_share = bounds.share(least);
    for_each_tile(phase, n_groups, [&](Range groups) {
      for (int64_t g = groups.begin; g < groups.end;) {
        const bool wanted = bounds.may_reach(g, least);
        Range run = {g, g + 1};
        while (run.end < groups.end && bounds.may_reach(run.end, least) == wanted) ++run.end;
        rows_of_groups(run);
        if (wanted) {
          kernels_.matmul(args);
        } else {
          std::fill(args.out + args.row_begin, args.out + args.row_end,
                    -std::numeric_limits<float>::infinity());
        }
        g = run.end;
      }
    });
    team_.barrier();
  }

  /// Units of kHeadGroups groups.
  template <class F>
  void for_each_tile(int64_t& phase, int64_t n_groups, F&& f) noexcept {
    constexpr int64_t kHeadGroups = 32;
    TileCounter& counter = ws_.counters[static_cast<size_t>(phase++)];
    const int64_t n_tiles = (n_groups + kHeadGroups - 1) / kHeadGroups;
    for (int64_t tile = counter.next(); tile < n_tiles; tile = counter.next()) {
      if (cancelled()) return;
      f(Range{tile * kHeadGroups, std::min((tile + 1) * kHeadGroups, n_groups)});
    }
  }

  // ---- parts of phases ----

  /// x -> norm -> matmul input, for this thread's rows.
  void norm_rows(int thread, const float* weight, std::span<const Matrix* const> users) noexcept {
    const Range mine = rows_of(thread, n_rows_);
    float* normed = scratch_row(thread);
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      kernels_.rms_norm(x_row(thread, t), weight, config_.n_embd, config_.norm_eps, normed);
      prepare(thread, t, n_rows_, normed, config_.n_embd, users);
    }
  }

  /// Row t of the `tokens` rows of a matmul's input, in every layout that one of the users wants.
  void prepare(int thread, int64_t t, int64_t tokens, const float* x, int64_t n,
               std::span<const Matrix* const> users) noexcept {
    if (ws_.observer != nullptr && slot(thread, 0) == 0) ws_.observe_row(t, x, n);
    bool done[2] = {false, false};
    for (const Matrix* user : users) {
      const ActLayout layout = kernels_.act_layout(user->type);
      bool& is_done = done[layout == ActLayout::q8 ? 1 : 0];
      if (!is_done) kernels_.prepare_act(layout, x, n, act(thread, layout), t, tokens);
      is_done = true;
    }
  }

  /// out [tokens, w.rows] for every product; tiles go to whoever is free.
  void matmul(int thread, std::span<const Product> products, int64_t tokens,
              int64_t& phase) noexcept {
    TileCounter& counter = ws_.counters[static_cast<size_t>(phase++)];
    const Tiling tiling = Tiling::of(products, tokens, team_.size());
    int64_t n_tiles = 0;
    for (const Product& p : products) n_tiles += tiling.tiles(*p.w);
    for (int64_t tile = counter.next(); tile < n_tiles; tile = counter.next()) {
      if (cancelled()) return;
      size_t i = 0;
      int64_t at = tile;
      while (at >= tiling.tiles(*products[i].w)) at -= tiling.tiles(*products[i++].w);
      const Matrix& w = *products[i].w;
      MatmulArgs args;
      args.w = w;
      args.act = act(thread, kernels_.act_layout(w.type));
      args.tokens = tokens;
      args.row_begin = at / tiling.panels * tiling.rows;
      args.row_end = std::min(args.row_begin + tiling.rows, w.rows);
      args.token_begin = at % tiling.panels * kPanelTokens;
      args.token_end = args.token_begin + kPanelTokens;
      args.out = products[i].out;
      args.out_stride = w.rows;
      kernels_.matmul(args);
    }
  }

  /// Biases, query/key norms, rotation; keys and values into the sequence.
  void place(int thread, size_t layer, const LayerSpec& spec, const LayerWeights& w) noexcept {
    if (each_alone_) {
      const Range heads = share(spec.n_head_kv, thread);
      place_heads(thread, 0, heads, layer, spec, w);
      return;
    }
    const Range mine = share(n_rows_, thread);
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      place_heads(thread, t, {0, spec.n_head_kv}, layer, spec, w);
    }
  }

  /// Key/value heads of row t, and the query heads of each.
  void place_heads(int thread, int64_t t, Range heads, size_t layer, const LayerSpec& spec,
                   const LayerWeights& w) noexcept {
    const int64_t n = heads.end - heads.begin;
    if (n == 0) return;
    const int64_t group = spec.n_head / spec.n_head_kv;
    const int64_t first_q = heads.begin * group * spec.head_dim_k;
    const int64_t first_k = heads.begin * spec.head_dim_k;
    const int64_t first_v = heads.begin * spec.head_dim_v;
    // q [n * group, head_dim_k], k [n, head_dim_k], v [n, head_dim_v]
    float* q = ws_.q.data() + t * spec.n_head * spec.head_dim_k + first_q;
    float* k = ws_.k.data() + t * spec.n_head_kv * spec.head_dim_k + first_k;
    float* v = ws_.v.data() + t * spec.n_head_kv * spec.head_dim_v + first_v;
    add_bias(q, w.vector(Role::attn_q_bias), first_q, n * group * spec.head_dim_k);
    add_bias(k, w.vector(Role::attn_k_bias), first_k, n * spec.head_dim_k);
    add_bias(v, w.vector(Role::attn_v_bias), first_v, n * spec.head_dim_v);
    norm_heads(q, n * group, spec.head_dim_k, w.vector(Role::attn_q_norm));
    norm_heads(k, n, spec.head_dim_k, w.vector(Role::attn_k_norm));
    if (spec.rope >= 0) {
      const size_t r = static_cast<size_t>(spec.rope);
      const RopeSpec& rope = config_.ropes[r];
      const float* cos_sin = ws_.cos_sin[r].data() + slot(thread, t) * rope.dim;
      kernels_.rope(q, n * group, spec.head_dim_k, rope.dim, cos_sin, rope.kind);
      kernels_.rope(k, n, spec.head_dim_k, rope.dim, cos_sin, rope.kind);
    }
    const SequenceState& sequence = *row(t).sequence;
    const KvLayout::Layer& at = sequence.layout().layers[layer];
    const KvType type = sequence.layout().type;
    if (kv_rotates(type)) {
      kernels_.rotate(q, n * group, spec.head_dim_k);
      kernels_.rotate(k, n, spec.head_dim_k);
    }
    const int64_t place_in_page = row(t).pos % kKvPageLen;
    std::byte* page = sequence.page_of(row(t).pos);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t h = heads.begin + i;
      kernels_.store_key(type, k + i * spec.head_dim_k, spec.head_dim_k,
                         page + at.k_offset + h * at.k_head, place_in_page);
      kernels_.store_value(type, v + i * spec.head_dim_v, spec.head_dim_v,
                           page + at.v_offset + h * at.v_head, place_in_page);
    }
  }

  void add_bias(float* x, const float* bias, int64_t first, int64_t n) noexcept {
    if (bias != nullptr) kernels_.add(x, bias + first, n);
  }

  void norm_heads(float* x, int64_t heads, int64_t dim, const float* weight) noexcept {
    if (weight == nullptr) return;
    for (int64_t h = 0; h < heads; ++h) {
      kernels_.rms_norm(x + h * dim, weight, dim, config_.norm_eps, x + h * dim);
    }
  }

  /// Query heads [first, first + count) of one key/value head: what one call attends for.
  struct Heads {
    int64_t kv;
    int64_t first;
    int64_t count;
  };
  /// Heads of one unit: as many as share a key/value head, fewer where a thread would get none.
  int64_t heads_together(const LayerSpec& spec) const noexcept {
    const int64_t group = spec.n_head / spec.n_head_kv;
    const int64_t units = attend_tiles(spec) * spec.n_head_kv;
    const int64_t parts = divides_attention() ? 1 : (team_.size() + units - 1) / units;
    return std::clamp<int64_t>(group / parts, 1, kAttendQueries);
  }
  int64_t slices(const LayerSpec& spec) const noexcept {
    return (spec.n_head / spec.n_head_kv - 1) / heads_together(spec) + 1;
  }
  int64_t head_units(const LayerSpec& spec) const noexcept { return spec.n_head_kv * slices(spec); }
  Heads heads_of(const LayerSpec& spec, int64_t unit) const noexcept {
    const int64_t group = spec.n_head / spec.n_head_kv;
    const int64_t kv = unit / slices(spec);
    const int64_t skipped = unit % slices(spec) * heads_together(spec);
    return {kv, kv * group + skipped, std::min(group - skipped, heads_together(spec))};
  }

  AttendArgs attend_args(size_t layer, const LayerSpec& spec, int64_t t, Heads heads) noexcept {
    const SequenceState& sequence = *row(t).sequence;
    const KvLayout::Layer& at = sequence.layout().layers[layer];
    AttendArgs args;
    args.q_stride = spec.n_head * spec.head_dim_k;
    args.q = ws_.q.data() + t * args.q_stride + heads.first * spec.head_dim_k;
    args.out_stride = spec.n_head * spec.head_dim_v;
    args.out = ws_.attn.data() + t * args.out_stride + heads.first * spec.head_dim_v;
    args.rows = 1;
    args.group = heads.count;
    args.head_dim_k = spec.head_dim_k;
    args.head_dim_v = spec.head_dim_v;
    args.pages = sequence.pages();
    args.k_offset = at.k_offset + heads.kv * at.k_head;
    args.v_offset = at.v_offset + heads.kv * at.v_head;
    args.pos = row(t).pos;
    args.window = spec.window;
    args.scale = spec.attn_scale;
    args.softcap = spec.attn_softcap;
    args.kv_type = sequence.layout().type;
    return args;
  }

  /// Splits of a row's positions that hold something it attends to.
  Range splits(const LayerSpec& spec, int64_t t) const noexcept {
    const int64_t end = row(t).pos + 1;
    const int64_t begin = spec.window > 0 && end > spec.window ? end - spec.window : 0;
    return {begin / kSplitLen, (end - 1) / kSplitLen + 1};
  }

  bool divides_attention() const noexcept {
    return ws_.n_splits > 0 && n_rows_ <= kSplitRows && kernels_.attend_partial != nullptr;
  }

  /// Partials of row t and some heads: [n_splits][heads.count, head_dim_v + 2]
  float* partials(const LayerSpec& spec, int64_t t, Heads heads) const noexcept {
    return ws_.partials.data() +
           (t * spec.n_head + heads.first) * ws_.n_splits * (spec.head_dim_v + 2);
  }

  /// Units of (row, heads, run of splits): a kernel asks for the page behind that it works on.
  void attend_splits(int thread, size_t layer, const LayerSpec& spec,
                     TileCounter& counter) noexcept {
    const int64_t runs = (ws_.n_splits + kSplitRun - 1) / kSplitRun;
    const int64_t n_units = n_rows_ * head_units(spec) * runs;
    float* scratch = ws_.attend.data() + thread * ws_.attend_stride;
    for (int64_t unit = counter.next(); unit < n_units; unit = counter.next()) {
      if (cancelled()) return;
      const Heads heads = heads_of(spec, unit / runs % head_units(spec));
      const int64_t t = unit / runs / head_units(spec);
      const Range needed = splits(spec, t);
      const int64_t first = unit % runs * kSplitRun;
      const int64_t end = std::min(first + kSplitRun, needed.end);
      const AttendArgs args = attend_args(layer, spec, t, heads);
      for (int64_t split = std::max(first, needed.begin); split < end; ++split) {
        float* to = partials(spec, t, heads) + split * heads.count * (spec.head_dim_v + 2);
        kernels_.attend_partial(args, split, to, scratch);
      }
    }
  }

  /// out [n_head, head_dim_v] from row t's partials.
  void merge_splits(int64_t t, const LayerSpec& spec, float* out) noexcept {
    const Range needed = splits(spec, t);
    for (int64_t unit = 0; unit < head_units(spec); ++unit) {
      const Heads heads = heads_of(spec, unit);
      const int64_t stride = heads.count * (spec.head_dim_v + 2);
      for (int64_t i = 0; i < heads.count; ++i) {
        const float* from =
            partials(spec, t, heads) + needed.begin * stride + i * (spec.head_dim_v + 2);
        kernels_.attend_merge(from, needed.end - needed.begin, stride, spec.head_dim_v,
                              out + (heads.first + i) * spec.head_dim_v);
      }
    }
  }

  int64_t attend_tiles(const LayerSpec& spec) const noexcept {
    return (n_rows_ - 1) / attend_rows(spec.n_head / spec.n_head_kv) + 1;
  }
  Range attend_tile(int64_t tile, int64_t tile_rows) const noexcept {
    return {tile * tile_rows, std::min((tile + 1) * tile_rows, n_rows_)};
  }

  /// Units of (tile of rows, heads), longest first: later rows see more.
  void attend(int thread, size_t layer, const LayerSpec& spec, int64_t& phase) noexcept {
    TileCounter& counter = ws_.counters[static_cast<size_t>(phase++)];
    if (divides_attention()) return attend_splits(thread, layer, spec, counter);
    const int64_t tile_rows = attend_rows(spec.n_head / spec.n_head_kv);
    const int64_t n_tiles = attend_tiles(spec), n_units = n_tiles * head_units(spec);
    float* scratch = ws_.attend.data() + thread * ws_.attend_stride;
    for (int64_t unit = counter.next(); unit < n_units; unit = counter.next()) {
      const Range tile = attend_tile(n_tiles - 1 - unit / head_units(spec), tile_rows);
      for (int64_t t = tile.begin; t < tile.end;) {
        if (cancelled()) return;
        AttendArgs args = attend_args(layer, spec, t, heads_of(spec, unit % head_units(spec)));
        while (t + args.rows < tile.end && follows(t + args.rows)) ++args.rows;
        kernels_.attend(args, scratch);
        t += args.rows;
      }
    }
  }

  /// Row t is the next position of the sequence of the row before it.
  bool follows(int64_t t) const noexcept {
    return row(t).sequence == row(t - 1).sequence && row(t).pos == row(t - 1).pos + 1;
  }

  /// x += post_norm(branch + bias), for this thread's rows.
  void add_branch(int thread, const float* bias, const float* post_norm) noexcept {
    const int64_t n = config_.n_embd;
    const Range mine = rows_of(thread, n_rows_);
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      const float* branch = ws_.branch.data() + t * n;
      float* changed = scratch_row(thread);  // the branch itself may be read by others
      if (bias != nullptr) {
        std::copy(branch, branch + n, changed);
        kernels_.add(changed, bias, n);
        branch = changed;
      }
      if (post_norm != nullptr) {
        kernels_.rms_norm(branch, post_norm, n, config_.norm_eps, changed);
        branch = changed;
      }
      kernels_.add(x_row(thread, t), branch, n);
    }
  }

  void write_hidden() noexcept {
    int64_t at = 0;
    for (int64_t t = 0; t < n_rows_; ++t) {
      if (row(t).output != RowOutput::hidden) continue;
      kernels_.rms_norm(x_row(0, t), model_.weights.model.vector(Role::output_norm), config_.n_embd,
                        config_.norm_eps, ws_.hidden.data() + config_.n_embd * at++);
    }
  }

  // ---- small things ----

  const Row& row(int64_t t) const noexcept { return rows_[static_cast<size_t>(t)]; }
  /// Where a thread finds row t of what it may keep for itself.
  int64_t slot(int thread, int64_t t) const noexcept { return each_alone_ ? thread : t; }
  /// The rows of n that a thread works on.
  Range rows_of(int thread, int64_t n) const noexcept {
    return each_alone_ ? Range{0, n} : share(n, thread);
  }
  /// What threads did to their rows is about to be read by others.
  void rows_are_done() noexcept {
    if (!each_alone_) team_.barrier();
  }
  /// The same of the inputs of a matmul; an observer sees them, each thread shows some columns.
  void inputs_are_done(int thread, int64_t n, std::span<const Matrix* const> users) noexcept {
    rows_are_done();
    if (ws_.observer == nullptr || slot(thread, 0) != 0) return;
    const Range mine = rows_of(thread, users[0]->cols);
    for (const Matrix* w : users) ws_.observe(*w, n, mine.begin, mine.end);
  }
  float* x_row(int thread, int64_t t) const noexcept {
    return ws_.x.data() + slot(thread, t) * config_.n_embd;
  }
  float* scratch_row(int thread) const noexcept { return ws_.row.data() + thread * ws_.row_stride; }
  std::byte* act(int thread, ActLayout layout) const noexcept {
    const bool q8 = layout == ActLayout::q8;
    std::byte* all = q8 ? ws_.act_q8.data() : ws_.act_f32.data();
    return all + (each_alone_ ? thread * (q8 ? ws_.act_q8_row : ws_.act_f32_row) : 0);
  }
  Range share(int64_t n, int thread) const noexcept {
    return {n * thread / team_.size(), n * (thread + 1) / team_.size()};
  }
  /// Seen once, it stays: whoever sees it leaves work undone.
  bool cancelled() noexcept {
    if (skipped_.load(std::memory_order_relaxed)) return true;
    if (cancel_ == nullptr || !cancel_->requested()) return false;
    skipped_.store(true, std::memory_order_relaxed);
    return true;
  }

  const Model& model_;
  const ModelConfig& config_;
  const KernelTable& kernels_;
  Team& team_;
  Workspace& ws_;
  std::span<const Row> rows_;
  int64_t n_rows_;
  bool each_alone_;  // one row, computed by every thread for itself
  const CancelToken* cancel_;
  bool stop_ = false;                 // written by thread 0 before a barrier, read after it
  std::atomic<bool> skipped_{false};  // some work was left undone
};

}  // namespace

ForwardStatus forward(const Model& model, const KernelTable& kernels, Team& team, Workspace& ws,
                      std::span<const Row> rows, const CancelToken* cancel) noexcept {
  return Pass(model, kernels, team, ws, rows, cancel).run();
}

}  // namespace nibble
