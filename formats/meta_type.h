#pragma once
// The table of metadata value types, one row each.
#include <cstdint>
#include <span>

#include "formats/tensor_file.h"

namespace nibble {

enum class MetaKind { integer, real, boolean, string, array };

struct MetaTypeInfo {
  MetaType type;
  const char* name;  // as messages and `inspect` print it: "uint32"
  MetaKind kind;
  uint32_t bytes;  // of one value in the file; 0 for strings and arrays, which say their length
  bool is_signed;
};

/// nullptr for a number that is no type.
const MetaTypeInfo* find_meta_type(uint32_t id) noexcept;
/// Precondition: one of the enumerators.
const MetaTypeInfo& meta_type_info(MetaType type) noexcept;
std::span<const MetaTypeInfo> meta_types() noexcept;

/// A scalar's bits as MetaValue holds them (sign- or zero-extended), from its bytes in the file.
/// Precondition: a scalar type, and `from` has meta_type_info(type).bytes bytes.
uint64_t meta_bits(MetaType type, const std::byte* from) noexcept;

}  // namespace nibble
