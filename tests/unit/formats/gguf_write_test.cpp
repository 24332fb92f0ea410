// The writer: byte for byte what the gguf package writes for the same content.
#include <array>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tests/support/models.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;
using test::TempDir;

namespace {

const std::string kFixtures = std::string(NIBBLE_SOURCE_DIR) + "/tests/fixtures/gguf/";

TensorInfo tensor(const std::string& name, DType type, std::vector<int64_t> shape) {
  TensorInfo info;
  info.name = name;
  info.type_id = static_cast<uint32_t>(type);
  info.n_dims = static_cast<int>(shape.size());
  for (size_t i = 0; i < shape.size() && i < 4; ++i) info.shape[i] = shape[i];
  return info;
}

// The same file again, its data in pieces of at most `piece` bytes.
void copy_file(const TensorFile& from, const std::string& to, size_t piece) {
  GgufHeader header;
  header.copy_metadata(from.meta());
  for (const TensorInfo& info : from.tensors()) header.add_tensor(info);
  GgufWriter writer(to, header, {.inputs = {from.path()}});
  for (const TensorInfo& info : from.tensors()) {
    std::span<const std::byte> data = from.data(info);
    while (!data.empty()) {
      REQUIRE(writer.current() != nullptr);
      CHECK(writer.current()->name == info.name);
      CHECK(writer.bytes_left() == data.size());
      const size_t n = std::min(piece, data.size());
      writer.write(data.first(n));
      data = data.subspan(n);
    }
  }
  CHECK(writer.current() == nullptr);
  writer.finish();
}

template <typename Do>
void check_refused(Do what, const std::string& text) {
  try {
    what();
    FAIL("accepted; expected: " << text);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::bad_argument);
    CHECK_THAT(error.what(), Contains(text));
  }
}

}  // namespace

TEST_CASE("a copy of the gguf package's file is the same file, byte for byte") {
  const TempDir dir;
  for (const char* name : {"all_v3", "align_64", "align_4096", "no_tensors"}) {
    for (const size_t piece : {size_t{1}, size_t{7}, size_t{1} << 20}) {
      INFO(name << " in pieces of " << piece);
      const TensorFile from = open_tensor_file(kFixtures + name + ".gguf");
      copy_file(from, dir / "copy.gguf", piece);
      CHECK(test::read_file(dir / "copy.gguf") == test::read_file(from.path()));
    }
  }
  CHECK(dir.names() == std::set<std::string>{"copy.gguf"});
}

TEST_CASE("a copy of a version 2 file is the same file in version 3") {
  const TempDir dir;
  copy_file(open_tensor_file(kFixtures + "all_v2.gguf"), dir / "copy.gguf", 64);
  CHECK(test::read_file(dir / "copy.gguf") == test::read_file(kFixtures + "all_v3.gguf"));
}

TEST_CASE("what is set key by key is the gguf package's file, byte for byte") {
  // The calls of tests/oracle/gguf_fixtures.py, in its order.
  GgufHeader h;
  h.set_string("general.architecture", "replaced below");
  h.set<uint8_t>("t.u8", 255);
  h.set<int8_t>("t.i8", -128);
  h.set<uint16_t>("t.u16", 65535);
  h.set<int16_t>("t.i16", -32768);
  h.set<uint32_t>("t.u32", UINT32_MAX);
  h.set<int32_t>("t.i32", INT32_MIN);
  h.set("t.f32", 0.1F);
  h.set("t.true", true);
  h.set<uint8_t>("removed", 1);
  h.set("t.false", false);
  h.set_string("t.string", "za\u017c\u00f3\u0142\u0107 \U0001f99c \t");
  h.set<uint64_t>("t.u64", UINT64_MAX);
  h.set<int64_t>("t.i64", INT64_MIN);
  h.set("t.f64", 0.1);
  h.set_array("t.array.u8", std::span<const uint8_t>(std::array<uint8_t, 3>{0, 1, 255}));
  h.set_array("t.array.i8", std::span<const int8_t>(std::array<int8_t, 2>{-128, 127}));
  h.set_array("t.array.u16", std::span<const uint16_t>(std::array<uint16_t, 1>{65535}));
  h.set_array("t.array.i16", std::span<const int16_t>(std::array<int16_t, 2>{-32768, 5}));
  h.set_array("t.array.u32", std::span<const uint32_t>(std::array<uint32_t, 2>{0, UINT32_MAX}));
  h.set_array("t.array.i32",
              std::span<const int32_t>(std::array<int32_t, 2>{INT32_MIN, INT32_MAX}));
  h.set_array("t.array.f32", std::span<const float>(std::array<float, 3>{0.5F, -1.25F, 3e38F}));
  h.set_array("t.array.bool", std::span<const bool>(std::array<bool, 3>{true, false, true}));
  h.set_strings("t.array.string", std::array<std::string_view, 4>{"a", "", "a", "\u017c"});
  h.set_array("t.array.u64", std::span<const uint64_t>(std::array<uint64_t, 1>{UINT64_MAX}));
  h.set_array("t.array.i64", std::span<const int64_t>(std::array<int64_t, 2>{INT64_MIN, 1}));
  h.set_array("t.array.f64", std::span<const double>(std::array<double, 2>{0.1, 1e300}));
  h.remove("removed");
  h.remove("never there");
  h.set_string("general.architecture", "test");

  const TempDir dir;
  GgufWriter writer(dir / "out.gguf", h);
  writer.finish();
  CHECK(test::read_file(dir / "out.gguf") == test::read_file(kFixtures + "no_tensors.gguf"));
}

TEST_CASE("an aligned layout: offsets, zeros between, empty tensors anywhere") {
  GgufHeader header;
  header.set<uint32_t>("general.alignment", 64);
  header.add_tensor(tensor("none first", DType::F32, {0}));
  header.add_tensor(tensor("a", DType::F32, {3}));
  header.add_tensor(tensor("none", DType::Q4_0, {5, 0}));
  header.add_tensor(tensor("b", DType::Q8_0, {2, 32}));
  header.add_tensor(tensor("scalar", DType::F16, {}));
  header.add_tensor(tensor("none last", DType::F32, {0, 7}));
  const GgufLayout layout = header.layout();
  CHECK(layout.header.size() % 64 == 0);
  CHECK(layout.file_bytes == layout.header.size() + 64 + 128 + 64);

  const TempDir dir;
  GgufWriter writer(dir / "out.gguf", header);
  CHECK(writer.current()->name == "a");
  const std::vector<std::byte> data(12, std::byte{0xff});
  writer.write(data);
  CHECK(writer.current()->name == "b");
  writer.write(std::vector<std::byte>(68, std::byte{0xee}));
  writer.write(std::vector<std::byte>(2, std::byte{0xdd}));
  writer.finish();
  const TensorFile file = open_tensor_file(dir / "out.gguf");
  CHECK(file.warnings().empty());
  CHECK(file.tensors().size() == 6);
  const std::string bytes = test::read_file(dir / "out.gguf");
  const size_t start = layout.header.size();
  CHECK(bytes.substr(start, 64) == std::string(12, '\xff') + std::string(52, '\0'));
  CHECK(bytes.substr(start + 64, 128) == std::string(68, '\xee') + std::string(60, '\0'));
  CHECK(bytes.substr(start + 192) == std::string(2, '\xdd') + std::string(62, '\0'));
  header.remove("general.alignment");
  CHECK(header.alignment() == 32);
}

TEST_CASE("what the reader would refuse is not written") {
  GgufHeader h;
  check_refused([&] { h.set<uint8_t>(std::string(65536, 'k'), 1); }, "at most 65535 bytes");
  check_refused([&] { h.set<uint32_t>("general.alignment", 48); }, "power of two");
  check_refused([&] { h.set<uint64_t>("general.alignment", 64); }, "expected uint32");
  check_refused([&] { h.set_string("general.alignment", "64"); }, "expected uint32");
  check_refused([&] { h.add_tensor(tensor("t", DType::Q4_0, {33})); }, "multiple of 32");
  check_refused([&] { h.add_tensor(tensor("t", DType::F32, {-1})); }, "fewer than 2^63");
  check_refused([&] { h.add_tensor(tensor("t", DType::F32, {INT64_MAX, 2})); }, "fewer than 2^63");
  check_refused(
      [&] {
        h.add_tensor(tensor("t", DType::F32, {0, 1ll << 32, 1ll << 31}));
      },
      "fewer than 2^63");
  check_refused([&] { h.add_tensor(tensor("t", DType::F32, {INT64_MAX})); }, "expected");
  check_refused([&] { h.add_tensor(tensor("t", DType::F32, {1, 1, 1, 1, 1})); }, "0 to 4");
  TensorInfo wrong = tensor("t", DType::F32, {2});
  wrong.bytes = 7;
  check_refused([&] { h.add_tensor(wrong); }, "expected 8 bytes, got 7");
  h.add_tensor(tensor("t", DType::F32, {1}));
  check_refused([&] { h.add_tensor(tensor("t", DType::F32, {2})); }, "occurs twice");
  for (uint64_t i = 0; i < kGgufMaxKeys; ++i) h.set<uint8_t>(std::to_string(i), 0);
  check_refused([&] { h.set<uint8_t>("one more", 0); }, "at most 65536");
  h.set<uint8_t>("7", 1);  // an old key may still be replaced
}

TEST_CASE("too few or too many bytes for a tensor are refused, and leave no file") {
  const TempDir dir;
  {
    GgufHeader header;
    header.add_tensor(tensor("t", DType::F32, {2}));
    GgufWriter writer(dir / "out.gguf", header);
    check_refused([&] { writer.finish(); }, "expected 8 more bytes");
    check_refused([&] { writer.write(std::vector<std::byte>(9)); }, "at most 8 more bytes, got 9");
    writer.write(std::vector<std::byte>(8));
    check_refused([&] { writer.write(std::vector<std::byte>(1)); }, "after the last");
  }
  CHECK(dir.names().empty());
}

TEST_CASE("writing over the file that is being read is refused") {
  const TempDir dir;
  test::write_file(dir / "in.gguf", test::read_file(kFixtures + "all_v3.gguf"));
  const TensorFile from = open_tensor_file(dir / "in.gguf");
  check_refused([&] { copy_file(from, dir / "in.gguf", 64); }, "not an input");
  CHECK(test::read_file(dir / "in.gguf") == test::read_file(kFixtures + "all_v3.gguf"));
}

TEST_CASE("a copy of a real model is the same file, byte for byte", "[model]") {
  const TempDir dir;
  NIBBLE_MODEL_OR_SKIP(path, test::kSmolLM2);
  copy_file(open_tensor_file(path), dir / "copy.gguf", 1 << 20);
  CHECK(test::read_file(dir / "copy.gguf") == test::read_file(path));
}
