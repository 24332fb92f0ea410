#pragma once
// What a tensor's shape and type ask for, in checked arithmetic: shared by readers and writers, so
// that a writer never writes what a reader refuses.
#include <cstdint>
#include <optional>
#include <string>

#include "formats/tensor_file.h"
#include "quant/stored_type.h"

namespace nibble {

/// Whether no dimension is negative and no product of dimensions, zeros counted as ones, leaves
/// int64_t: then rows(), cols() and every partial product are safe.
bool shape_fits(const TensorInfo& info) noexcept;

/// What the tensor's type does not allow about its shape, for a message: "expected rows of ..., got
/// ..."; empty if nothing. Precondition: shape_fits().
std::string shape_problem(const TensorInfo& info, const StoredType& type);

/// Bytes of the tensor's data; nothing when they do not fit 64 bits. Preconditions: shape_fits(),
/// shape_problem() is empty.
std::optional<uint64_t> tensor_bytes(const TensorInfo& info, const StoredType& type) noexcept;

}  // namespace nibble
