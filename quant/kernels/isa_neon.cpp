// 64-bit Arm. Exports kernels_neon and nothing else.
// clang-format off
#include "quant/kernels/dot_neon.h"  // first: the primitives
#include "quant/kernels/kernels.inl"
// clang-format on

constinit const nibble::KernelTable nibble::kernels_neon =
    make_table("neon", "Arm NEON", cpu_runs_neon, Proof::emulator);
