#pragma once
// The kernels of one instruction set, as a table of functions. Chosen once when an Engine opens and
// passed down; there is no global. All functions are noexcept, allocate nothing and touch only what
// their arguments name.
//
// Same request, same bits: an output element depends only on its own weight row and its own input
// row, and its reduction order depends only on the row length. So results are equal for any number
// of threads, any split of rows and tokens into calls, and any batch.
#include <cstdint>

#include "quant/kv_slab.h"
#include "quant/packed.h"

namespace nibble {

/// A weight matrix, not owned.
struct Matrix {
  /// [rows, cols]: as in a file, rows row_bytes(type, cols) apart; or packed (quant/packed.h).
  const void* data = nullptr;
  DType type = DType::F32;
  int64_t rows = 0;
  int64_t cols = 0;
  bool packed = false;
  PackForm form = PackForm::plain;
};

/// How a matmul wants its input rows prepared.
enum class ActLayout : uint8_t {
  f32,  // plain floats
  q8,   // int8 in blocks of 32 with one scale each, a second int8 for blocks that stand out
};

struct MatmulArgs {
  Matrix w;         // [rows, cols]
  const void* act;  // [tokens, cols] prepared by prepare_act for w's layout
  int64_t tokens;
  int64_t row_begin;  // writes rows [row_begin, row_end); packed: row_begin is a multiple of 16
  int64_t row_end;
  float* out;  // [tokens, out_stride]: out[t * out_stride + r]
  int64_t out_stride;
  // And of tokens [token_begin, token_end), or up to the last: multiples of kPanelTokens.
  int64_t token_begin = 0;
  int64_t token_end = INT64_MAX;
};

/// Tokens whose prepared inputs lie together: how a product's tokens may be divided.
inline constexpr int64_t kPanelTokens = 64;

/// Positions whose attention is summed up on its own before it is merged with what was before.
inline constexpr int64_t kSplitLen = 256;

/// Rows times heads of one attend() call.
inline constexpr int64_t kMostAttendQueries = 64;

/// Attention of consecutive rows of one sequence, and of the query heads that share one key/value
/// head. pages[p] covers positions p*kKvPageLen ...; its key slab (quant/kv_slab.h) starts k_offset
/// bytes into the page, the value slab v_offset bytes. The order of all sums depends on the
/// positions alone: not on how many rows and heads share a call, nor on who does which split.
struct AttendArgs {
  const float* q;  // [rows][group, head_dim_k], rows q_stride floats apart
  int64_t q_stride;
  float* out;  // [rows][group, head_dim_v], rows out_stride floats apart
  int64_t out_stride;
  int64_t rows;   // rows * group <= kMostAttendQueries
  int64_t group;  // query heads of this key/value head
  int64_t head_dim_k;
  int64_t head_dim_v;
  const void* const* pages;
  int64_t k_offset;
  int64_t v_offset;
  int64_t pos;     // of the first row; row i attends to positions up to its own, pos + i
  int64_t window;  // > 0: to the last so many of these
  float scale;     // score = scale * dot(q, k)
  float softcap;   // if > 0: score = softcap * tanh(score / softcap)
  KvType kv_type;
  /// ALiBi, [group] or nullptr: score += slope * (position - row's position), which is no more than
  /// zero (Press et al., arXiv 2108.12409).
  const float* slopes = nullptr;
  /// Attention sinks, [group] or nullptr: each head's sum of weights is larger by e^sink, as if by
  /// a position whose value is zero (Xiao et al., arXiv 2309.17453; gpt-oss).
  const float* sinks = nullptr;
  /// > 0: every row attends to positions [0, seen) instead, those after its own too; window is 0.
  int64_t seen = 0;
};

enum class Activation : uint8_t {
  silu,          // x / (1 + e^-x)
  gelu_tanh,     // x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  gelu,          // x/2 (1 + erf(x / sqrt(2)))
  gelu_quick,    // x / (1 + e^-1.702x)
  relu,          // max(x, 0)
  relu_squared,  // max(x, 0)^2
  /// y / (1 + e^-1.702y), y = min(x, 7); glu multiplies by 1 + the up within [-7, 7] (gpt-oss).
  clamped_swish,
};

/// Which elements of a head rotate together.
enum class RopeKind : uint8_t {
  adjacent,  // (0,1), (2,3), ...      GGUF's llama
  halves,    // (0,n/2), (1,n/2+1) ... GGUF's gemma, qwen
};

/// Where a table's instructions have run: tests/bench/results/isa_paths.md.
enum class Proof : uint8_t {
  none,      // nowhere as a whole: chosen by name only
  emulator,  // under an emulator of the CPU
  silicon,
};

struct KernelTable {
  const char* name;              // "reference", "avx2": what --isa takes
  const char* description;       // for help and reports
  bool (*supported)() noexcept;  // does this CPU run it?
  Proof proof;
  KvType default_kv;  // what a SequenceState uses when nobody asked
  bool takes_packed;  // packed weights are faster; every table reads them

  /// Layout that matmul wants for weights of this type.
  ActLayout (*act_layout)(DType) noexcept;
  /// Bytes of `tokens` prepared rows of k elements; a multiple of 64.
  int64_t (*act_bytes)(ActLayout, int64_t k, int64_t tokens) noexcept;
  /// x [k] -> row t of the `tokens` rows of act, act_bytes(layout, k, tokens) long. Rows may be
  /// prepared at the same time by several threads. k is a multiple of 32 for q8.
  void (*prepare_act)(ActLayout, const float* x, int64_t k, void* act, int64_t t,
                      int64_t tokens) noexcept;
  void (*matmul)(const MatmulArgs&) noexcept;
  /// For weights in ordered planes and one token: what the upper planes say of each group of 16
  /// rows of [row_begin, row_end). Group g's row_begin is a multiple of 16 and out is
  /// [group from row_begin / 16 on][2], the largest of the rows' lower bounds and the largest of
  /// their upper bounds: between them lies the largest result that matmul would give, whatever its
  /// roundings. nullptr: there is no such kernel.
  void (*head_bounds)(const MatmulArgs&, float* out) noexcept;
  /// Row r of w as floats: out [cols]. Exact.
  void (*dequantize_row)(const Matrix& w, int64_t r, float* out) noexcept;
  /// search_row of quant/search.h for types that have scales. The same bytes on every table.
  void (*search_row)(DType type, const float* x, const float* importance, int64_t cols,
                     void* out) noexcept;

  /// out[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i]; out may be x. weight nullptr means ones.
  void (*rms_norm)(const float* x, const float* weight, int64_t n, float eps, float* out) noexcept;
  /// out[i] = (x[i] - mean) / sqrt(variance + eps) * weight[i] + bias[i]; out may be x. weight
  /// nullptr means ones, bias nullptr zeros.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, int64_t n, float eps,
                     float* out) noexcept;
  /// Rotates the first rope_dim elements of each head in place.
  /// x [heads, head_dim], cos_sin [rope_dim/2][2]
  void (*rope)(float* x, int64_t heads, int64_t head_dim, int64_t rope_dim, const float* cos_sin,
               RopeKind) noexcept;
  /// out[i] = act(gate[i]) * up[i]; out may be gate.
  void (*glu)(Activation, const float* gate, const float* up, int64_t n, float* out) noexcept;
  /// out[i] = act(x[i]); out may be x.
  void (*activate)(Activation, const float* x, int64_t n, float* out) noexcept;
  /// x[i] += y[i]
  void (*add)(float* x, const float* y, int64_t n) noexcept;
  /// x[i] *= s
  void (*scale)(float* x, int64_t n, float s) noexcept;
  /// x[i] = cap * tanh(x[i] / cap)
  void (*softcap)(float* x, int64_t n, float cap) noexcept;
  /// Rotates each head for types of keys that want it (kv_rotates). x [heads, head_dim]
  void (*rotate)(float* x, int64_t heads, int64_t head_dim) noexcept;
  /// Stores one key [n] or value [n] into its place of a slab.
  void (*store_key)(KvType, const float* x, int64_t n, void* slab, int64_t slot) noexcept;
  void (*store_value)(KvType, const float* x, int64_t n, void* slab, int64_t slot) noexcept;
  /// scratch is attend_scratch() floats, not shared between threads.
  void (*attend)(const AttendArgs&, float* scratch) noexcept;
  int64_t (*attend_scratch)(int64_t rows, int64_t group, int64_t head_dim_k,
                            int64_t head_dim_v) noexcept;
  /// The same in parts, for one row: positions [split, split + 1) * kSplitLen only. Both are
  /// nullptr where attend() cannot be divided.
  /// partial [group][head_dim_v + 2]: what attend_merge takes.
  void (*attend_partial)(const AttendArgs&, int64_t split, float* partial, float* scratch) noexcept;
  /// One head's partials of all splits in order, `stride` floats apart -> out [head_dim_v]. sink:
  /// the head's of AttendArgs::sinks, or nullptr.
  void (*attend_merge)(const float* partials, int64_t splits, int64_t stride, int64_t head_dim_v,
                       const float* sink, float* out) noexcept;
  /// What no matmul of this table can exceed: multiplies 4-bit codes in registers with int8 inputs
  /// in the first cache, and nothing else. Returns the multiply-adds done, in proportion to steps.
  /// nullptr: not known.
  int64_t (*int8_peak)(int64_t steps) noexcept;
};

/// Every table of this build, best first; `reference` is last and always supported.
/// count receives their number.
const KernelTable* const* all_kernels(int* count) noexcept;
/// The best table that this CPU supports and that has run somewhere before (never `reference`,
/// except where nothing else is).
const KernelTable* best_kernels() noexcept;
/// By name, supported or not; nullptr if there is none.
const KernelTable* kernels_named(const char* name) noexcept;

}  // namespace nibble
