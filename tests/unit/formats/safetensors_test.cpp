// The safetensors reader: files written by hand, each rule of the format broken once, every
// truncation and bit flip. tests/oracle/safetensors_differential.py compares it with the reference.
#include "formats/safetensors.h"

#include <cstring>

#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tests/support/safetensors_bytes.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;
using test::safetensors_bytes;
using test::safetensors_entry;

namespace {

// Opens bytes of their exact size and touches all data, so that a sanitizer sees one too far.
std::string refusal(const std::string& file) {
  std::vector<std::byte> bytes(file.size());
  if (!file.empty()) std::memcpy(bytes.data(), file.data(), file.size());
  try {
    const SafetensorsFile open = open_safetensors_memory(bytes, "m.safetensors");
    unsigned sum = 0;
    for (const SafeTensor& t : open.tensors()) {
      for (const std::byte b : open.data(t)) sum += std::to_integer<unsigned>(b);
      if (open.find(t.name) != &t) return "a tensor is not found by its name";
    }
    return sum == UINT32_MAX ? "too much" : "";
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::bad_file);
    for (const char c : error.message()) CHECK((c >= 0x20 && c < 0x7F));
    return error.message();
  }
}

std::string header(const std::string& entries) {
  return "{" + entries + "}";
}

const std::string kSample =
    header(R"("__metadata__":{"format":"pt"},)" + safetensors_entry("b", "F16", {2, 3}, 4, 16) +
           "," + safetensors_entry("a", "F32", {1}, 0, 4) + "," +
           safetensors_entry("z", "I64", {0, 7}, 16, 16)) +
    "   ";

}  // namespace

TEST_CASE("a file is read") {
  const std::string file = safetensors_bytes(kSample, std::string(16, 'x'));
  const test::TempDir dir;
  test::write_file(dir / "m.safetensors", file);
  const SafetensorsFile open = open_safetensors(dir / "m.safetensors");
  REQUIRE(open.tensors().size() == 3);
  CHECK(open.tensors()[0].name == "a");
  CHECK(open.tensors()[1].name == "b");
  CHECK(open.tensors()[1].shape == std::vector<int64_t>{2, 3});
  CHECK(open.tensors()[1].type == SafeType::f16);
  CHECK(open.data(open.tensors()[1]).size() == 12);
  CHECK(open.find("z")->bytes == 0);
  CHECK(open.find("nothing") == nullptr);
}

TEST_CASE("each element type of the format is known") {
  for (const SafeTypeInfo& type : all_safe_types()) {
    INFO(type.name);
    CHECK(&safe_type_info(type.type) == &type);
    const std::string entry = safetensors_entry("t", type.name, {8}, 0, type.bits);
    CHECK(refusal(safetensors_bytes(header(entry), std::string(type.bits, 0))).empty());
  }
  CHECK_THAT(refusal(safetensors_bytes(header(safetensors_entry("t", "F4", {3}, 0, 1)), "x")),
             Contains("expected 12 bits"));
  CHECK_THAT(refusal(safetensors_bytes(header(safetensors_entry("t", "f32", {1}, 0, 4)), "1234")),
             Contains("'f32'"));
}

TEST_CASE("what breaks the format is refused by name") {
  const auto one = [](const std::string& entry, const std::string& data) {
    return refusal(safetensors_bytes(header(entry), data));
  };
  const auto entry = safetensors_entry;
  CHECK_THAT(refusal(""), Contains("got 0 bytes"));
  CHECK_THAT(refusal("1234567"), Contains("got 7 bytes"));
  CHECK_THAT(refusal(std::string(8, '\xFF') + "{}"), Contains("at most 100000000"));
  CHECK_THAT(refusal(safetensors_bytes("{}", "").substr(0, 9)), Contains("2 bytes of header"));
  CHECK_THAT(refusal(safetensors_bytes(" {}", "")), Contains("begins with '{'"));
  CHECK_THAT(refusal(safetensors_bytes("[]", "")), Contains("begins with '{'"));
  CHECK(refusal(safetensors_bytes("{}", "")).empty());
  CHECK_THAT(refusal(safetensors_bytes("{}", "x")), Contains("1 bytes more"));
  CHECK_THAT(one(entry("t", "F32", {2}, 0, 4), "1234"), Contains("expected 64 bits"));
  CHECK_THAT(one(entry("t", "F32", {1}, 0, 8), "1234"), Contains("got 4 bytes of data"));
  CHECK_THAT(one(entry("t", "U8", {4}, 1, 5), "12345"), Contains("byte 0"));
  CHECK_THAT(one(entry("a", "U8", {2}, 0, 2) + "," + entry("b", "U8", {2}, 1, 3), "123"),
             Contains("'b'"));
  CHECK_THAT(one(entry("a", "U8", {1}, 0, 1) + "," + entry("b", "U8", {1}, 2, 3), "123"),
             Contains("'b'"));
  CHECK_THAT(one(entry("t", "U8", {1}, 1, 0), "1"), Contains("ascend"));
  CHECK_THAT(one(entry("t", "U8", {-1}, 0, 1), "1"), Contains("whole numbers"));
  CHECK_THAT(one(entry("t", "F32", {INT64_MAX, INT64_MAX}, 0, 4), "1234"), Contains("2^64"));
  CHECK_THAT(one(entry("t", "F64", {INT64_MAX}, 0, 4), "1234"), Contains("2^64"));
  // 2^62 floats of 4 bytes are 2^64: a product that wraps would be zero.
  CHECK_THAT(one(entry("t", "F32", {int64_t{1} << 62}, 0, 0), ""), Contains("2^64"));
  CHECK_THAT(one(entry("t", "U8", {0, INT64_MAX, INT64_MAX}, 0, 0), ""), Contains("2^64"));
  CHECK_THAT(one(R"("t":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]})", "1"),
             Contains("whole numbers"));
  CHECK_THAT(one(R"("t":{"dtype":"U8","shape":[1],"data_offsets":[0]})", "1"), Contains("begin"));
  CHECK_THAT(one(R"("t":{"dtype":"U8","shape":[1],"data_offsets":[0,1e0]})", "1"),
             Contains("begin"));
  CHECK_THAT(one(R"("t":{"dtype":"U8","data_offsets":[0,1]})", "1"), Contains("shape"));
  CHECK_THAT(one(R"("t":{"shape":[1],"data_offsets":[0,1]})", "1"), Contains("dtype"));
  CHECK_THAT(one(R"("t":5)", ""), Contains("object"));
  CHECK_THAT(one(R"("__metadata__":{"a":1})", ""), Contains("__metadata__"));
  CHECK_THAT(one(entry("t", "U8", {1}, 0, 1) + "," + entry("t", "U8", {1}, 0, 1), "1"),
             Contains("occurs twice"));
}

TEST_CASE("every truncation is an error and every bit flip one or a valid file") {
  const std::string file = safetensors_bytes(kSample, std::string(16, 'x'));
  REQUIRE(refusal(file).empty());
  for (size_t n = 0; n < file.size(); ++n) CHECK_FALSE(refusal(file.substr(0, n)).empty());
  size_t valid = 0;
  std::string flipped = file;
  for (size_t i = 0; i < file.size() * 8; ++i) {
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << (i % 8)));
    valid += refusal(flipped).empty() ? 1 : 0;
    flipped[i / 8] = file[i / 8];
  }
  // All 128 of the data, some of the names; most of the header breaks.
  CHECK(valid >= 128);
  CHECK(valid < file.size() * 2);
}
