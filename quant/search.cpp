#include "quant/search.h"

#include "quant/codec.h"
#include "quant/kernels/kernels.h"

namespace nibble {

void search_row(DType type, const float* x, const float* importance, int64_t cols,
                void* out) noexcept {
  if (type == DType::F32 || type == DType::F16 || type == DType::BF16) {
    return quantize_row(type, x, cols, out);
  }
  // Asking the CPU takes longer than a row does. Which table it is shows in no result.
  static const KernelTable* const kKernels = best_kernels();
  kKernels->search_row(type, x, importance, cols, out);
}

}  // namespace nibble
