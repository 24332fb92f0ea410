// The worked example and the tables of docs/format.md are true.
#include <cctype>
#include <map>
#include <sstream>

#include "formats/gguf.h"
#include "formats/io/bytes.h"
#include "formats/meta_type.h"
#include "quant/block/nf4.h"
#include "quant/stored_type.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace nibble;

namespace {

std::string document() {
  return test::read_file(std::string(NIBBLE_SOURCE_DIR) + "/docs/format.md");
}

bool is_hex_pair(const std::string& word) {
  return word.size() == 2 && std::isxdigit(static_cast<unsigned char>(word[0])) != 0 &&
         std::isxdigit(static_cast<unsigned char>(word[1])) != 0;
}

// The bytes of the first ```hex block after a heading: the leading hex pairs of each of its lines.
// `skip`: of a later block.
std::vector<std::byte> hex_block(const std::string& heading, int skip = 0) {
  std::istringstream lines(document());
  std::string line;
  while (std::getline(lines, line) && line != heading) {
  }
  for (int i = 0; i <= skip; ++i) {
    while (std::getline(lines, line) && line != "```hex") {
    }
  }
  std::vector<std::byte> out;
  while (std::getline(lines, line) && line != "```") {
    std::istringstream words(line.substr(0, 48));  // the rest is explanation
    std::string word;
    while (words >> word && is_hex_pair(word)) {
      out.push_back(static_cast<std::byte>(std::strtol(word.c_str(), nullptr, 16)));
    }
  }
  return out;
}

std::vector<std::byte> example_bytes() {
  return hex_block("### Example of a file");
}

// The cells of the table row that begins with `head`.
std::vector<std::string> row(const std::string& head) {
  std::istringstream lines(document());
  std::string line;
  while (std::getline(lines, line)) {
    if (line.rfind("| " + head + " |", 0) != 0) continue;
    std::istringstream cells(line.substr(head.size() + 4));
    std::vector<std::string> out;
    std::string cell;
    while (std::getline(cells, cell, '|')) {
      const size_t begin = cell.find_first_not_of(' ');
      if (begin != std::string::npos) {
        out.push_back(cell.substr(begin, cell.find_last_not_of(' ') + 1 - begin));
      }
    }
    return out;
  }
  FAIL("docs/format.md has no row " << head);
  return {};
}

}  // namespace

TEST_CASE("the example of docs/format.md reads as the text says") {
  const std::vector<std::byte> bytes = example_bytes();
  REQUIRE(bytes.size() == 160);
  const TensorFile file = open_tensor_memory(bytes, "example");
  CHECK(file.version() == 3);
  CHECK(file.warnings().empty());
  REQUIRE(file.meta().all().size() == 1);
  CHECK(file.meta().get_string("general.architecture") == "llama");
  REQUIRE(file.tensors().size() == 1);
  const TensorInfo& w = file.tensors()[0];
  CHECK(w.name == "w");
  CHECK(w.n_dims == 2);
  CHECK(w.shape[0] == 2);
  CHECK(w.shape[1] == 3);
  CHECK(w.offset == 128);
  REQUIRE(file.data(w).size() == 24);
  for (int i = 0; i < 6; ++i) {
    CHECK(load_le<float>(file.data(w).data() + 4 * i) == static_cast<float>(i + 1));
  }
}

TEST_CASE("the example of docs/format.md is what nibble writes") {
  GgufHeader header;
  header.set_string("general.architecture", "llama");
  TensorInfo w;
  w.name = "w";
  w.n_dims = 2;
  w.shape[0] = 2;
  w.shape[1] = 3;
  header.add_tensor(w);
  const test::TempDir dir;
  GgufWriter writer(dir / "example.gguf", header);
  const float values[] = {1, 2, 3, 4, 5, 6};
  writer.write(std::as_bytes(std::span(values)));
  writer.finish();
  const std::vector<std::byte> want = example_bytes();
  CHECK(test::read_file(dir / "example.gguf") == as_text(want));
}

TEST_CASE("the type tables of docs/format.md are the code's") {
  const std::vector<std::string> ids = row("type id");
  const std::vector<std::string> names = row("name");
  const std::vector<std::string> lengths = row("block length");
  const std::vector<std::string> sizes = row("block bytes");
  int decoded = 0;
  (void)all_dtypes(&decoded);
  REQUIRE(static_cast<int>(ids.size()) == decoded);
  for (size_t i = 0; i < ids.size(); ++i) {
    const DTypeInfo* type = find_dtype(static_cast<uint32_t>(std::stoul(ids[i], nullptr, 0)));
    REQUIRE(type != nullptr);
    CHECK(type->name == names[i]);
    CHECK(std::to_string(type->block_len) == lengths[i]);
    CHECK(std::to_string(type->block_bytes) == sizes[i]);
  }

  const std::vector<std::string> numbers = row("type");
  const std::vector<std::string> values = row("value");
  REQUIRE(numbers.size() == meta_types().size());
  REQUIRE(values.size() == numbers.size());
  for (size_t i = 0; i < numbers.size(); ++i) {
    CHECK(numbers[i] == std::to_string(i));
    const MetaTypeInfo& type = *find_meta_type(static_cast<uint32_t>(i));
    const std::string bits = std::to_string(8 * type.bytes);
    std::string want = type.name;  // the document abbreviates the numbers
    if (type.kind == MetaKind::integer) want = (type.is_signed ? "i" : "u") + bits;
    if (type.kind == MetaKind::real) want = "f" + bits;
    CHECK(values[i] == want);
  }
}

TEST_CASE("the levels of NF4 in docs/format.md are the code's") {
  for (size_t k = 0; k < 8; ++k) {
    // | code | level | bits | code + 8 | level | bits |
    const std::vector<std::string> cells = row(std::to_string(k));
    REQUIRE(cells.size() == 5);
    CHECK(cells[2] == std::to_string(k + 8));
    for (const size_t code : {k, k + 8}) {
      const size_t at = code == k ? 0 : 3;
      CHECK(std::stof(cells[at]) == block::kNF4Levels[code]);
      CHECK(cells[at + 1] == fmt::format("0x{:08X}", block::float_bits(block::kNF4Levels[code])));
    }
  }
}

TEST_CASE("the packed example of docs/format.md is what packing gives, and back") {
  const std::vector<std::byte> plain = hex_block("#### Example");
  const std::vector<std::byte> packed = hex_block("#### Example", 1);
  REQUIRE(plain.size() == 2 * 18);
  const PackedLayout layout = packed_layout(DType::Q4_0, 2, 32);
  REQUIRE(packed.size() == static_cast<size_t>(layout.bytes));
  std::vector<std::byte> got(packed.size());
  pack_group(DType::Q4_0, {plain.data(), 18, 2, 0}, layout, 0, got.data());
  CHECK(got == packed);
  std::vector<std::byte> back(plain.size());
  unpack_group(DType::Q4_0, layout, 0, packed.data(), 2, 18, back.data());
  CHECK(back == plain);
}

TEST_CASE("the table of packed types of docs/format.md is the code's") {
  int count = 0;
  const PackedType* types = all_packed_types(&count);
  for (int i = 0; i < count; ++i) {
    const std::vector<std::string> cells = row(fmt::format("0x{:08X}", types[i].id));
    REQUIRE(cells.size() == 5);
    const PackRecipe recipe = recipe_of(types[i].type, types[i].form);
    CHECK(cells[0] == types[i].name);
    CHECK(cells[1] == dtype_info(types[i].type).name);
    CHECK(cells[2] == std::to_string(recipe.factor_cols));
    CHECK(cells[3] == std::to_string(recipe.scales));
    // The planes in the order in which they lie.
    const PackedLayout l = packed_layout(recipe, 16, 256);
    std::map<int64_t, std::string> planes = {
        {l.nibble, "nibble"}, {l.pair, "pair"},   {l.bit, "bit"},
        {l.low, "low"},       {l.byte, "byte"},   {l.d, "d"},
        {l.m, "m"},           {l.scale, "scale"}, {l.min, "min"}};
    planes.erase(-1);
    std::string names;
    for (const auto& [offset, name] : planes) names += (names.empty() ? "" : " ") + name;
    CHECK(cells[4] == names);
  }
}
