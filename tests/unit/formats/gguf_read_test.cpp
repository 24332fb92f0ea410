// The reader against files of the PyPI package `gguf` (tests/oracle/gguf_fixtures.py) and against
// files made by hand, valid and not. gguf_hostile_test.cpp sweeps the broken ones.
#include <bit>
#include <nlohmann/json.hpp>

#include "formats/gguf.h"
#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tests/support/gguf_bytes.h"
#include "tests/support/models.h"
#include "tests/support/temp_dir.h"
#include "tests/support/walk_tensor_file.h"

using namespace nibble;
using Catch::Matchers::Contains;
using nlohmann::json;
using test::GgufBytes;

namespace {

const std::string kFixtures = std::string(NIBBLE_SOURCE_DIR) + "/tests/fixtures/gguf/";

template <typename T>
bool same_bits(const MetaValue& value, size_t i, const json& want) {
  return load_le<T>(value.items.data() + i * sizeof(T)) == want.get<T>();
}

bool item_is(const MetaValue& value, size_t i, const json& want) {
  switch (value.item_type) {
    case MetaType::u8:
      return same_bits<uint8_t>(value, i, want);
    case MetaType::i8:
      return same_bits<int8_t>(value, i, want);
    case MetaType::u16:
      return same_bits<uint16_t>(value, i, want);
    case MetaType::i16:
      return same_bits<int16_t>(value, i, want);
    case MetaType::u32:
      return same_bits<uint32_t>(value, i, want);
    case MetaType::i32:
      return same_bits<int32_t>(value, i, want);
    case MetaType::u64:
      return same_bits<uint64_t>(value, i, want);
    case MetaType::i64:
      return same_bits<int64_t>(value, i, want);
    case MetaType::f32:
      return same_bits<float>(value, i, want);
    case MetaType::f64:
      return same_bits<double>(value, i, want);
    case MetaType::boolean:
      return load_le<uint8_t>(value.items.data() + i) == want.get<bool>();
    case MetaType::string:
      return value.strings[i] == want.get<std::string>();
    default:
      return false;
  }
}

bool scalar_is(const MetaValue& value, const json& want) {
  switch (value.type) {
    case MetaType::u64:
      return value.bits == want.get<uint64_t>();
    case MetaType::f32:
      return std::bit_cast<float>(static_cast<uint32_t>(value.bits)) == want.get<float>();
    case MetaType::f64:
      return std::bit_cast<double>(value.bits) == want.get<double>();
    case MetaType::boolean:
      return value.bits == (want.get<bool>() ? 1u : 0u);
    case MetaType::string:
      return value.text == want.get<std::string>();
    default:
      return static_cast<int64_t>(value.bits) == want.get<int64_t>();
  }
}

void check_key(const MetaValue& value, const json& want) {
  INFO(value.key);
  CHECK(value.key == want["key"].get<std::string>());
  CHECK(static_cast<int>(value.type) == want["type"].get<int>());
  if (value.type != MetaType::array) {
    CHECK(scalar_is(value, want["value"]));
    return;
  }
  CHECK(static_cast<int>(value.item_type) == want["item_type"].get<int>());
  REQUIRE(value.count == want["items"].size());
  for (size_t i = 0; i < value.count; ++i) CHECK(item_is(value, i, want["items"][i]));
}

std::string hex(std::span<const std::byte> bytes) {
  return fmt::format(
      "{:02x}", fmt::join(reinterpret_cast<const unsigned char*>(bytes.data()),
                          reinterpret_cast<const unsigned char*>(bytes.data()) + bytes.size(), ""));
}

void check_tensor(const TensorFile& file, const TensorInfo& info, const json& want) {
  INFO(info.name);
  CHECK(info.name == want["name"].get<std::string>());
  CHECK(info.type_id == want["type"].get<uint32_t>());
  CHECK(info.offset == want["offset"].get<uint64_t>());
  REQUIRE(static_cast<size_t>(info.n_dims) == want["shape"].size());
  for (size_t i = 0; i < want["shape"].size(); ++i) {
    CHECK(info.shape[i] == want["shape"][i].get<int64_t>());
  }
  const std::string data = hex(file.data(info));
  const std::string expected = want["bytes"].get<std::string>();
  if (find_dtype(info.type_id) != nullptr) {
    CHECK(data == expected);
  } else {  // up to the next tensor, padding included
    CHECK(data.substr(0, expected.size()) == expected);
  }
}

TensorFile open(const GgufBytes& f) {
  return open_tensor_memory(f.bytes, "file.gguf");
}

void check_refused(const GgufBytes& f, ErrorCode code, const std::string& text) {
  try {
    (void)open(f);
    FAIL("opened; expected: " << text);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    CHECK_THAT(error.what(), Contains("file.gguf: "));
    CHECK_THAT(error.what(), Contains(text));
  }
}

// One F32 tensor in a file without keys; the caller appends data.
GgufBytes one_tensor(const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset = 0) {
  GgufBytes f;
  f.header(3, 1, 0);
  f.tensor("t", dims, type, offset);
  f.pad(32);
  return f;
}

}  // namespace

TEST_CASE("nibble reads what the gguf package writes, value by value") {
  for (const char* name : {"all_v3", "all_v2", "align_64", "align_4096", "no_tensors"}) {
    INFO(name);
    const json want = json::parse(test::read_file(kFixtures + name + ".json"));
    const TensorFile file = open_tensor_file(kFixtures + name + ".gguf");
    CHECK(std::string(file.format()) == "gguf");
    CHECK(file.version() == want["version"].get<uint32_t>());
    CHECK(file.path() == kFixtures + name + ".gguf");
    REQUIRE(file.meta().all().size() == want["keys"].size());
    for (size_t i = 0; i < want["keys"].size(); ++i) {
      check_key(file.meta().all()[i], want["keys"][i]);
    }
    REQUIRE(file.tensors().size() == want["tensors"].size());
    for (size_t i = 0; i < want["tensors"].size(); ++i) {
      check_tensor(file, file.tensors()[i], want["tensors"][i]);
    }
    // The only oddity is the int32 tensor, of a type that nibble does not decode.
    CHECK(file.warnings().size() == (want["tensors"].empty() ? 0 : 1));
    (void)test::walk(file);
  }
}

TEST_CASE("an open file may be moved; its views stay valid") {
  const GgufBytes sample = test::sample_gguf();
  TensorFile first = open(sample);
  const std::string_view text = *first.meta().get_string("");
  const TensorFile second = std::move(first);
  CHECK(text == "empty key");
  CHECK(second.find("q8") != nullptr);
  CHECK(second.map() == nullptr);
  (void)test::walk(second);
}

TEST_CASE("dimensions read slowest first; scalars have one element") {
  const GgufBytes sample = test::sample_gguf();
  const TensorFile file = open(sample);
  const TensorInfo* matrix = file.find("matrix");
  REQUIRE(matrix != nullptr);
  CHECK(matrix->n_dims == 2);
  CHECK(matrix->rows() == 2);
  CHECK(matrix->cols() == 32);
  CHECK(file.data(*matrix).size() == 36);
  CHECK(file.data(*matrix).data() == file.file_bytes().data() + matrix->offset);
  CHECK(file.find("empty")->bytes == 0);
  CHECK(file.data(*file.find("empty")).empty());
  CHECK(file.find("foreign")->bytes == 32);  // up to the next tensor
  CHECK(file.find("absent") == nullptr);

  GgufBytes scalar = one_tensor({}, 0);
  scalar.raw(2.5F);
  const TensorFile with_scalar = open(scalar);
  CHECK(with_scalar.find("t")->rows() == 1);
  CHECK(with_scalar.find("t")->cols() == 1);
  CHECK(load_le<float>(with_scalar.data(*with_scalar.find("t")).data()) == 2.5F);
}

TEST_CASE("a type that nobody has defined is kept, with a warning that names it") {
  const GgufBytes sample = test::sample_gguf();
  const TensorFile file = open(sample);
  CHECK(file.find("foreign")->type_id == 0x4E42FFFF);
  REQUIRE(file.warnings().size() == 1);
  CHECK_THAT(file.warnings()[0], Contains("0x4e42ffff") && Contains("'foreign'"));
}

TEST_CASE("gaps and trailing bytes are legal and warned of") {
  GgufBytes f;
  f.header(3, 2, 0);
  f.tensor("a", {1}, 0, 32);
  f.tensor("b", {1}, 0, 128);
  f.pad(32);
  f.data(132);
  const TensorFile gaps = open(f);
  REQUIRE(gaps.warnings().size() == 1);
  CHECK_THAT(gaps.warnings()[0], Contains("96 bytes in 2 gaps"));
  f.pad(32);
  CHECK(open(f).warnings().size() == 1);  // the last tensor's padding is not a gap
  f.data(5);
  CHECK_THAT(open(f).warnings().at(1), Contains("5 bytes after the last tensor"));
}

TEST_CASE("tensors may stand in any order, and an empty one anywhere") {
  GgufBytes f;
  f.header(3, 4, 0);
  f.tensor("late", {1}, 0, 64);
  f.tensor("empty inside", {0}, 0, 32);
  f.tensor("early", {10}, 0, 0);
  f.tensor("empty at the end", {4, 0}, 0, 96);
  f.pad(32);
  f.data(68);
  const TensorFile file = open(f);
  CHECK(file.warnings().empty());
  CHECK(file.find("late")->offset == file.find("early")->offset + 64);
  (void)test::walk(file);
}

TEST_CASE("a file without tensors needs no padding; one without anything is valid") {
  GgufBytes f;
  f.header(3, 0, 1);
  f.string_key("k", "odd length");
  CHECK(open(f).warnings().empty());
  GgufBytes nothing;
  nothing.header(2, 0, 0);
  CHECK(open(nothing).tensors().empty());
}

TEST_CASE("alignments from 8 to 16 MiB are honoured") {
  for (uint32_t alignment = 8; alignment <= 1u << 24; alignment *= 2) {
    GgufBytes f;
    f.header(3, 2, 1);
    f.scalar<uint32_t>("general.alignment", 4, alignment);
    f.tensor("a", {1}, 0, 0);
    f.tensor("b", {1}, 0, alignment);
    f.pad(alignment);
    f.data(alignment + 4);
    const TensorFile file = open(f);
    CHECK(file.find("b")->offset % alignment == 0);
    CHECK(file.data(*file.find("b")).size() == 4);
    CHECK(file.warnings().empty());
  }
  for (const uint32_t alignment : {0u, 1u, 4u, 24u, 33u, 1u << 25, 1u << 31, UINT32_MAX}) {
    GgufBytes f;
    f.header(3, 0, 1);
    f.scalar<uint32_t>("general.alignment", 4, alignment);
    check_refused(f, ErrorCode::bad_file, "expected a power of two");
  }
}

TEST_CASE("general.alignment of any other type is refused, never misread") {
  for (const MetaTypeInfo& type : meta_types()) {
    if (type.type == MetaType::u32) continue;
    GgufBytes f;
    f.header(3, 0, 1);
    if (type.type == MetaType::string) {
      f.string_key("general.alignment", "32");
    } else if (type.type == MetaType::array) {
      f.array("general.alignment", 4, 0);
    } else {
      f.key("general.alignment", static_cast<uint32_t>(type.type));
      for (uint32_t i = 0; i < type.bytes; ++i) f.raw<uint8_t>(i == 0 ? 1 : 0);
    }
    check_refused(f, ErrorCode::bad_file, std::string("expected uint32, got ") + type.name);
  }
}

TEST_CASE("versions and byte orders that nibble does not read are named") {
  const auto version = [](uint32_t v) {
    GgufBytes f;
    f.header(v, 0, 0);
    return f;
  };
  check_refused(version(1), ErrorCode::unsupported, "version 2 or 3, got 1");
  check_refused(version(4), ErrorCode::unsupported, "version 2 or 3, got 4");
  check_refused(version(0), ErrorCode::bad_file, "got 0");
  check_refused(version(0x03000000), ErrorCode::unsupported, "big-endian");
  check_refused(version(0x02000000), ErrorCode::unsupported, "big-endian");
}

TEST_CASE("duplicates are refused by name; equal token strings are not") {
  GgufBytes keys;
  keys.header(3, 0, 3);
  keys.scalar<uint8_t>("twice\x1b", 0, 1);
  keys.scalar<uint8_t>("once", 0, 1);
  keys.scalar<uint8_t>("twice\x1b", 0, 2);
  check_refused(keys, ErrorCode::bad_file, "metadata key 'twice\\x1b' occurs twice");

  GgufBytes tensors;
  tensors.header(3, 2, 0);
  tensors.tensor("t", {1}, 0, 0);
  tensors.tensor("t", {1}, 0, 32);
  tensors.pad(32);
  tensors.data(64);
  check_refused(tensors, ErrorCode::bad_file, "tensor 't' occurs twice");
}

TEST_CASE("overlaps are refused, naming both tensors") {
  const auto two = [](uint32_t first_type, uint64_t second_offset) {
    GgufBytes f;
    f.header(3, 2, 0);
    f.tensor("first", {9}, first_type, 0);  // 36 bytes of F32
    f.tensor("second", {1}, 0, second_offset);
    f.pad(32);
    f.data(100);
    return f;
  };
  check_refused(two(0, 32), ErrorCode::bad_file, "'first' and 'second' overlap");
  check_refused(two(0, 0), ErrorCode::bad_file, "overlap");
  check_refused(two(999, 0), ErrorCode::bad_file, "overlap");  // of unknown size, yet not of none
  CHECK(open(two(0, 64)).tensors().size() == 2);
}

TEST_CASE("a tensor beyond the end tells how long the file should be") {
  GgufBytes f;
  f.header(3, 2, 0);
  f.tensor("here", {8}, 0, 0);
  f.tensor("gone", {1000}, 0, 32);
  f.pad(32);
  const size_t start = f.bytes.size();
  f.data(40);
  check_refused(f, ErrorCode::bad_file,
                fmt::format("'gone' ends at byte {}: expected a file of at least {} bytes, got {}",
                            start + 4032, start + 4032, start + 40));
}

TEST_CASE("shapes that contradict their type, the file or 64 bits are refused") {
  check_refused(one_tensor({33}, 2), ErrorCode::bad_file,
                "multiple of 32 elements (type Q4_0), got 33");
  check_refused(one_tensor({1, 32}, 2), ErrorCode::bad_file, "multiple of 32");
  check_refused(one_tensor({}, 2), ErrorCode::bad_file, "multiple of 32");
  check_refused(one_tensor({1, 1, 1, 1, 1}, 0), ErrorCode::unsupported,
                "at most 4 dimensions, got 5");
  check_refused(one_tensor({1ull << 63}, 0), ErrorCode::bad_file, "below 2^63");
  check_refused(one_tensor({1ull << 32, 1ull << 31}, 0), ErrorCode::bad_file, "fewer than 2^63");
  check_refused(one_tensor({0, 1ull << 32, 1ull << 31}, 0), ErrorCode::bad_file, "fewer than 2^63");
  check_refused(one_tensor({1ull << 62}, 0), ErrorCode::bad_file, "does not fit 64 bits");
  check_refused(one_tensor({1ull << 61}, 0), ErrorCode::bad_file, "expected a file of at least");
  check_refused(one_tensor({1}, 0, 8), ErrorCode::bad_file, "multiple of 32, got 8");
  check_refused(one_tensor({1}, 0, UINT64_MAX - 31), ErrorCode::bad_file, "does not fit 64 bits");
  check_refused(one_tensor({0}, 0, 1 << 20), ErrorCode::bad_file, "expected a file of at least");
}

TEST_CASE("values that are no values are refused") {
  GgufBytes type;
  type.header(3, 0, 1);
  type.scalar<uint64_t>("k", 13, 0);
  check_refused(type, ErrorCode::bad_file, "'k': expected a value type from 0 to 12, got 13");

  GgufBytes item;
  item.header(3, 0, 1);
  item.array("k", 13, 0);
  check_refused(item, ErrorCode::bad_file, "'k': expected an item type from 0 to 12, got 13");

  GgufBytes nested;
  nested.header(3, 0, 1);
  nested.array("k", 9, 1);
  nested.raw<uint32_t>(4);
  nested.raw<uint64_t>(0);
  check_refused(nested, ErrorCode::unsupported, "'k': arrays of arrays");

  GgufBytes boolean;
  boolean.header(3, 0, 1);
  boolean.scalar<uint8_t>("k", 7, 2);
  check_refused(boolean, ErrorCode::bad_file, "'k': expected a bool of 0 or 1, got 2");

  GgufBytes long_name;
  long_name.header(3, 0, 1);
  long_name.scalar<uint8_t>(std::string(65536, 'k'), 0, 1);
  check_refused(long_name, ErrorCode::bad_file, "at most 65535 bytes");
}

TEST_CASE("names of 65535 bytes, 65536 keys and 131072 tensors are accepted, more are not") {
  GgufBytes long_name;
  long_name.header(3, 0, 1);
  long_name.scalar<uint8_t>(std::string(65535, 'k'), 0, 1);
  CHECK(open(long_name).meta().get_int(std::string(65535, 'k')) == 1);

  const auto many_keys = [](uint64_t count) {
    GgufBytes f;
    f.header(3, 0, count);
    for (uint64_t i = 0; i < count; ++i) f.scalar<uint32_t>(std::to_string(i), 4, uint32_t(i));
    return f;
  };
  const GgufBytes keys = many_keys(kGgufMaxKeys);
  CHECK(open(keys).meta().get_int("65535") == 65535);
  check_refused(many_keys(kGgufMaxKeys + 1), ErrorCode::unsupported, "at most 65536, got 65537");

  const auto many_tensors = [](uint64_t count) {
    GgufBytes f;
    f.header(3, count, 0);
    for (uint64_t i = 0; i < count; ++i) f.tensor(std::to_string(i), {0}, 0, 0);
    f.pad(32);
    return f;
  };
  const GgufBytes tensors = many_tensors(kGgufMaxTensors);
  CHECK(open(tensors).find("131071") != nullptr);
  check_refused(many_tensors(kGgufMaxTensors + 1), ErrorCode::unsupported, "at most 131072");
}

TEST_CASE("tensors are read in place, so misaligned memory is refused") {
  const GgufBytes sample = test::sample_gguf();
  std::vector<std::byte> shifted(sample.bytes.size() + 1);
  std::copy(sample.bytes.begin(), sample.bytes.end(), shifted.begin() + 1);
  try {
    (void)open_tensor_memory(std::span(shifted).subspan(1), "memory");
    FAIL("opened");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::bad_argument);
  }
}

TEST_CASE("the real models open, with every tensor of a known type", "[model]") {
  for (const char* name : {test::kSmolLM2, test::kGemma3}) {
    NIBBLE_MODEL_OR_SKIP(path, name);
    const TensorFile file = open_tensor_file(path);
    CHECK(file.warnings().empty());
    CHECK(file.map() != nullptr);
    CHECK(file.meta().get_strings("tokenizer.ggml.tokens")->size() ==
          static_cast<size_t>(file.find("token_embd.weight")->rows()));
    (void)test::walk(file);
  }
}
