// Any CPU: the kernels over simd_scalar.h. Exports kernels_baseline and nothing else.
// clang-format off
#include "quant/kernels/simd_scalar.h"  // first: the primitives
#include "quant/kernels/kernels.inl"
// clang-format on

constinit const nibble::KernelTable nibble::kernels_baseline =
    make_table("baseline", "plain C++, any CPU", cpu_runs_anything, Proof::silicon);
