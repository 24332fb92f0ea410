#include "formats/tensor_file.h"

#include <algorithm>

#include "formats/io/checked.h"
#include "formats/io/mapped_file.h"

namespace nibble {

TensorFile::TensorFile() = default;
TensorFile::~TensorFile() = default;
TensorFile::TensorFile(TensorFile&&) noexcept = default;
TensorFile& TensorFile::operator=(TensorFile&&) noexcept = default;

const TensorInfo* TensorFile::find(std::string_view name) const noexcept {
  const auto at =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [this](uint32_t i, std::string_view n) { return tensors_[i].name < n; });
  return at != by_name_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

std::span<const std::byte> TensorFile::data(const TensorInfo& info) const noexcept {
  if (info.bytes == 0 || !range_inside(info.offset, info.bytes, bytes_.size())) return {};
  return bytes_.subspan(info.offset, info.bytes);
}

bool TensorFile::unchanged(bool soon) const noexcept {
  return map_ == nullptr || map_->unchanged(soon);
}

void TensorFile::require_unchanged() const {
  if (map_ != nullptr) map_->require_unchanged();
}

}  // namespace nibble
