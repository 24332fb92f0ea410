// Typed access to metadata: every getter on every type, and the edges of each conversion.
#include <bit>
#include <cmath>
#include <limits>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "formats/meta_type.h"
#include "tests/support/catch.h"
#include "tests/support/gguf_bytes.h"

using namespace nibble;
using Catch::Matchers::Contains;
using test::GgufBytes;

namespace {

// One key of each type, named as the type, and one array of each item type ("array of X"), value 1.
GgufBytes one_of_each() {
  GgufBytes f;
  f.header(3, 0, 12 + 12);
  for (const MetaTypeInfo& type : meta_types()) {
    const auto id = static_cast<uint32_t>(type.type);
    const auto one = [&] {
      if (type.type == MetaType::f32) return f.raw(1.0F);
      if (type.type == MetaType::f64) return f.raw(1.0);
      for (uint32_t i = 0; i < type.bytes; ++i) f.raw<uint8_t>(i == 0 ? 1 : 0);
    };
    if (type.type == MetaType::array) continue;
    if (type.type == MetaType::string) {
      f.string_key("string", "1");
      f.array("array of string", id, 1);
      f.string("1", "item");
      continue;
    }
    f.key(type.name, id);
    one();
    f.array(std::string("array of ") + type.name, id, 1);
    one();
  }
  return f;
}

template <typename Get>
bool refused(Get get, const std::string& key) {
  try {
    return !get();
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::bad_file);
    CHECK_THAT(error.what(), Contains("m.gguf: metadata key '" + key + "': expected "));
    CHECK_THAT(error.what(), Contains("got " + key));  // the key is named as its type
    return true;
  }
}

}  // namespace

TEST_CASE("each getter takes its own kinds of value and refuses all others by name") {
  const GgufBytes bytes = one_of_each();
  const TensorFile file = open_tensor_memory(bytes.bytes, "m.gguf");
  const Metadata& meta = file.meta();
  REQUIRE(meta.all().size() == 24);
  for (const MetaValue& value : meta.all()) {
    const std::string& key = value.key;
    INFO(key);
    const bool array = value.type == MetaType::array;
    const MetaKind kind = meta_type_info(array ? value.item_type : value.type).kind;
    const bool integer = kind == MetaKind::integer;
    const bool number = integer || kind == MetaKind::real;
    CHECK(refused([&] { return meta.get_int(key) == 1; }, key) == !(!array && integer));
    CHECK(refused([&] { return meta.get_float(key) == 1.0; }, key) == !(!array && number));
    CHECK(refused([&] { return meta.get_bool(key) == true; }, key) ==
          !(!array && kind == MetaKind::boolean));
    CHECK(refused([&] { return meta.get_string(key) == "1"; }, key) ==
          !(!array && kind == MetaKind::string));
    CHECK(refused([&] { return meta.get_ints(key) == std::vector<int64_t>{1}; }, key) ==
          !(array && (integer || kind == MetaKind::boolean)));
    CHECK(refused([&] { return meta.get_floats(key) == std::vector<float>{1}; }, key) ==
          !(array && number));
    CHECK(refused([&] { return (*meta.get_strings(key))[0] == "1"; }, key) ==
          !(array && kind == MetaKind::string));
  }
}

TEST_CASE("an absent key is no error") {
  const Metadata meta;
  CHECK(meta.find("k") == nullptr);
  CHECK(meta.get_int("k") == std::nullopt);
  CHECK(meta.get_float("k") == std::nullopt);
  CHECK(meta.get_bool("k") == std::nullopt);
  CHECK(meta.get_string("k") == std::nullopt);
  CHECK(meta.get_ints("k") == std::nullopt);
  CHECK(meta.get_floats("k") == std::nullopt);
  CHECK(meta.get_strings("k") == nullptr);
}

TEST_CASE("numbers keep their sign and every bit") {
  const GgufBytes sample = test::sample_gguf();
  const TensorFile file = open_tensor_memory(sample.bytes, "m.gguf");
  const Metadata& meta = file.meta();
  CHECK(meta.get_int("u8") == 200);
  CHECK(meta.get_int("i8") == -100);
  CHECK(meta.get_int("u16") == 60000);
  CHECK(meta.get_int("i16") == -30000);
  CHECK(meta.get_int("u32") == 4000000000);
  CHECK(meta.get_int("i32") == -2000000000);
  CHECK(meta.get_int("i64") == -(int64_t{1} << 62));
  CHECK(meta.get_float("i8") == -100.0);
  CHECK(meta.get_float("f32") == 1.5);
  CHECK(meta.get_float("f64") == 0.1);
  CHECK(meta.get_float("i64") == -0x1p62);
}

TEST_CASE("a conversion that would lose something is refused with the number") {
  GgufBytes f;
  f.header(3, 0, 8);
  f.scalar<uint64_t>("2^63", 10, 1ull << 63);
  f.scalar<uint64_t>("2^63-1", 10, (1ull << 63) - 1);
  f.scalar<int64_t>("2^53", 11, 1ll << 53);
  f.scalar<int64_t>("2^53+1", 11, (1ll << 53) + 1);
  f.array("u64s", 10, 2);
  f.raw<uint64_t>(1);
  f.raw<uint64_t>(UINT64_MAX);
  f.array("big f64", 12, 1);
  f.raw(1e39);
  f.array("f64s", 12, 4);
  for (const double x : {0.1, std::numeric_limits<double>::infinity(), std::nan(""), -1e-300}) {
    f.raw(x);
  }
  f.array("i32s", 5, 2);
  f.raw<int32_t>(1 << 24);
  f.raw<int32_t>((1 << 24) + 1);
  const TensorFile file = open_tensor_memory(f.bytes, "m.gguf");
  const Metadata& meta = file.meta();
  CHECK_THROWS_WITH(meta.get_int("2^63"), Contains("below 2^63, got 9223372036854775808"));
  CHECK(meta.get_int("2^63-1") == std::numeric_limits<int64_t>::max());
  CHECK(meta.get_float("2^53") == 0x1p53);
  CHECK_THROWS_WITH(meta.get_float("2^53+1"), Contains("got 9007199254740993"));
  CHECK_THROWS_WITH(meta.get_ints("u64s"), Contains("got 18446744073709551615"));
  CHECK_THROWS_WITH(meta.get_floats("big f64"), Contains("within float32, got 1e+39"));
  CHECK_THROWS_WITH(meta.get_floats("i32s"), Contains("got 16777217"));
  const std::vector<float> rounded = *meta.get_floats("f64s");
  CHECK(rounded[0] == 0.1F);
  CHECK(std::isinf(rounded[1]));
  CHECK(std::isnan(rounded[2]));
  CHECK(rounded[3] == 0);
}

TEST_CASE("bools in arrays read as integers 0 and 1") {
  const GgufBytes sample = test::sample_gguf();
  const TensorFile file = open_tensor_memory(sample.bytes, "m.gguf");
  CHECK(file.meta().get_ints("bools") == std::vector<int64_t>{0, 1});
  CHECK(file.meta().get_ints("nothing")->empty());
}

TEST_CASE("metadata built by hand is found before and after indexing") {
  Metadata meta;
  const auto add = [&](const std::string& key, uint64_t bits) {
    MetaValue value;
    value.key = key;
    value.bits = bits;
    meta.add(std::move(value));
  };
  for (uint64_t i = 0; i < 10; ++i) add(std::to_string(i * 7 % 10), i * 7 % 10);
  CHECK(meta.get_int("3") == 3);
  CHECK(meta.build_index() == nullptr);
  add("later", 99);
  for (int64_t i = 0; i < 10; ++i) CHECK(meta.get_int(std::to_string(i)) == i);
  CHECK(meta.get_int("later") == 99);
  add("3", 4);
  REQUIRE(meta.build_index() != nullptr);
  CHECK(*meta.build_index() == "3");
}

TEST_CASE("a length that changes under the map moves no bound", "[metadata]") {
  GgufBytes f;
  f.header(3, 0, 1);
  f.array("words", 8, 2);
  f.string("ab", "first");
  f.string("cde", "second");
  std::vector<std::byte> bytes(f.bytes.begin(), f.bytes.end());
  const TensorFile file = open_tensor_memory(bytes, "file.gguf");
  const StringArray* words = file.meta().get_strings("words");
  REQUIRE(words != nullptr);
  REQUIRE(words->size() == 2);
  CHECK((*words)[1] == "cde");
  // What another process may do to the file: both lengths become enormous.
  const auto first = reinterpret_cast<const std::byte*>((*words)[0].data()) - bytes.data();
  std::fill_n(bytes.begin() + first - 8, 8, std::byte{0xff});
  std::fill_n(bytes.begin() + first + 2, 8, std::byte{0xff});
  CHECK((*words)[0] == "ab");
  CHECK((*words)[1] == "cde");
}
