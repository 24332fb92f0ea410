// The last norm and the product with the output head: all logits, or, of one row, the largest only.
#include <algorithm>
#include <limits>

#include "runtime/model/blocks/blocks.h"
#include "runtime/model/head_bounds.h"

namespace nibble {
namespace {

void last_norm(Worker& worker, const float* x, float* out) noexcept {
  const LayerWeights& w = worker.pass.model.weights.model;
  const int64_t n = worker.config.n_embd;
  if (w.vector(Role::output_norm) == nullptr) {
    std::copy(x, x + n, out);  // each layer ends in a norm
    return;
  }
  worker.norm(w, Role::output_norm, Role::output_norm_bias, x, n, out);
}

void write_hidden(Worker& worker) noexcept {
  int64_t at = 0;
  for (int64_t t = 0; t < worker.n_rows; ++t) {
    if (worker.row(t).output != RowOutput::hidden) continue;
    last_norm(worker, worker.x_row(t), worker.ws.hidden.data() + worker.config.n_embd * at++);
  }
}

/// A scale or a cap could make equal what was not, and then the order of ids decides.
bool can_bound_head(const Worker& worker) noexcept {
  const LayerWeights& w = worker.pass.model.weights.model;
  return worker.ws.top_k > 0 && worker.kernels.head_bounds != nullptr &&
         w[Role::output].form == PackForm::ordered && w[Role::output_bias].data == nullptr &&
         worker.config.logit_scale == 1.0f && worker.config.logit_softcap == 0.0f;
}

/// Units of kHeadGroups groups.
template <class F>
void for_each_tile(Worker& worker, int64_t n_groups, F&& f) noexcept {
  constexpr int64_t kHeadGroups = 32;
  TileCounter& counter = worker.next_counter();
  const int64_t n_tiles = (n_groups + kHeadGroups - 1) / kHeadGroups;
  for (int64_t tile = counter.next(); tile < n_tiles; tile = counter.next()) {
    if (worker.cancelled()) return;
    f(IndexRange{tile * kHeadGroups, std::min((tile + 1) * kHeadGroups, n_groups)});
  }
}

/// The k largest logits, and -infinity for rows that the upper planes of the weights rule out:
/// those of groups that cannot reach what k groups reach for certain.
void top_logits(Worker& worker) noexcept {
  Workspace& ws = worker.ws;
  const Matrix& head = worker.pass.model.weights.model[Role::output];
  const int64_t n_groups = (head.rows + kGroupRows - 1) / kGroupRows;
  MatmulArgs args;
  args.w = head;
  args.act = worker.act(ActLayout::q8);
  args.tokens = 1;
  args.out = ws.logits.data();
  args.out_stride = head.rows;
  const auto rows_of_groups = [&](IndexRange groups) {
    args.row_begin = groups.begin * kGroupRows;
    args.row_end = std::min(groups.end * kGroupRows, head.rows);
  };
  for_each_tile(worker, n_groups, [&](IndexRange groups) {
    rows_of_groups(groups);
    worker.kernels.head_bounds(args, ws.bounds.data() + groups.begin * 2);
  });
  worker.team.barrier();
  const HeadBounds bounds = {ws.bounds.data(), n_groups};
  const float least = bounds.least_of_top(ws.top_k);
  if (worker.thread == 0) ws.head_share = bounds.share(least);
  for_each_tile(worker, n_groups, [&](IndexRange groups) {
    for (int64_t g = groups.begin; g < groups.end;) {
      const bool wanted = bounds.may_reach(g, least);
      IndexRange run = {g, g + 1};
      while (run.end < groups.end && bounds.may_reach(run.end, least) == wanted) ++run.end;
      rows_of_groups(run);
      if (wanted) {
        worker.kernels.matmul(args);
      } else {
        std::fill(args.out + args.row_begin, args.out + args.row_end,
                  -std::numeric_limits<float>::infinity());
      }
      g = run.end;
    }
  });
  worker.team.barrier();
}

/// Bias, scale and cap of this thread's share of the rows of logits.
void finish_logits(Worker& worker, int64_t n_logits) noexcept {
  const ModelConfig& config = worker.config;
  const IndexRange finished = worker.share(n_logits);
  for (int64_t s = finished.begin; s < finished.end; ++s) {
    float* logits = worker.ws.logits.data() + s * config.n_vocab;
    worker.add_bias(logits, worker.pass.model.weights.model.vector(Role::output_bias), 0,
                    config.n_vocab);
    if (config.logit_scale != 1.0f) {
      worker.kernels.scale(logits, config.n_vocab, config.logit_scale);
    }
    if (config.logit_softcap > 0.0f) {
      worker.kernels.softcap(logits, config.n_vocab, config.logit_softcap);
    }
  }
}

}  // namespace

void output_head(Worker& worker) noexcept {
  Workspace& ws = worker.ws;
  const Matrix* head[] = {&worker.pass.model.weights.model[Role::output]};
  worker.rows_are_done();  // those of the last add_branch are read by other threads now
  const int64_t n_logits = static_cast<int64_t>(ws.logit_rows.size());
  const IndexRange mine = worker.rows_of(n_logits);
  for (int64_t s = mine.begin; s < mine.end; ++s) {
    float* normed = worker.scratch_row();
    last_norm(worker, worker.x_row(ws.logit_rows[static_cast<size_t>(s)]), normed);
    worker.prepare(s, n_logits, normed, worker.config.n_embd, head);
  }
  if (worker.thread == 0) write_hidden(worker);
  worker.inputs_are_done(n_logits, head);
  if (n_logits == 1 && can_bound_head(worker)) return top_logits(worker);
  const Product product[] = {Product::whole(head[0], ws.logits.data(), n_logits)};
  if (n_logits > 0) worker.matmul(product);
  worker.team.barrier();
  finish_logits(worker, n_logits);
}

}  // namespace nibble
