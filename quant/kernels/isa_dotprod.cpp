// 64-bit Arm with SDOT (ARMv8.2's dot product). Exports kernels_dotprod and nothing else.
// clang-format off
#include "quant/kernels/dot_dotprod.h"  // first: the primitives
#include "quant/kernels/kernels.inl"
// clang-format on

constinit const nibble::KernelTable nibble::kernels_dotprod =
    make_table("dotprod", "Arm NEON with dot product", cpu_runs_dotprod, Proof::emulator);
