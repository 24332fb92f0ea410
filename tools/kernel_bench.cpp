// Weights are a few rows over and over, inputs small numbers: time does not depend on values as
// long as none is denormal. Work is dealt out to threads in the tiles of a forward pass.
#include "tools/kernel_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <limits>
#include <memory>

#include "formats/io/error.h"
#include "quant/all_types.h"
#include "quant/codec.h"
#include "quant/packed.h"
#include "runtime/model/sequence_state.h"
#include "runtime/threads/team.h"
#include "tools/read_bandwidth.h"

namespace nibble {
namespace {

using Clock = std::chrono::steady_clock;
using Bytes = std::vector<uint8_t>;

constexpr int64_t kDistinctRows = 16;
constexpr int64_t kManyTokens = 16;  // from so many on a tile has kManyRows rows, else kFewRows
constexpr int64_t kManyRows = 128;
constexpr int64_t kFewRows = 32;

// The shape of attention of a model of 1B.
constexpr int64_t kHeads = 32;
constexpr int64_t kHeadsKv = 8;
constexpr int64_t kHeadDim = 64;
constexpr int64_t kDepth = 4096;

struct KvName {
  KvType type;
  const char* name;
};
constexpr KvName kKvTypes[] = {
    {KvType::q8, "q8"}, {KvType::f16, "f16"}, {KvType::q4, "q4"}, {KvType::f32, "f32"}};

/// The fastest of several calls that take `budget` seconds together, or of one longer one.
template <class F>
double fastest(double budget, F&& call) {
  double best = std::numeric_limits<double>::infinity();
  double total = 0;
  do {
    const Clock::time_point start = Clock::now();
    call();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, seconds);
    total += std::max(seconds, 1e-9);
  } while (total < budget);
  return best;
}

// Numbers of either sign between 1/16 and 1.
std::vector<float> small_numbers(int64_t n) {
  std::vector<float> out(static_cast<size_t>(n));
  uint32_t state = 1;
  for (float& x : out) {
    state = state * 1664525u + 1013904223u;
    x = static_cast<float>(state >> 20 & 15 ? static_cast<int>(state >> 20 & 15) : 1) / 16.0f;
    if ((state >> 30 & 1) != 0) x = -x;
  }
  return out;
}

// For types that nibble does not encode: any codes, factors of a size that weights have.
Bytes any_blocks(DType type, int64_t count) {
  Bytes out;
  uint32_t state = 1;
  for_each_type(AllTypes{}, [&]<class Block>() {
    if (Block::kType != type) return;
    for (int64_t i = 0; i < count; ++i) {
      uint8_t bytes[sizeof(Block)];
      for (uint8_t& b : bytes) b = static_cast<uint8_t>((state = state * 1664525u + 1u) >> 24);
      Block block;
      std::memcpy(&block, bytes, sizeof block);
      if constexpr (requires { block.d; }) block.d = block::float_to_half(0.01f);
      if constexpr (requires { block.m; }) block.m = block::float_to_half(0.01f);
      if constexpr (requires { block.dmin; }) block.dmin = block::float_to_half(0.01f);
      std::memcpy(bytes, &block, sizeof block);
      out.insert(out.end(), bytes, bytes + sizeof block);
    }
  });
  return out;
}

// [rows, cols] as in a file
Bytes make_weights(DType type, int64_t rows, int64_t cols) {
  const int64_t stride = row_bytes(type, cols);
  Bytes some;
  if (can_quantize(type)) {
    some.resize(static_cast<size_t>(kDistinctRows * stride));
    const std::vector<float> x = small_numbers(kDistinctRows * cols);
    quantize_row(type, x.data(), kDistinctRows * cols, some.data());
  } else {
    some = any_blocks(type, kDistinctRows * cols / dtype_info(type).block_len);
  }
  Bytes out;
  out.reserve(static_cast<size_t>(rows * stride));
  for (int64_t r = 0; r < rows; ++r) {
    const auto row = some.begin() + r % kDistinctRows * stride;
    out.insert(out.end(), row, row + stride);
  }
  return out;
}

Bytes pack_matrix(DType type, PackForm form, const Bytes& weights, int64_t rows, int64_t cols) {
  const PackedLayout layout = packed_layout(type, rows, cols, form);
  const int64_t stride = row_bytes(type, cols);
  Bytes out(static_cast<size_t>(layout.bytes));
  for (int64_t g = 0; g < layout.groups; ++g) {
    const int64_t row = g * kGroupRows;
    const UnpackedRows from = {weights.data() + row * stride, stride,
                               std::min(kGroupRows, rows - row), 0};
    pack_group(type, from, layout, g, out.data());
  }
  return out;
}

/// A matrix in one of the forms that a kernel takes.
struct Weights {
  const char* layout;  // what reports call the form
  Bytes bytes;
  Matrix matrix;
};

// [rows, cols] as in a file, packed, in ordered planes: whatever the type has.
std::vector<Weights> all_forms(DType type, int64_t rows, int64_t cols) {
  const Bytes in_file = make_weights(type, rows, cols);
  std::vector<Weights> out;
  const auto add = [&](const char* layout, PackForm form) {
    if (!is_packed(recipe_of(type, form))) return;
    Weights w = {layout, pack_matrix(type, form, in_file, rows, cols), {}};
    w.matrix = {w.bytes.data(), type, rows, cols, true, form};
    out.push_back(std::move(w));
  };
  add("packed", PackForm::plain);
  if (cols <= kMostOrderedCols) add("ordered", PackForm::ordered);
  out.push_back({"file", in_file, {}});
  out.back().matrix = {out.back().bytes.data(), type, rows, cols};
  return out;
}

// 64-byte aligned memory, as the kernels get it from a forward pass.
template <class T>
class Aligned {
 public:
  explicit Aligned(int64_t n)
      : memory_(static_cast<size_t>(n) * sizeof(T) + 64),
        data_(reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(memory_.data()) + 63) / 64 * 64)) {}
  Aligned(Aligned&&) noexcept = default;  // the memory stays where it is
  T* data() const noexcept { return data_; }

 private:
  Bytes memory_;
  T* data_;
};

class KernelBench {
 public:
  explicit KernelBench(const KernelBenchOptions& options) : options_(options) {}

  std::vector<KernelSpeed> run() {
    for (const DType type : options_.types) matmul_of_type(type);
    for (const KernelTable* table : options_.tables) {
      for (const int threads : options_.threads) {
        step(fmt::format("{} attention, {} threads", table->name, threads));
        for (const KvName& kv : kKvTypes) attend(*table, kv, threads);
      }
      step(fmt::format("{} norm, quantization, multipliers", table->name));
      rows(*table);
      for (const int threads : options_.threads) {
        KernelSpeed peak = measure_int8_peak(*table, threads, options_.seconds);
        if (peak.macs > 0) out_.push_back(peak);
      }
    }
    return std::move(out_);
  }

 private:
  void step(const std::string& text) const {
    if (options_.cancel != nullptr && options_.cancel->requested()) {
      fail(ErrorCode::cancelled, "cancelled");
    }
    if (options_.on_step) options_.on_step(text);
  }

  void matmul_of_type(DType type) {
    for (const Weights& w : all_forms(type, options_.rows, options_.cols)) {
      for (const KernelTable* table : options_.tables) {
        if (w.matrix.packed && !table->takes_packed) continue;
        for (const int threads : options_.threads) {
          step(fmt::format("{} matmul {} {}, {} threads", table->name, dtype_info(type).name,
                           w.layout, threads));
          Team team(threads);
          for (const int64_t tokens : options_.tokens) matmul(*table, team, w, tokens);
          if (w.matrix.form == PackForm::ordered && table->head_bounds != nullptr) {
            head_bounds(*table, team, w);
          }
        }
      }
    }
  }

  // x [tokens, cols] as the kernels want it.
  Aligned<uint8_t> inputs(const KernelTable& k, const Matrix& w, int64_t tokens) const {
    const ActLayout layout = k.act_layout(w.type);
    const std::vector<float> x = small_numbers(tokens * w.cols);  // [tokens, cols]
    Aligned<uint8_t> act(k.act_bytes(layout, w.cols, tokens));
    for (int64_t t = 0; t < tokens; ++t) {
      k.prepare_act(layout, x.data() + t * w.cols, w.cols, act.data(), t, tokens);
    }
    return act;
  }

  static KernelSpeed speed_of(const char* kernel, const KernelTable& k, const Team& team,
                              const Weights& w, int64_t tokens) {
    KernelSpeed speed = {.isa = k.name,
                         .kernel = kernel,
                         .type = dtype_info(w.matrix.type).name,
                         .layout = w.layout,
                         .rows = w.matrix.rows,
                         .cols = w.matrix.cols,
                         .tokens = tokens,
                         .threads = team.size()};
    speed.bytes = static_cast<double>(w.bytes.size());
    return speed;
  }

  void matmul(const KernelTable& k, Team& team, const Weights& weights, int64_t tokens) {
    const Matrix& w = weights.matrix;
    const Aligned<uint8_t> act = inputs(k, w, tokens);
    Aligned<float> out(tokens * w.rows);  // [tokens, rows]
    const int64_t tile_rows = tokens >= kManyTokens ? kManyRows : kFewRows;
    const int64_t panels = (tokens + kPanelTokens - 1) / kPanelTokens;
    const int64_t n_tiles = (w.rows + tile_rows - 1) / tile_rows * panels;
    TileCounter tiles;
    KernelSpeed speed = speed_of("matmul", k, team, weights, tokens);
    speed.seconds = fastest(options_.seconds, [&] {
      tiles.reset();
      team.run([&](int, Team&) {
        for (int64_t tile = tiles.next(); tile < n_tiles; tile = tiles.next()) {
          const int64_t row = tile / panels * tile_rows;
          const int64_t token = tile % panels * kPanelTokens;
          k.matmul({w, act.data(), tokens, row, std::min(row + tile_rows, w.rows), out.data(),
                    w.rows, token, token + kPanelTokens});
        }
      });
    });
    speed.clock_hz = measure_clock();
    speed.macs = static_cast<double>(w.rows * w.cols) * static_cast<double>(tokens);
    out_.push_back(speed);
  }

  // The first pass over an output head. Of a code's 8 bits it reads 5; all factors.
  void head_bounds(const KernelTable& k, Team& team, const Weights& weights) {
    const Matrix& w = weights.matrix;
    const Aligned<uint8_t> act = inputs(k, w, 1);
    Aligned<float> out((w.rows + kGroupRows - 1) / kGroupRows * 2);  // [groups, 2]
    TileCounter tiles;
    KernelSpeed speed = speed_of("head bounds", k, team, weights, 1);
    speed.bytes -= static_cast<double>(w.rows * w.cols) * 3 / 8;
    speed.seconds = fastest(options_.seconds, [&] {
      tiles.reset();
      team.run([&](int, Team&) {
        for (int64_t row = tiles.next() * kManyRows; row < w.rows; row = tiles.next() * kManyRows) {
          k.head_bounds({w, act.data(), 1, row, std::min(row + kManyRows, w.rows), nullptr, 0},
                        out.data() + row / kGroupRows * 2);
        }
      });
    });
    out_.push_back(speed);
  }

  // One token at position kDepth - 1 of a sequence of one layer.
  void attend(const KernelTable& k, const KvName& kv, int threads) {
    ModelConfig config;
    LayerSpec spec;
    spec.n_head = kHeads;
    spec.n_head_kv = kHeadsKv;
    spec.head_dim_k = spec.head_dim_v = kHeadDim;
    config.layers.push_back(spec);
    SequenceState sequence(std::make_shared<const KvLayout>(KvLayout::of(config, kv.type)));
    sequence.reserve(kDepth);
    const KvLayout::Layer& at = sequence.layout().layers.front();
    const std::vector<float> x =
        small_numbers(kHeads * kHeadDim + kDepth);  // [heads, dim] and more
    for (int64_t pos = 0; pos < kDepth; ++pos) {
      std::byte* page = sequence.page_of(pos);
      for (int64_t h = 0; h < kHeadsKv; ++h) {
        k.store_key(kv.type, x.data() + pos, kHeadDim, page + at.k_offset + h * at.k_head,
                    pos % kKvPageLen);
        k.store_value(kv.type, x.data() + pos, kHeadDim, page + at.v_offset + h * at.v_head,
                      pos % kKvPageLen);
      }
    }
    KernelSpeed speed = {.isa = k.name,
                         .kernel = "attend",
                         .type = kv.name,
                         .layout = "",
                         .tokens = 1,
                         .depth = kDepth,
                         .threads = threads};
    Team team(threads);
    speed.seconds = time_attention(k, team, sequence, x.data());
    speed.clock_hz = measure_clock();
    speed.macs = static_cast<double>(kHeads * kDepth * 2 * kHeadDim);
    speed.bytes = static_cast<double>(sequence.allocated_bytes());
    out_.push_back(speed);
  }

  // q [heads, dim]
  double time_attention(const KernelTable& k, Team& team, const SequenceState& sequence,
                        const float* q) const {
    constexpr int64_t kGroup = kHeads / kHeadsKv;
    constexpr int64_t kSplits = kDepth / kSplitLen;
    constexpr int64_t kPartial = kHeadDim + 2;
    const bool divided = k.attend_partial != nullptr;
    const int64_t scratch_floats = k.attend_scratch(1, kGroup, kHeadDim, kHeadDim) + 16;
    Aligned<float> scratch(scratch_floats * team.size());  // [threads, ...]
    Aligned<float> out(kHeads * kHeadDim);                 // [heads, dim]
    Aligned<float> partials(kHeadsKv * kSplits * kGroup *
                            kPartial);  // [kv heads, splits, group, .]
    const KvLayout::Layer& at = sequence.layout().layers.front();
    const auto args_of = [&](int64_t head_kv) {
      AttendArgs a;
      a.q = q + head_kv * kGroup * kHeadDim;
      a.out = out.data() + head_kv * kGroup * kHeadDim;
      a.q_stride = a.out_stride = kHeads * kHeadDim;
      a.rows = 1;
      a.group = kGroup;
      a.head_dim_k = a.head_dim_v = kHeadDim;
      a.pages = sequence.pages();
      a.k_offset = at.k_offset + head_kv * at.k_head;
      a.v_offset = at.v_offset + head_kv * at.v_head;
      a.pos = kDepth - 1;
      a.window = 0;
      a.scale = 0.125f;
      a.softcap = 0;
      a.kv_type = sequence.layout().type;
      return a;
    };
    TileCounter units;
    return fastest(options_.seconds, [&] {
      units.reset();
      team.run([&](int thread, Team& all) {
        float* mine = scratch.data() + thread * scratch_floats / 16 * 16;
        const int64_t n_units = divided ? kHeadsKv * kSplits : kHeadsKv;
        for (int64_t unit = units.next(); unit < n_units; unit = units.next()) {
          if (!divided) {
            k.attend(args_of(unit), mine);
          } else {
            k.attend_partial(args_of(unit / kSplits), unit % kSplits,
                             partials.data() + unit * kGroup * kPartial, mine);
          }
        }
        if (!divided) return;
        all.barrier();
        for (int64_t head = thread; head < kHeads; head += all.size()) {
          const float* first = partials.data() + head / kGroup * kSplits * kGroup * kPartial;
          k.attend_merge(first + head % kGroup * kPartial, kSplits, kGroup * kPartial, kHeadDim,
                         nullptr, out.data() + head * kHeadDim);
        }
      });
    });
  }

  // One row on one thread: a thread does these for itself.
  void rows(const KernelTable& k) {
    const int64_t n = options_.cols;
    const std::vector<float> x = small_numbers(n);
    std::vector<float> normed(x.size());
    KernelSpeed speed = {
        .isa = k.name, .kernel = "norm", .type = "f32", .layout = "", .cols = n, .tokens = 1};
    speed.bytes = static_cast<double>(x.size() * sizeof(float));
    speed.seconds = each([&] { k.rms_norm(x.data(), x.data(), n, 1e-5f, normed.data()); });
    out_.push_back(speed);
    Aligned<uint8_t> act(k.act_bytes(ActLayout::q8, n, 1));
    speed.kernel = "quantize";
    speed.type = "q8";
    speed.seconds = each([&] { k.prepare_act(ActLayout::q8, x.data(), n, act.data(), 0, 1); });
    out_.push_back(speed);
  }

  /// Of a call that is too short for the clock.
  template <class F>
  double each(F&& call) const {
    constexpr int kCalls = 100;
    return fastest(options_.seconds / 4,
                   [&] {
                     for (int i = 0; i < kCalls; ++i) call();
                   }) /
           kCalls;
  }

  const KernelBenchOptions& options_;
  std::vector<KernelSpeed> out_;
};

}  // namespace

std::vector<KernelSpeed> bench_kernels(const KernelBenchOptions& options) {
  return KernelBench(options).run();
}

std::vector<KernelSpeed> bench_machine(const KernelBenchOptions& options) {
  const auto step = [&](const char* text) {
    if (options.cancel != nullptr && options.cancel->requested()) {
      fail(ErrorCode::cancelled, "cancelled");
    }
    if (options.on_step) options.on_step(text);
  };
  step("barrier");
  std::vector<KernelSpeed> out;
  for (const int n : options.threads) out.push_back(measure_barrier(n, options.seconds));
  step("read bandwidth");
  const std::vector<double> rates = measure_read_bandwidth(options.threads);
  for (size_t i = 0; i < rates.size(); ++i) {
    if (rates[i] <= 0) continue;
    KernelSpeed speed = {.isa = "", .kernel = "read", .type = "", .layout = ""};
    speed.threads = options.threads[i];
    speed.bytes = static_cast<double>(read_buffer_bytes());
    speed.seconds = speed.bytes / rates[i];
    out.push_back(speed);
  }
  return out;
}

KernelSpeed measure_int8_peak(const KernelTable& table, int threads, double seconds) {
  KernelSpeed speed = {.isa = table.name, .kernel = "int8 peak", .type = "", .layout = ""};
  speed.threads = threads;
  if (table.int8_peak == nullptr) return speed;
  int64_t steps = 64;  // grows until a call is long beside the start of its threads
  while (fastest(1e-9, [&] { table.int8_peak(steps); }) < 0.5e-3) steps *= 2;
  Team team(threads);
  std::atomic<int64_t> macs{0};
  speed.seconds = fastest(seconds, [&] {
    macs.store(0, std::memory_order_relaxed);
    team.run([&](int, Team&) { macs += table.int8_peak(steps); });
  });
  speed.clock_hz = measure_clock();
  speed.macs = static_cast<double>(macs.load());
  return speed;
}

KernelSpeed measure_barrier(int threads, double seconds) {
  constexpr int kBarriers = 1000;
  KernelSpeed speed = {.isa = "", .kernel = "barrier", .type = "", .layout = ""};
  speed.threads = threads;
  Team team(threads);
  speed.seconds = fastest(seconds,
                          [&] {
                            team.run([](int, Team& all) {
                              for (int i = 0; i < kBarriers; ++i) all.barrier();
                            });
                          }) /
                  kBarriers;
  return speed;
}

double measure_clock() noexcept {
  // Exclusive or of two registers takes one cycle on every CPU we know; the empty statements keep
  // the compiler from shortening the chain.
  constexpr int64_t kRounds = 2000;
  constexpr int64_t kEach = 16;
  uint64_t a = 1;
  uint64_t b = 3;
  __asm__ volatile("" : "+r"(b));
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 4; ++i) {
    const Clock::time_point start = Clock::now();
    for (int64_t r = 0; r < kRounds; ++r) {
#pragma GCC unroll 16
      for (int64_t j = 0; j < kEach; ++j) {
        a ^= b;
        __asm__ volatile("" : "+r"(a));
      }
    }
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return static_cast<double>(kRounds * kEach) / best;
}

std::vector<int> thread_counts(int n) {
  std::vector<int> out;
  for (int i = 1; i < n; i += i < 8 ? 1 : i) out.push_back(i);
  out.push_back(std::max(n, 1));
  return out;
}

}  // namespace nibble
