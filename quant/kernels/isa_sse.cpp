// SSSE3 and SSE4.1, which x86-64-v2 has. Exports kernels_sse and nothing else.
// clang-format off
#include "quant/kernels/dot_sse.h"  // first: the primitives
#include "quant/kernels/kernels.inl"
// clang-format on

constinit const nibble::KernelTable nibble::kernels_sse =
    make_table("sse", "SSSE3 and SSE4.1", cpu_runs_sse, Proof::silicon);
