// AVX-512 with VNNI, and AMX with int8 for many tokens. Exports kernels_amx and nothing else.
// clang-format off
#include "quant/kernels/dot_amx.h"  // first: the primitives
#include "quant/kernels/kernels.inl"
#include "quant/kernels/together.inl"
// clang-format on

constinit const nibble::KernelTable nibble::kernels_amx =
    make_table<nibble::TokensTogether>("amx", "AVX-512 with VNNI, AMX", cpu_runs_amx, Proof::none);
