#pragma once
// Builds GGUF bytes by hand, field by field, so that tests can write what the writer refuses to.
// It shares no code with formats/, and remembers where every number went.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nibble::test {

struct GgufBytes {
  struct Field {
    size_t at;
    size_t width;
    std::string what;
  };

  std::vector<std::byte> bytes;
  std::vector<Field> fields;  // every count, length, type, dimension and offset

  template <typename T>
  void raw(T value) {
    std::byte copy[sizeof value];
    std::memcpy(copy, &value, sizeof value);
    for (const std::byte b : copy) bytes.push_back(b);
  }
  template <typename T>
  void field(T value, std::string what) {
    fields.push_back({bytes.size(), sizeof value, std::move(what)});
    raw(value);
  }
  void text(std::string_view value) {
    for (const char c : value) raw(c);
  }
  void string(std::string_view value, const std::string& what) {
    field(uint64_t{value.size()}, what + " length");
    text(value);
  }

  void header(uint32_t version, uint64_t n_tensors, uint64_t n_keys) {
    text("GGUF");
    field(version, "version");
    field(n_tensors, "n_tensors");
    field(n_keys, "n_keys");
  }
  void key(std::string_view name, uint32_t type) {
    string(name, "key " + std::string(name));
    field(type, "type of " + std::string(name));
  }
  template <typename T>
  void scalar(std::string_view name, uint32_t type, T value) {
    key(name, type);
    raw(value);
  }
  void string_key(std::string_view name, std::string_view value) {
    key(name, 8);
    string(value, "value of " + std::string(name));
  }
  void array(std::string_view name, uint32_t item_type, uint64_t count) {
    key(name, 9);
    field(item_type, "item type of " + std::string(name));
    field(count, "count of " + std::string(name));
  }
  /// dims: fastest first, as on disk.
  void tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
              uint64_t offset) {
    const std::string what = "tensor " + std::string(name);
    string(name, what);
    field(static_cast<uint32_t>(dims.size()), what + " n_dims");
    for (const uint64_t dim : dims) field(dim, what + " dim");
    field(type, what + " type");
    field(offset, what + " offset");
  }
  void pad(size_t alignment) {
    while (bytes.size() % alignment != 0) bytes.push_back(std::byte{0});
  }
  void data(size_t count) {
    for (size_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::byte>(i * 7 + 1));
  }
};

/// A valid file of under 2 KiB with packed tensors: 17 rows of 32 columns of Q4_0, one of 256 of
/// Q3_K, one of 32 of Q8_0 in ordered planes; and a plain one between them.
inline GgufBytes packed_gguf() {
  GgufBytes f;
  f.header(3, 4, 2);
  f.scalar<uint32_t>("general.alignment", 4, 64);
  f.scalar<uint32_t>("nibble.packed.source_alignment", 4, 0);
  f.tensor("q4", {32, 17}, 0x4E420002, 0);      // 2 groups: 512 + 64 bytes
  f.tensor("norm", {3}, 0, 576);                // F32, 12 bytes
  f.tensor("q3", {256, 1}, 0x4E42000B, 640);    // 1024 + 512 + 64 (32 used) + 256 bytes
  f.tensor("head", {32, 1}, 0x4E421008, 2496);  // 256 + 128 + 64 + 64 + 64 bytes
  f.pad(64);
  f.data(576);
  f.data(12);
  f.pad(64);
  f.data(1856);
  f.data(576);
  return f;
}

/// A valid file of under 1 KiB with every value type, arrays, an empty key, tensors of several
/// types (one unknown, one empty) and trailing padding.
inline GgufBytes sample_gguf(uint32_t version = 3) {
  GgufBytes f;
  f.header(version, 5, 19);
  f.string_key("general.architecture", "test");
  f.scalar<uint32_t>("general.alignment", 4, 32);
  f.scalar<uint8_t>("u8", 0, 200);
  f.scalar<int8_t>("i8", 1, -100);
  f.scalar<uint16_t>("u16", 2, 60000);
  f.scalar<int16_t>("i16", 3, -30000);
  f.scalar<uint32_t>("u32", 4, 4000000000u);
  f.scalar<int32_t>("i32", 5, -2000000000);
  f.scalar<float>("f32", 6, 1.5F);
  f.scalar<uint8_t>("bool", 7, 1);
  f.scalar<uint64_t>("u64", 10, 1ull << 63);
  f.scalar<int64_t>("i64", 11, -(1ll << 62));
  f.scalar<double>("f64", 12, 0.1);
  f.string_key("", "empty key");
  f.array("tokens", 8, 3);
  f.string("a", "item of tokens");
  f.string("", "item of tokens");
  f.string("a", "item of tokens");
  f.array("scores", 6, 3);
  for (const float score : {0.0F, -1.0F, -2.5F}) f.raw(score);
  f.array("bools", 7, 2);
  f.raw<uint8_t>(0);
  f.raw<uint8_t>(1);
  f.array("u16s", 2, 2);
  f.raw<uint16_t>(1);
  f.raw<uint16_t>(65535);
  f.array("nothing", 10, 0);
  f.tensor("norm", {3}, 0, 0);                     // F32, 12 bytes
  f.tensor("matrix", {32, 2}, 2, 32);              // Q4_0, 36 bytes
  f.tensor("empty", {0, 5}, 1, 96);                // F16, 0 bytes
  f.tensor("foreign", {8, 1, 2}, 0x4E42FFFF, 96);  // of no type that anybody has defined
  f.tensor("q8", {32, 1, 1, 1}, 8, 128);           // Q8_0, 34 bytes
  f.pad(32);
  f.data(12);
  f.pad(32);
  f.data(36);
  f.pad(32);
  f.data(20);
  f.pad(32);
  f.data(34);
  f.pad(32);
  return f;
}

}  // namespace nibble::test
