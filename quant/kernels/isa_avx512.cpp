// AVX-512 F, BW, DQ, VL and VNNI. Exports kernels_avx512 and nothing else.
// clang-format off
#include "quant/kernels/groups_avx512.h"  // first: the primitives
#include "quant/kernels/kernels.inl"
// clang-format on

constinit const nibble::KernelTable nibble::kernels_avx512 =
    make_table("avx512", "AVX-512 with VNNI", cpu_runs_avx512, Proof::silicon);
