#include "formats/tensor_size.h"

#include <fmt/format.h>

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

std::string shape_problem(const TensorInfo& info, const StoredType& type) {
  const int64_t length = dtype_info(type.type).block_len;
  const int64_t step = type.packed ? std::max(length, kPackBlock) : length;
  if (info.cols() % step != 0) {
    return fmt::format("expected rows of a multiple of {} elements (type {}), got {}", step,
                       dtype_ecosystem_name(info.type_id), info.cols());
  }
  const bool stacked = info.n_dims == 3 && type.form != PackForm::ordered;
  if (type.packed && info.n_dims != 2 && !stacked) {
    return fmt::format("expected {} dimensions (type {}), got {}",
                       type.form == PackForm::ordered ? "2" : "2 or 3",
                       dtype_ecosystem_name(info.type_id), info.n_dims);
  }
  if (type.packed && stacked && info.shape[1] % kGroupRows != 0) {
    return fmt::format("expected matrices of a multiple of {} rows (type {}), got {}", kGroupRows,
                       dtype_ecosystem_name(info.type_id), info.shape[1]);
  }
  if (type.packed && type.form == PackForm::ordered && info.cols() > kMostOrderedCols) {
    return fmt::format("expected rows of at most {} elements (type {}), got {}", kMostOrderedCols,
                       dtype_ecosystem_name(info.type_id), info.cols());
  }
  return {};
}

namespace {

std::optional<uint64_t> packed_tensor_bytes(const TensorInfo& info, const StoredType& type) {
  if (info.rows() == 0 || info.cols() == 0) return 0;
  const auto rows = checked_align(static_cast<uint64_t>(info.rows()), kGroupRows);
  const auto padded = rows ? checked_mul(*rows, static_cast<uint64_t>(info.cols())) : std::nullopt;
  // All planes together take less than 8 bytes an element.
  if (!padded || *padded > static_cast<uint64_t>(INT64_MAX / 8)) return std::nullopt;
  const PackedLayout layout = packed_layout(type.type, info.rows(), info.cols(), type.form);
  return static_cast<uint64_t>(layout.bytes);
}

}  // namespace

std::optional<uint64_t> tensor_bytes(const TensorInfo& info, const StoredType& type) noexcept {
  if (type.packed) return packed_tensor_bytes(info, type);
  const DTypeInfo& blocks = dtype_info(type.type);
  const auto count = static_cast<uint64_t>(info.cols() / blocks.block_len * info.rows());
  return checked_mul(count, static_cast<uint64_t>(blocks.block_bytes));
}

}  // namespace nibble
