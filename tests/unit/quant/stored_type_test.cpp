// The table of packed types: a row for every recipe, ids and names that follow from the source
// type.
#include "quant/stored_type.h"

#include <set>
#include <string>

#include "tests/support/catch.h"
#include "tests/support/kernel_data.h"

using namespace nibble;

TEST_CASE("every type with a recipe has a packed type, and no other") {
  int count = 0;
  const PackedType* rows = all_packed_types(&count);
  std::set<uint32_t> ids;
  int expected = 0;
  for (const DType type : test::all_dtypes()) {
    for (const PackForm form : {PackForm::plain, PackForm::ordered}) {
      const uint32_t id = stored_type_id({type, true, form});
      const PackedType* row = find_packed_type(id);
      INFO(dtype_info(type).name);
      REQUIRE((row != nullptr) == is_packed(recipe_of(type, form)));
      if (row == nullptr) {
        CHECK(!find_stored_type(id));
        continue;
      }
      ++expected;
      ids.insert(id);
      CHECK(row->id == id);
      CHECK(id >= 0x4E420000);
      CHECK(id <= 0x4E42FFFF);
      const bool ordered = form == PackForm::ordered;
      CHECK(id == 0x4E420000 + (ordered ? 0x1000 : 0) + static_cast<uint32_t>(type) % 0x1000);
      CHECK(std::string(row->name) ==
            std::string(dtype_info(type).name) + (ordered ? ".R16H" : ".R16"));
      CHECK(dtype_ecosystem_name(id) == std::string(row->name));
      CHECK(find_dtype(id) == nullptr);  // not rows of blocks
      const auto stored = find_stored_type(id);
      REQUIRE(stored);
      CHECK(stored->packed);
      CHECK(stored->type == type);
      CHECK(stored->form == form);
    }
    const auto plain = find_stored_type(static_cast<uint32_t>(type));
    REQUIRE(plain);
    CHECK(!plain->packed);
    CHECK(plain->type == type);
    CHECK(stored_type_id(*plain) == static_cast<uint32_t>(type));
  }
  CHECK(count == expected);
  CHECK(static_cast<int>(ids.size()) == expected);
  CHECK(rows[0].id == 0x4E420002);
}

TEST_CASE("ids that nobody defined are no stored type") {
  for (const uint32_t id : {0x4E420000u, 0x4E41FFFFu, 0x4E421002u, 0x4E422008u, 0x4E42FFFFu, 43u}) {
    CHECK(!find_stored_type(id));
    CHECK(find_packed_type(id) == nullptr);
  }
}
