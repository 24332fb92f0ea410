// 64-bit Arm with SDOT and SMMLA (ARMv8.6's matrix product). Exports kernels_i8mm and nothing else.
// clang-format off
#include "quant/kernels/dot_i8mm.h"  // first: the primitives
#include "quant/kernels/kernels.inl"
#include "quant/kernels/together.inl"
// clang-format on

constinit const nibble::KernelTable nibble::kernels_i8mm = make_table<nibble::TokensTogether>(
    "i8mm", "Arm NEON with dot and matrix product", cpu_runs_i8mm, Proof::emulator);
