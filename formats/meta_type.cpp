#include "formats/meta_type.h"

#include "formats/io/bytes.h"

namespace nibble {
namespace {

// Row i describes the type whose number is i.
constexpr MetaTypeInfo kTypes[] = {
    {MetaType::u8, "uint8", MetaKind::integer, 1, false},
    {MetaType::i8, "int8", MetaKind::integer, 1, true},
    {MetaType::u16, "uint16", MetaKind::integer, 2, false},
    {MetaType::i16, "int16", MetaKind::integer, 2, true},
    {MetaType::u32, "uint32", MetaKind::integer, 4, false},
    {MetaType::i32, "int32", MetaKind::integer, 4, true},
    {MetaType::f32, "float32", MetaKind::real, 4, true},
    {MetaType::boolean, "bool", MetaKind::boolean, 1, false},
    {MetaType::string, "string", MetaKind::string, 0, false},
    {MetaType::array, "array", MetaKind::array, 0, false},
    {MetaType::u64, "uint64", MetaKind::integer, 8, false},
    {MetaType::i64, "int64", MetaKind::integer, 8, true},
    {MetaType::f64, "float64", MetaKind::real, 8, true},
};

constexpr bool rows_are_in_order() {
  for (uint32_t i = 0; i < std::size(kTypes); ++i) {
    if (static_cast<uint32_t>(kTypes[i].type) != i) return false;
  }
  return true;
}
static_assert(rows_are_in_order());

}  // namespace

const MetaTypeInfo* find_meta_type(uint32_t id) noexcept {
  return id < std::size(kTypes) ? &kTypes[id] : nullptr;
}

const MetaTypeInfo& meta_type_info(MetaType type) noexcept {
  return kTypes[static_cast<uint32_t>(type)];
}

std::span<const MetaTypeInfo> meta_types() noexcept {
  return kTypes;
}

uint64_t meta_bits(MetaType type, const std::byte* from) noexcept {
  switch (type) {
    case MetaType::i8:
      return static_cast<uint64_t>(int64_t{load_le<int8_t>(from)});
    case MetaType::i16:
      return static_cast<uint64_t>(int64_t{load_le<int16_t>(from)});
    case MetaType::i32:
      return static_cast<uint64_t>(int64_t{load_le<int32_t>(from)});
    default:
      break;
  }
  switch (meta_type_info(type).bytes) {
    case 1:
      return load_le<uint8_t>(from);
    case 2:
      return load_le<uint16_t>(from);
    case 4:
      return load_le<uint32_t>(from);
    case 8:
      return load_le<uint64_t>(from);
    default:
      return 0;
  }
}

}  // namespace nibble
