#pragma once
// How a tensor's numbers lie in a file, by its type id: as rows of blocks under the ecosystem's ids
// (dtype.h), or packed (packed.h) under ids of nibble's own. docs/format.md is normative.
//
// A packed type's id is kPackedIds plus the lower 12 bits of the id of the type that was packed
// (all of it for the ecosystem's types), plus kOrderedIds for ordered planes, so every type with a
// recipe has its row without being named here.
#include <cstdint>
#include <optional>

#include "quant/packed.h"

namespace nibble {

inline constexpr uint32_t kPackedIds = 0x4E420000;
inline constexpr uint32_t kOrderedIds = 0x1000;

/// A packed tensor begins at a multiple of this in its file, and its planes do too.
inline constexpr int64_t kPackedAlignment = 64;

struct StoredType {
  DType type = DType::F32;  // of the numbers
  bool packed = false;
  PackForm form = PackForm::plain;
};

/// One row of the table of packed types.
struct PackedType {
  uint32_t id = 0;
  char name[16] = {};  // "Q4_0.R16"; ordered planes: "Q8_0.R16H"
  DType type = DType::F32;
  PackForm form = PackForm::plain;
};

/// Every packed type; count receives their number.
const PackedType* all_packed_types(int* count) noexcept;
/// By id; nullptr if there is none.
const PackedType* find_packed_type(uint32_t id) noexcept;

/// What a file's type id stands for; nothing where nibble cannot decode it.
std::optional<StoredType> find_stored_type(uint32_t id) noexcept;
/// The way back. Precondition: a type that nibble decodes, with a recipe if it is packed.
constexpr uint32_t stored_type_id(const StoredType& t) noexcept {
  const auto id = static_cast<uint32_t>(t.type);
  if (!t.packed) return id;
  return kPackedIds + (t.form == PackForm::ordered ? kOrderedIds : 0) + id % kOrderedIds;
}

}  // namespace nibble
