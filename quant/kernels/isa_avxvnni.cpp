// AVX2 with the 256-bit VNNI. Exports kernels_avxvnni and nothing else.
// clang-format off
#include "quant/kernels/dot_avxvnni.h"  // first: the primitives
#include "quant/kernels/kernels.inl"
// clang-format on

constinit const nibble::KernelTable nibble::kernels_avxvnni =
    make_table("avxvnni", "AVX2 and AVX-VNNI", cpu_runs_avxvnni, Proof::silicon);
