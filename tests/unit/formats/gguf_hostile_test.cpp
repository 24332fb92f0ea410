// Every way to break a small file: each must end in an Error or in a file that keeps its promises.
// The bytes are copied into a buffer of their exact size, so that a sanitizer sees one byte too
// far.
#include <random>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tests/support/gguf_bytes.h"
#include "tests/support/walk_tensor_file.h"

using namespace nibble;
using test::GgufBytes;

namespace {

// Opens and uses the bytes; true if they are a valid file.
bool survives(std::span<const std::byte> bytes) {
  const std::vector<std::byte> exact(bytes.begin(), bytes.end());
  try {
    (void)test::walk(open_tensor_memory(exact, "hostile.gguf"));
    return true;
  } catch (const Error& error) {
    test::promise(!error.message().empty(), "an error has a message");
    test::promise(error.code() == ErrorCode::bad_file || error.code() == ErrorCode::unsupported,
                  "a broken file is bad_file or unsupported");
    for (const char c : error.message()) {
      test::promise(c >= 0x20 && c < 0x7f, "a message is printable ASCII");
    }
    return false;
  }
}

}  // namespace

TEST_CASE("every truncation of a small file is an error or a valid file") {
  const GgufBytes sample = test::sample_gguf();
  const std::span<const std::byte> bytes = sample.bytes;
  REQUIRE(bytes.size() < 2048);
  REQUIRE(survives(bytes));
  size_t valid = 0;
  for (size_t n = 0; n < bytes.size(); ++n) valid += survives(bytes.first(n)) ? 1 : 0;
  // Only the padding after the last tensor (34 bytes of data padded to 64) is optional.
  CHECK(valid == 30);
}

TEST_CASE("every single-bit flip of a small file is an error or a valid file") {
  for (const uint32_t version : {2u, 3u}) {
    std::vector<std::byte> bytes = test::sample_gguf(version).bytes;
    size_t valid = 0;
    for (size_t i = 0; i < bytes.size() * 8; ++i) {
      const auto mask = static_cast<std::byte>(1u << (i % 8));
      bytes[i / 8] ^= mask;
      valid += survives(bytes) ? 1 : 0;
      bytes[i / 8] ^= mask;
    }
    // Flips in values and data leave the file valid, flips in the structure mostly do not.
    CHECK(valid > bytes.size());
    CHECK(valid < bytes.size() * 7);
  }
}

TEST_CASE("a packed file: every truncation and every single-bit flip") {
  std::vector<std::byte> bytes = test::packed_gguf().bytes;
  REQUIRE(bytes.size() < 4096);
  REQUIRE(survives(bytes));
  for (size_t n = 0; n < bytes.size(); ++n) CHECK(!survives(std::span(bytes).first(n)));
  size_t valid = 0;
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    const auto mask = static_cast<std::byte>(1u << (i % 8));
    bytes[i / 8] ^= mask;
    valid += survives(bytes) ? 1 : 0;
    bytes[i / 8] ^= mask;
  }
  CHECK(valid > bytes.size());  // data may hold anything
  CHECK(valid < bytes.size() * 8);
}

namespace {

void try_edge_values(const GgufBytes& sample) {
  std::vector<uint64_t> values{0, 1, 2, 3, 4, 5, 9, 13, 31, 32, 33, 64, 255, UINT64_MAX};
  for (const int bit : {15, 16, 24, 31, 32, 60, 61, 62, 63}) {
    for (const int step : {-1, 0, 1}) {
      values.push_back((uint64_t{1} << bit) + static_cast<uint64_t>(int64_t{step}));
    }
  }
  for (const uint32_t id : {0x4E420000u, 0x4E420002u, 0x4E42000Eu, 0x4E421008u, 0x4E421002u}) {
    values.push_back(id);
  }
  for (const GgufBytes::Field& field : sample.fields) {
    INFO(field.what);
    for (const uint64_t value : values) {
      std::vector<std::byte> bytes = sample.bytes;
      std::memcpy(bytes.data() + field.at, &value, field.width);
      CHECK_NOTHROW(survives(bytes));
    }
  }
}

}  // namespace

TEST_CASE("edge values in every count, length, type, dimension and offset") {
  const GgufBytes sample = test::sample_gguf();
  REQUIRE(sample.fields.size() > 80);
  try_edge_values(sample);
  try_edge_values(test::packed_gguf());
}

TEST_CASE("edge values in any two fields at once", "[slow]") {
  const GgufBytes sample = test::sample_gguf();
  const uint64_t values[] = {0, 1, 1ull << 31, 1ull << 32, 1ull << 61, 1ull << 63, UINT64_MAX};
  for (const GgufBytes::Field& a : sample.fields) {
    for (const GgufBytes::Field& b : sample.fields) {
      for (const uint64_t va : values) {
        for (const uint64_t vb : values) {
          std::vector<std::byte> bytes = sample.bytes;
          std::memcpy(bytes.data() + a.at, &va, a.width);
          std::memcpy(bytes.data() + b.at, &vb, b.width);
          (void)survives(bytes);
        }
      }
    }
  }
}

TEST_CASE("a tensor is accepted exactly when 128-bit arithmetic says that it fits") {
  using Wide = unsigned __int128;
  const struct {
    uint32_t id;
    uint64_t block_len, block_bytes;  // of the GGUF specification, not of our table
  } kTypes[] = {{0, 1, 4}, {1, 1, 2}, {2, 32, 18}, {8, 32, 34}, {12, 256, 144}, {14, 256, 210}};
  constexpr uint64_t kData = 4096;
  std::mt19937_64 random(7);
  const auto dim = [&](uint64_t block) {
    switch (random() % 4) {
      case 0:
        return (random() % 5) * block;
      case 1:
        return random() % 600;
      case 2:
        return (uint64_t{1} << (random() % 64)) + random() % 3 - 1;
      default:
        return random() >> (random() % 64);
    }
  };
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    const auto& type = kTypes[random() % std::size(kTypes)];
    std::vector<uint64_t> dims;
    for (uint64_t n = 1 + random() % 3; n > 0; --n) dims.push_back(dim(type.block_len));
    const uint64_t offset = random() % 3 == 0 ? random() : (random() % 140) * 32;

    bool fits = offset % 32 == 0 && dims[0] % type.block_len == 0;
    Wide nonzero = 1;  // product with zeros counted as ones; stops growing above 2^63
    bool empty = false;
    for (const uint64_t d : dims) {
      if (d >= uint64_t{1} << 63) fits = false;
      if (d == 0) empty = true;
      nonzero *= d == 0 ? 1 : d;
      if (nonzero >= Wide{1} << 63) {
        fits = false;
        nonzero = Wide{1} << 63;
      }
    }
    const Wide bytes = empty ? 0 : nonzero / type.block_len * type.block_bytes;
    if (Wide{offset} + bytes > kData) fits = false;

    GgufBytes f;
    f.header(3, 1, 0);
    f.tensor("t", dims, type.id, offset);
    f.pad(32);
    f.data(kData);
    const bool got = survives(f.bytes);
    if (got != fits) {
      FAIL_CHECK("dims " << fmt::format("{}", fmt::join(dims, " x ")) << " type " << type.id
                         << " offset " << offset << ": expected " << fits << ", got " << got);
    }
    accepted += got ? 1 : 0;
  }
  CHECK(accepted > 1000);  // the draw is no one-sided test
}
