// AVX2 + FMA + F16C. Exports kernels_avx2 and nothing else.
// clang-format off
#include "quant/kernels/dot_avx2.h"  // first: the primitives
#include "quant/kernels/kernels.inl"
// clang-format on

constinit const nibble::KernelTable nibble::kernels_avx2 =
    make_table("avx2", "AVX2, FMA and F16C", cpu_runs_avx2, Proof::silicon);
