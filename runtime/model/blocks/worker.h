#pragma once
// What the blocks of a forward pass share. A Pass is one evaluation of a batch; a Worker is one
// thread's part in it: it knows which rows of the batch are its own, where it keeps them, and takes
// tiles of products from counters that all workers share.
//
// A batch of one row has nothing to deal out: every thread does the work on rows itself, in memory
// of its own, which is quicker than to wait for another ("each alone"). What an observer sees is
// dealt out all the same. Nothing depends on who computes what.
#include <atomic>
#include <span>

#include "runtime/model/forward.h"
#include "runtime/model/tiling.h"

namespace nibble {

struct IndexRange {
  int64_t begin;
  int64_t end;
};

struct Pass {
  const Model& model;
  const KernelTable& kernels;
  Team& team;
  Workspace& ws;
  std::span<const Row> rows;
  const CancelToken* cancel;
  bool stop = false;                 // written by thread 0 before a barrier, read after it
  std::atomic<bool> skipped{false};  // some work was left undone

  /// Seen once, it stays: whoever sees it leaves work undone.
  bool cancelled() noexcept;
};

class Worker {
 public:
  Worker(Pass& shared, int number) noexcept
      : pass(shared),
        config(shared.model.config),
        kernels(shared.kernels),
        team(shared.team),
        ws(shared.ws),
        thread(number),
        n_rows(static_cast<int64_t>(shared.rows.size())),
        each_alone(n_rows == 1 && shared.ws.observer == nullptr) {}

  Pass& pass;
  const ModelConfig& config;
  const KernelTable& kernels;
  Team& team;
  Workspace& ws;
  const int thread;
  const int64_t n_rows;
  const bool each_alone;  // one row, computed by every thread for itself

  const LayerSpec& spec(size_t layer) const noexcept { return config.layers[layer]; }
  const LayerWeights& weights(size_t layer) const noexcept {
    return pass.model.weights.layers[layer];
  }
  const Row& row(int64_t t) const noexcept { return pass.rows[static_cast<size_t>(t)]; }
  bool cancelled() noexcept { return pass.cancelled(); }

  // ---- whose is what ----

  /// Where this thread finds row t of what it may keep for itself.
  int64_t slot(int64_t t) const noexcept { return each_alone ? thread : t; }
  /// The rows of n that this thread works on.
  IndexRange rows_of(int64_t n) const noexcept { return each_alone ? IndexRange{0, n} : share(n); }
  IndexRange share(int64_t n) const noexcept {
    return {n * thread / team.size(), n * (thread + 1) / team.size()};
  }
  float* x_row(int64_t t) const noexcept { return ws.x.data() + slot(t) * config.n_embd; }
  float* scratch_row() const noexcept { return ws.row.data() + thread * ws.row_stride; }
  /// The prepared inputs that this thread works with.
  std::byte* act(ActLayout layout) const noexcept;

  // ---- phases ----

  /// The counter of the next phase in which tiles are dealt out.
  TileCounter& next_counter() noexcept { return ws.counters[phase_++]; }
  /// What threads did to their rows is about to be read by others.
  void rows_are_done() noexcept {
    if (!each_alone) team.barrier();
  }
  /// The same of the inputs of a matmul; an observer sees them, each thread shows some columns.
  void inputs_are_done(int64_t n, std::span<const Matrix* const> users) noexcept;
  /// An observer sees slots [first, first + n) as the inputs of a part of w, after a barrier.
  void show_part(const Matrix& w, int64_t part, int64_t first, int64_t n) noexcept {
    if (ws.observer == nullptr) return;
    const IndexRange mine = share(w.cols);
    ws.observe_part(w, part, first, n, mine.begin, mine.end);
  }

  // ---- rows ----

  /// out = the model's kind of norm of x [n]; out may be x.
  void norm(const LayerWeights& w, Role weight, Role bias, const float* x, int64_t n,
            float* out) noexcept;
  /// The norm before a block: its own or, where the two share one, the other's.
  void enter_norm(const LayerWeights& w, bool feed_forward, const float* x, float* out) noexcept;
  /// x[i] += bias[first + i] for i < n, where there is a bias.
  void add_bias(float* x, const float* bias, int64_t first, int64_t n) noexcept {
    if (bias != nullptr) kernels.add(x, bias + first, n);
  }
  /// Row t of the `tokens` rows of a matmul's input, in every layout that one of the users wants.
  void prepare(int64_t t, int64_t tokens, const float* x, int64_t n,
               std::span<const Matrix* const> users) noexcept;
  /// x += the block's output in Workspace::branch, with its bias, norm and scale, for this thread's
  /// rows.
  void add_branch(const LayerSpec& spec, const LayerWeights& w, Role bias, Role norm_weight,
                  Role norm_bias) noexcept;
  /// The same of row t only. branch [n_embd] is left as it is.
  void add_row(const LayerSpec& spec, const LayerWeights& w, Role bias, Role norm_weight,
               Role norm_bias, int64_t t, const float* branch) noexcept;

  // ---- products ----

  /// All products; tiles go to whoever is free.
  void matmul(std::span<const Product> products) noexcept;

 private:
  size_t phase_ = 0;
};

}  // namespace nibble
