// Packed tensors in a file, against bytes that a script made from docs/format.md alone
// (tests/oracle/packed_fixture.py), and what the reader and the writer refuse.
#include "quant/packed.h"

#include <algorithm>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "quant/stored_type.h"
#include "tests/support/catch.h"
#include "tests/support/gguf_bytes.h"
#include "tests/support/temp_dir.h"
#include "tests/support/walk_tensor_file.h"

using namespace nibble;
using Catch::Matchers::Contains;
using test::GgufBytes;

namespace {

const std::string kFixture = std::string(NIBBLE_SOURCE_DIR) + "/tests/fixtures/gguf/packed.gguf";

constexpr uint32_t kQ4 = 0x4E420002;

// One tensor in a file whose alignment is `alignment`, and `data` bytes behind it.
GgufBytes one_tensor(const std::vector<uint64_t>& dims, uint32_t type, uint32_t alignment,
                     uint64_t offset, size_t data) {
  GgufBytes f;
  f.header(3, 1, 1);
  f.scalar<uint32_t>("general.alignment", 4, alignment);
  f.tensor("t", dims, type, offset);
  f.pad(alignment);
  f.data(data);
  return f;
}

std::string refusal(const GgufBytes& f) {
  try {
    (void)open_tensor_memory(f.bytes, "file.gguf");
    return "opened";
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::bad_file);
    return error.message();
  }
}

TensorInfo info_of(uint32_t type, std::vector<int64_t> shape) {
  TensorInfo info;
  info.name = "t";
  info.type_id = type;
  info.n_dims = static_cast<int>(shape.size());
  std::copy(shape.begin(), shape.end(), info.shape);
  return info;
}

}  // namespace

TEST_CASE("packing gives the bytes that the specification asks for, and back") {
  const TensorFile file = open_tensor_file(kFixture);
  CHECK(file.warnings().empty());
  (void)test::walk(file);
  int count = 0;
  const PackedType* types = all_packed_types(&count);
  for (int i = 0; i < count; ++i) {
    const PackedType& t = types[i];
    INFO(t.name);
    const TensorInfo* plain = file.find(dtype_info(t.type).name);
    const TensorInfo* packed = file.find(t.name);
    REQUIRE(plain != nullptr);
    REQUIRE(packed != nullptr);
    CHECK(packed->type_id == t.id);
    REQUIRE(packed->rows() == plain->rows());
    REQUIRE(packed->cols() == plain->cols());
    const PackedLayout layout = packed_layout(t.type, plain->rows(), plain->cols(), t.form);
    REQUIRE(packed->bytes == static_cast<uint64_t>(layout.bytes));
    const int64_t stride = row_bytes(t.type, plain->cols());
    std::vector<std::byte> got(static_cast<size_t>(layout.bytes));
    std::vector<std::byte> back(plain->bytes);
    for (int64_t g = 0; g < layout.groups; ++g) {
      const int64_t row = g * kGroupRows;
      const int64_t rows = std::min(kGroupRows, plain->rows() - row);
      pack_group(t.type, {file.data(*plain).data() + row * stride, stride, rows, 0}, layout, g,
                 got.data());
      unpack_group(t.type, layout, g, file.data(*packed).data(), rows, stride,
                   back.data() + row * stride);
    }
    CHECK(std::equal(got.begin(), got.end(), file.data(*packed).begin()));
    CHECK(std::equal(back.begin(), back.end(), file.data(*plain).begin()));
  }
}

TEST_CASE("a packed tensor's shape, size and place are checked") {
  // Q4_0 of 17 rows and 32 columns: 2 groups of 256 bytes of codes and 32 of scales.
  constexpr size_t kBytes = 512 + 64;
  CHECK(refusal(one_tensor({32, 17}, kQ4, 64, 0, kBytes)) == "opened");
  CHECK(refusal(one_tensor({32, 17}, kQ4, 128, 0, kBytes)) == "opened");
  CHECK_THAT(refusal(one_tensor({32, 17}, kQ4, 64, 0, kBytes - 1)), Contains("ends at byte"));
  CHECK_THAT(refusal(one_tensor({32, 17}, kQ4, 32, 0, kBytes)),
             Contains("general.alignment of a multiple of 64 (type Q4_0.R16), got 32"));
  CHECK_THAT(refusal(one_tensor({32, 17}, kQ4, 64, 32, kBytes + 32)), Contains("multiple of 64"));
  CHECK_THAT(refusal(one_tensor({48, 17}, kQ4, 64, 0, kBytes)), Contains("multiple of 32"));
  CHECK_THAT(refusal(one_tensor({32, 1}, 0x4E42000E, 64, 0, kBytes)), Contains("multiple of 256"));
  CHECK_THAT(refusal(one_tensor({32}, kQ4, 64, 0, kBytes)), Contains("expected 2 or 3 dimensions"));
  CHECK(refusal(one_tensor({32, 16, 2}, kQ4, 64, 0, kBytes)) == "opened");
  CHECK_THAT(refusal(one_tensor({32, 16, 2}, kQ4, 64, 0, kBytes - 1)), Contains("ends at byte"));
  CHECK_THAT(refusal(one_tensor({32, 17, 1}, kQ4, 64, 0, kBytes)),
             Contains("expected matrices of a multiple of 16 rows (type Q4_0.R16), got 17"));
  CHECK_THAT(refusal(one_tensor({32, 16, 2, 1}, kQ4, 64, 0, kBytes)),
             Contains("expected 2 or 3 dimensions (type Q4_0.R16), got 4"));
  CHECK_THAT(refusal(one_tensor({32, 16, 2}, 0x4E421008, 64, 0, 1 << 20)),
             Contains("expected 2 dimensions (type Q8_0.R16H), got 3"));
  CHECK_THAT(refusal(one_tensor({32800, 1}, 0x4E421008, 64, 0, 1 << 20)),
             Contains("at most 32768 elements (type Q8_0.R16H), got 32800"));
  CHECK(refusal(one_tensor({0, 17}, kQ4, 64, 0, 0)) == "opened");
  CHECK(refusal(one_tensor({32, 0}, kQ4, 64, 0, 0)) == "opened");
  CHECK(refusal(one_tensor({uint64_t{1} << 62, 0}, kQ4, 64, 0, 0)) == "opened");
  for (const auto& dims :
       {std::vector<uint64_t>{32, uint64_t{1} << 57}, std::vector<uint64_t>{uint64_t{1} << 57, 32},
        std::vector<uint64_t>{uint64_t{1} << 61, 1},
        std::vector<uint64_t>{32, (uint64_t{1} << 58) - 1}}) {
    CHECK_THAT(refusal(one_tensor(dims, kQ4, 64, 0, kBytes)), Contains("does not fit 64 bits"));
  }
}

TEST_CASE("the writer lays packed tensors out as the reader wants them") {
  const test::TempDir dir;
  GgufHeader header;
  header.add_tensor(info_of(kQ4, {17, 32}));
  CHECK_THROWS_WITH(header.layout(), Contains("general.alignment of a multiple of 64"));
  header.set(kGgufAlignmentKey, uint32_t{64});
  const GgufLayout layout = header.layout();
  REQUIRE(layout.tensors.size() == 1);
  CHECK(layout.tensors[0].bytes == 576);
  CHECK(layout.tensors[0].offset % 64 == 0);
  GgufWriter writer(dir / "p.gguf", header);
  writer.write(std::vector<std::byte>(576, std::byte{7}));
  writer.finish();
  const TensorFile file = open_tensor_file(dir / "p.gguf");
  CHECK(file.tensors()[0].type_id == kQ4);
  CHECK(file.tensors()[0].bytes == 576);

  GgufHeader bad;
  CHECK_THROWS_AS(bad.add_tensor(info_of(kQ4, {17, 48})), Error);
  CHECK_THROWS_AS(bad.add_tensor(info_of(kQ4, {32})), Error);
  TensorInfo wrong = info_of(kQ4, {17, 32});
  wrong.bytes = 500;
  CHECK_THROWS_WITH(bad.add_tensor(wrong), Contains("expected 576 bytes, got 500"));
}
