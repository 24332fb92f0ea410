#include "formats/tensor_size.h"

#include <algorithm>

#include "formats/io/checked.h"

namespace nibble {

bool shape_fits(const TensorInfo& info) noexcept {
  uint64_t elements = 1;
  for (int i = 0; i < info.n_dims; ++i) {
    if (info.shape[i] < 0) return false;
    const auto dim = static_cast<uint64_t>(std::max<int64_t>(info.shape[i], 1));
    const auto product = checked_mul(elements, dim);
    if (!product || *product > static_cast<uint64_t>(INT64_MAX)) return false;
    elements = *product;
  }
  return true;
}

std::optional<uint64_t> tensor_bytes(const TensorInfo& info, const DTypeInfo& type) noexcept {
  const auto blocks = static_cast<uint64_t>(info.cols() / type.block_len * info.rows());
  return checked_mul(blocks, static_cast<uint64_t>(type.block_bytes));
}

}  // namespace nibble
