#pragma once
// Speed of single kernels, of the barrier and of memory, without a model: what `bench --kernels`
// prints and `doctor` sets a model's speed against. Every figure is the fastest of several calls:
// other work on the machine only ever makes a call slower.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "quant/kernels/kernels.h"
#include "runtime/threads/cancel.h"

namespace nibble {

struct KernelSpeed {
  std::string isa;      // kernel table; empty where none is involved
  std::string kernel;   // matmul, head bounds, attend, norm, quantize, int8 peak, barrier, read
  std::string type;     // of the weights, or of keys and values
  std::string layout;   // of the weights: packed, ordered (for output heads), as in the file
  int64_t rows = 0;     // of the weights
  int64_t cols = 0;     // of the weights, or the length of a row; 0: no such thing
  int64_t tokens = 0;   // 0: no such thing
  int64_t depth = 0;    // positions attended to; 0: no such thing
  int threads = 1;      // at work together
  double seconds = 0;   // of one call
  double macs = 0;      // multiply-adds of one call; 0: not counted
  double bytes = 0;     // of weights, keys and values or inputs read by one call; 0: not counted
  double clock_hz = 0;  // of the calling thread's core right after; 0: not measured

  double macs_per_second() const noexcept { return seconds > 0 ? macs / seconds : 0; }
  double bytes_per_second() const noexcept { return seconds > 0 ? bytes / seconds : 0; }
  /// Of one core.
  double macs_per_cycle() const noexcept {
    return clock_hz > 0 ? macs_per_second() / threads / clock_hz : 0;
  }
};

struct KernelBenchOptions {
  std::vector<const KernelTable*> tables;
  std::vector<DType> types;
  std::vector<int64_t> tokens = {1, 2, 4, 8, 16, 64, 512};
  std::vector<int> threads = {1};
  int64_t rows = 4096;
  int64_t cols = 2048;   // a multiple of 256
  double seconds = 0.1;  // that a measurement takes at least
  const CancelToken* cancel = nullptr;
  /// Called with a line that says what comes next; may be empty.
  std::function<void(const std::string&)> on_step;
};

/// Matmul of every table, type, layout and number of tokens, the bounds of an output head,
/// attention for one token at depth 4096 (32 heads of 64 over 8 of keys and values), norm and
/// quantization of a row, the int8 peak. Errors: cancelled, out_of_memory.
std::vector<KernelSpeed> bench_kernels(const KernelBenchOptions& options);

/// Barrier and read bandwidth with so many threads. Errors: as above.
std::vector<KernelSpeed> bench_machine(const KernelBenchOptions& options);

/// The multipliers alone (KernelTable::int8_peak); macs is 0 where the table does not say.
KernelSpeed measure_int8_peak(const KernelTable& table, int threads, double seconds);
/// One Team::barrier(): seconds.
KernelSpeed measure_barrier(int threads, double seconds);
/// Cycles a second of the calling thread's core, from a chain of instructions of one cycle each.
double measure_clock() noexcept;

/// 1 .. n, thinned out above 8: what a table of thread counts shows. The last is n.
std::vector<int> thread_counts(int n);

}  // namespace nibble
