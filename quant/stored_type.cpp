// The table of packed types, generated from AllTypes and the recipes.
#include "quant/stored_type.h"

#include <array>

#include "quant/all_types.h"

namespace nibble {
namespace {

constexpr PackForm kForms[] = {PackForm::plain, PackForm::ordered};

constexpr int count_packed_types() {
  int n = 0;
  for_each_type(AllTypes{}, [&]<class Block>() {
    for (const PackForm form : kForms) n += is_packed(recipe_of(Block::kType, form)) ? 1 : 0;
  });
  return n;
}
constexpr int kCount = count_packed_types();

constexpr PackedType make_row(DType type, const char* name, PackForm form) {
  PackedType row;
  row.id = stored_type_id({type, true, form});
  row.type = type;
  row.form = form;
  char* to = row.name;
  for (const char* part : {name, form == PackForm::ordered ? ".R16H" : ".R16"}) {
    while (*part != '\0') *to++ = *part++;  // a name too long does not compile
  }
  return row;
}

constexpr std::array<PackedType, kCount> make_rows() {
  std::array<PackedType, kCount> rows;
  size_t n = 0;
  for_each_type(AllTypes{}, [&]<class Block>() {
    for (const PackForm form : kForms) {
      if (is_packed(recipe_of(Block::kType, form))) {
        rows[n++] = make_row(Block::kType, Block::kName, form);
      }
    }
  });
  return rows;
}
constexpr auto kRows = make_rows();

}  // namespace

const PackedType* all_packed_types(int* count) noexcept {
  *count = kCount;
  return kRows.data();
}

const PackedType* find_packed_type(uint32_t id) noexcept {
  for (const PackedType& row : kRows) {
    if (row.id == id) return &row;
  }
  return nullptr;
}

std::optional<StoredType> find_stored_type(uint32_t id) noexcept {
  if (const DTypeInfo* row = find_dtype(id)) return StoredType{row->type, false, PackForm::plain};
  if (const PackedType* row = find_packed_type(id)) return StoredType{row->type, true, row->form};
  return std::nullopt;
}

}  // namespace nibble
