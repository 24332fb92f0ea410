#pragma once
// What a tensor's shape and type ask for, in checked arithmetic: shared by readers and writers, so
// that a writer never writes what a reader refuses.
#include <cstdint>
#include <optional>

#include "formats/tensor_file.h"

namespace nibble {

/// Whether no dimension is negative and no product of dimensions, zeros counted as ones, leaves
/// int64_t: then rows(), cols() and every partial product are safe.
bool shape_fits(const TensorInfo& info) noexcept;

/// Bytes of the tensor's data; nothing when they do not fit 64 bits. Preconditions: shape_fits(),
/// and cols() is a multiple of the type's block length.
std::optional<uint64_t> tensor_bytes(const TensorInfo& info, const DTypeInfo& type) noexcept;

}  // namespace nibble
