// The type table against the Python package gguf (tests/oracle/quant_fixture.py).
#include "quant/dtype.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "quant/all_types.h"
#include "tests/support/catch.h"

using namespace nibble;

namespace {

nlohmann::json gguf_types() {
  std::ifstream file(NIBBLE_SOURCE_DIR "/tests/fixtures/quant/types.json");
  REQUIRE(file);
  return nlohmann::json::parse(file);
}

}  // namespace

TEST_CASE("every type id of gguf has gguf's name, and gguf's size where nibble reads it") {
  int decoded = 0;
  for (const auto& t : gguf_types()) {
    const uint32_t id = t["id"];
    const std::string name = t["name"];
    CAPTURE(id, name);
    REQUIRE(dtype_ecosystem_name(id) != nullptr);
    CHECK(dtype_ecosystem_name(id) == name);
    const DTypeInfo* row = find_dtype(id);
    CHECK(row == find_dtype(name.c_str()));
    if (row == nullptr) continue;
    ++decoded;
    CHECK(static_cast<uint32_t>(row->type) == id);
    CHECK(row->name == name);
    CHECK(row->block_len == t["block_len"]);
    CHECK(row->block_bytes == t["block_bytes"]);
  }
  CHECK(decoded == AllTypes::kSize - 1);  // of nibble's list gguf knows all but NF4
}

TEST_CASE("nibble's own type has an id of the private range") {
  CHECK(static_cast<uint32_t>(DType::NF4) == 0x4E428400);
  CHECK(find_dtype("nf4")->type == DType::NF4);
  CHECK(find_dtype("nf4")->block_len == 64);
  CHECK(find_dtype("nf4")->block_bytes == 34);
}

TEST_CASE("withdrawn and foreign ids keep their names and are not decoded") {
  const std::pair<uint32_t, const char*> foreign[] = {
      {4, "Q4_2"},      {5, "Q4_3"},        {31, "Q4_0_4_4"},   {32, "Q4_0_4_8"},
      {33, "Q4_0_8_8"}, {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"},
      {42, "Q2_0"},     {139, "IQ4_K"},     {202, "Q4_0_R8"}};
  for (const auto& [id, name] : foreign) {
    CAPTURE(id);
    REQUIRE(dtype_ecosystem_name(id) != nullptr);
    CHECK(std::string(dtype_ecosystem_name(id)) == name);
    CHECK(find_dtype(id) == nullptr);
    CHECK(find_dtype(name) == nullptr);
  }
}

TEST_CASE("every number has an advice, and no two numbers share a name") {
  std::set<std::string> names;
  for (uint32_t id = 0; id < 1000; ++id) {
    REQUIRE(dtype_advice(id) != nullptr);
    CHECK(std::string(dtype_advice(id)).size() > 10);
    const char* name = dtype_ecosystem_name(id);
    if (name != nullptr) CHECK(names.insert(name).second);
  }
  for (uint32_t id : {43u, 132u, 0x4E420000u, 0x7fffffffu, 0xffffffffu}) {
    CAPTURE(id);
    CHECK(find_dtype(id) == nullptr);
    CHECK(dtype_ecosystem_name(id) == nullptr);
    CHECK(dtype_advice(id) != nullptr);
  }
}

TEST_CASE("types are found by name in any case, and only by the whole name") {
  CHECK(find_dtype("q4_k")->type == DType::Q4_K);
  CHECK(find_dtype("Q4_K")->type == DType::Q4_K);
  CHECK(find_dtype("Iq4_nL")->type == DType::IQ4_NL);
  CHECK(find_dtype("bf16")->type == DType::BF16);
  for (const char* name : {"", "Q4", "Q4_K_M", "Q4_K ", " Q4_K", "F", "F321", "unknown"}) {
    CAPTURE(name);
    CHECK(find_dtype(name) == nullptr);
  }
}

TEST_CASE("all_dtypes lists AllTypes in order, and dtype_info finds each") {
  int count = 0;
  const DTypeInfo* row = all_dtypes(&count);
  REQUIRE(count == AllTypes::kSize);
  for_each_type(AllTypes{}, [&]<typename Block>() {
    CHECK(row->type == Block::kType);
    CHECK(&dtype_info(Block::kType) == row);
    CHECK(row_bytes(Block::kType, 0) == 0);
    CHECK(row_bytes(Block::kType, Block::kLength) == static_cast<int64_t>(sizeof(Block)));
    // Sizes beyond 32 bits do not wrap.
    const int64_t many = int64_t{1} << 40;
    CHECK(row_bytes(Block::kType, many) ==
          many / Block::kLength * static_cast<int64_t>(sizeof(Block)));
    ++row;
  });
}

TEST_CASE("an unknown DType has no bytes") {
  CHECK(row_bytes(DType{9999}, 256) == 0);
}
