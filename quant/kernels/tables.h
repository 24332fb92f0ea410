#pragma once
// The tables of this build: the one symbol that each ISA object exports, and the reference.
#include "quant/kernels/kernels.h"

namespace nibble {

extern const KernelTable kernels_reference;
extern const KernelTable kernels_baseline;
#if defined(__x86_64__)
extern const KernelTable kernels_sse;
extern const KernelTable kernels_avx2;
extern const KernelTable kernels_avxvnni;
extern const KernelTable kernels_avx512;
extern const KernelTable kernels_amx;
#elif defined(__aarch64__)
extern const KernelTable kernels_neon;
extern const KernelTable kernels_dotprod;
extern const KernelTable kernels_i8mm;
#endif

/// Row r of w as floats, whatever its layout: the entry of the reference table.
void dequantize_matrix_row(const Matrix& w, int64_t r, float* out) noexcept;

/// What the CPU and the operating system offer, asked with CPUID and XGETBV (a CPU that knows AVX2
/// under a system that does not save the upper halves of its registers does not count), or from the
/// system's list of an Arm CPU's features.
bool cpu_runs_anything() noexcept;
bool cpu_runs_sse() noexcept;
bool cpu_runs_avx2() noexcept;
bool cpu_runs_avxvnni() noexcept;
bool cpu_runs_avx512() noexcept;
/// Also asks the system for the tiles, which it hands out to processes that say they use them.
bool cpu_runs_amx() noexcept;
bool cpu_runs_neon() noexcept;
bool cpu_runs_dotprod() noexcept;
bool cpu_runs_i8mm() noexcept;

}  // namespace nibble
