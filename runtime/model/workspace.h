#pragma once
// Scratch memory of one forward pass, reserved before it starts.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/model/buffer.h"
#include "runtime/model/matmul_observer.h"
#include "runtime/model/model.h"
#include "runtime/model/tiling.h"
#include "runtime/threads/team.h"

namespace nibble {

/// Rows times heads whose attention is computed together, at most.
inline constexpr int64_t kAttendQueries = 48;
static_assert(kAttendQueries <= kMostAttendQueries);

/// Rows whose attention is computed together, where `group` query heads share a key/value head.
constexpr int64_t attend_rows(int64_t group) {
  return group >= kAttendQueries ? 1 : kAttendQueries / group;
}

/// Batches of up to so many rows have too few units of attention to go round: each row's positions
/// are divided as well.
inline constexpr int64_t kSplitRows = 4;

/// Largest widths over all layers.
struct Widths {
  int64_t q = 0;     // n_head * head_dim_k
  int64_t kv_k = 0;  // n_head_kv * head_dim_k
  int64_t kv_v = 0;  // n_head_kv * head_dim_v
  int64_t attn = 0;  // n_head * head_dim_v
  int64_t ff = 0;
  int64_t embd = 0;
  int64_t input = 0;  // widest input of any matmul
  // Of experts:
  int64_t experts = 0;    // n
  int64_t used = 0;       // n_used
  int64_t expert_ff = 0;  // n_ff of one
  // Of latent attention:
  int64_t rank_q = 0;
  int64_t latent_q = 0;     // n_head * (n_plain + n_rotated)
  int64_t latent_head = 0;  // widest result of a head, and input
  int64_t latent_heads = 0;
  static Widths of(const ModelConfig&);
};

/// The experts of the rows of a batch. A slot is one row at one of its experts; the slots of an
/// expert lie together. A lone row has n_used of them in order of choice, and threads have chosen,
/// weights, normed and prepared inputs of their own.
struct ExpertSlots {
  Buffer<float> scores;     // [rows, n]  what the router gives
  Buffer<int32_t> chosen;   // [rows, n_used]  experts, best first
  Buffer<float> weights;    // [rows, n_used]
  Buffer<int64_t> slot_of;  // [rows, n_used]
  Buffer<int64_t> row_of;   // [slots]
  Buffer<int64_t> begin;    // [n + 1]  an expert's first slot
  Buffer<float> normed;     // [rows, embd]  what the feed-forward reads
  Buffer<float> gate;       // [slots, n_ff]
  Buffer<float> up;         // [slots, n_ff]
  Buffer<float> down;       // [slots, embd]
  /// Prepared inputs of all experts, one after the other, by ActLayout.
  Buffer<std::byte> inputs[2];
  Buffer<int64_t> input_at[2];          // [n]  where an expert's are, in bytes
  std::vector<Product> gate_up, downs;  // [2 n + 2], [n + 1]; a lone row: [threads, ...]
};

/// Latent attention, of single heads and before they are put together.
struct LatentRows {
  Buffer<float> q_a;    // [rows, rank_q]
  Buffer<float> q;      // [rows, n_head, n_plain + n_rotated]
  Buffer<float> heads;  // [n_head, rows, rank or dim_v]  each head's product
  /// Prepared inputs of these products, head after head, by ActLayout.
  Buffer<std::byte> inputs[2];
  std::vector<Product> products;  // [n_head]
};

struct Workspace {
  /// For batches of up to n_rows rows, n_logits and n_hidden of them with output.
  /// Errors: out_of_memory.
  void reserve(const Model&, const KernelTable&, int n_threads, int64_t n_rows, int64_t n_logits,
               int64_t n_hidden);
  /// For batches of up to kSplitRows rows at positions below n_positions, so that their attention
  /// can be divided; without it, it is not. Errors: out_of_memory.
  void reserve_splits(const Model&, int64_t n_rows, int64_t n_positions);
  /// What reserve_splits would hold, for the memory plan: grows with the positions.
  static int64_t split_bytes(const Model&, int64_t n_positions);
  /// What reserve would hold, for the memory plan.
  static int64_t bytes(const Model&, const KernelTable&, int n_threads, int64_t n_rows,
                       int64_t n_logits);

  Widths widths;
  // For one row, threads have x, cos_sin and prepared inputs of their own: [threads, ...].
  Buffer<float> x;       // [rows, embd]  the residual stream
  Buffer<float> branch;  // [rows, embd]  what a block adds to it
  // Rows stand as close as the layer at hand needs them; the widest layer gives the size.
  Buffer<float> q;                         // [rows, n_head * head_dim_k]
  Buffer<float> k;                         // [rows, n_head_kv * head_dim_k]
  Buffer<float> v;                         // [rows, n_head_kv * head_dim_v]
  Buffer<float> attn;                      // [rows, n_head * head_dim_v]
  Buffer<float> gate;                      // [rows, n_ff]
  Buffer<float> up;                        // [rows, n_ff]
  Buffer<std::byte> act_q8;                // act_bytes(q8, columns, rows): prepared matmul inputs
  Buffer<std::byte> act_f32;               // act_bytes(f32, columns, rows)
  Buffer<float> logits;                    // [n_logits, n_vocab]
  Buffer<float> hidden;                    // [n_hidden, embd]
  Buffer<float> row;                       // [threads, row_stride]  one normed row a thread
  Buffer<float> attend;                    // [threads, attend_stride]
  Buffer<float> partials;                  // [rows, n_head_kv, splits][group, head_dim_v + 2]
  std::vector<Buffer<float>> cos_sin;      // a RopeSpec: [rows, dim/2, 2]
  std::vector<std::vector<double>> freqs;  // a RopeSpec: [dim/2], radians a position
  std::vector<int64_t> logit_rows;         // batch rows with logits, in order
  std::vector<int64_t> seen;               // for encoders, a row: the positions of its sequence
  std::vector<std::vector<float>> slopes;  // ALiBi, a layer: [n_head], or nothing
  ExpertSlots experts;
  LatentRows latents;
  Buffer<float> bounds;    // [groups of 16 tokens][2] KernelTable::head_bounds
  int64_t act_q8_row = 0;  // bytes of one prepared row of the widest input
  int64_t act_f32_row = 0;
  int64_t row_stride = 0;
  int64_t attend_stride = 0;
  int64_t n_splits = 0;  // that partials has room for, of each row

  /// Set before the first reserve(): positions that sequences can have, which some rope scalings
  /// depend on; 0: the model's own.
  int64_t n_ctx = 0;
  /// Set before reserve(): sees the inputs of all products. Not owned; nullptr: nobody does.
  MatmulObserver* observer = nullptr;
  /// The inputs of the product at hand: [rows, row_stride]; where parts of a matrix have inputs of
  /// their own, [slots, cols].
  Buffer<float> observed;
  void observe_row(int64_t t, const float* input, int64_t n) noexcept {
    std::copy(input, input + n, observed.data() + t * row_stride);
  }
  void observe(const Matrix& w, int64_t rows, int64_t begin, int64_t end) noexcept {
    if (rows > 0) observer->input(w, {observed.data(), rows, row_stride}, begin, end);
  }
  void observe_slot(int64_t slot, const float* input, int64_t n) noexcept {
    if (observer != nullptr) std::copy(input, input + n, observed.data() + slot * n);
  }
  /// Slots [first, first + n) are the inputs of a part of w.
  void observe_part(const Matrix& w, int64_t part, int64_t first, int64_t n, int64_t begin,
                    int64_t end) noexcept {
    if (n == 0) return;
    observer->input(w, {observed.data() + first * w.cols, n, w.cols, part}, begin, end);
  }

  /// Before a forward, > 0: of a single row of logits only the so many largest are needed, and any
  /// other may be -infinity. At most HeadBounds::kMostTop.
  int64_t top_k = 0;
  /// After one: the share of the head's rows that were read whole; negative if all logits are
  /// there.
  double head_share = -1;

  /// Phases of a layer whose tiles are dealt out: qkv, attention, output, gate and up, down.
  /// With experts: router, their gates and ups, their downs besides the first three. With latents:
  /// two kinds of queries and two products of heads besides attention and output.
  static constexpr size_t kPhasesPerLayer = 9;
  static constexpr size_t kHeadPhases = 2;
  std::vector<TileCounter> counters;  // kPhasesPerLayer a layer, then kHeadPhases
};

}  // namespace nibble
