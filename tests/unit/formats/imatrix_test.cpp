// Importance matrices: written and read, cut short anywhere, and wrong in every part.
#include "formats/imatrix.h"

#include <cmath>
#include <cstring>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;

namespace {

/// As llama.cpp lays it out, byte by byte.
test::GgufBuilder builder(const std::vector<float>& sums, const std::vector<float>& counts,
                          const char* type = "imatrix") {
  test::GgufBuilder b;
  b.add_string("general.type", type);
  b.add_strings("imatrix.datasets", {"wiki.train"});
  b.add_u32("imatrix.chunk_count", 3);
  b.add_u32("imatrix.chunk_size", 512);
  const auto n = static_cast<int64_t>(counts.size());
  b.add_tensor("blk.0.ffn_up.weight.in_sum2", {n, static_cast<int64_t>(sums.size()) / n}, sums);
  b.add_tensor("blk.0.ffn_up.weight.counts", {n, 1}, counts);
  return b;
}

/// The reader wants its tensors aligned.
Imatrix read(const std::string& bytes) {
  std::vector<uint64_t> aligned(bytes.size() / 8 + 1);
  std::memcpy(aligned.data(), bytes.data(), bytes.size());
  return read_imatrix(
      open_tensor_memory(std::as_bytes(std::span(aligned)).first(bytes.size()), "imatrix"));
}

void check_refused(const std::string& bytes, const std::string& text) {
  try {
    read(bytes);
    FAIL("read");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::bad_file);
    CHECK_THAT(error.message(), Contains(text));
  }
}

}  // namespace

TEST_CASE("an importance matrix of the ecosystem is read") {
  const Imatrix m = read(builder({1, 2, 3, 4, 5, 6}, {10, 20}).build());
  CHECK(m.datasets == std::vector<std::string>{"wiki.train"});
  CHECK(m.chunk_count == 3);
  CHECK(m.chunk_size == 512);
  REQUIRE(m.find("blk.0.ffn_up.weight") != nullptr);
  const ImatrixEntry& entry = *m.find("blk.0.ffn_up.weight");
  CHECK(entry.cols == 3);
  CHECK(entry.n_matrices() == 2);
  CHECK(entry.sums == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(entry.counts == std::vector<float>{10, 20});
  CHECK(m.find("blk.0.ffn_up") == nullptr);
  CHECK(m.find("z") == nullptr);
}

TEST_CASE("what is written reads back") {
  Imatrix m;
  m.datasets = {"a", "b"};
  m.chunk_count = 7;
  m.chunk_size = 256;
  m.text_hash = "0123";
  m.entries = {{"x.weight", 3, {1, 0, 2}, {5}}, {"y.weight", 2, {1, 2, 3, 4}, {5, 0}}};
  const test::TempDir dir;
  write_imatrix(m, dir / "m.gguf");
  const Imatrix back = read_imatrix(open_tensor_file(dir / "m.gguf"));
  CHECK(back.datasets == m.datasets);
  CHECK(back.chunk_count == 7);
  CHECK(back.chunk_size == 256);
  CHECK(back.text_hash == "0123");
  REQUIRE(back.entries.size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    CHECK(back.entries[i].name == m.entries[i].name);
    CHECK(back.entries[i].cols == m.entries[i].cols);
    CHECK(back.entries[i].sums == m.entries[i].sums);
    CHECK(back.entries[i].counts == m.entries[i].counts);
  }
}

TEST_CASE("an importance matrix cut short anywhere is refused") {
  const std::string whole = builder({1, 2, 3, 4, 5, 6}, {10, 20}).build();
  size_t refused = 0;
  for (size_t size = 0; size < whole.size(); ++size) {
    try {
      read(whole.substr(0, size));
    } catch (const Error& error) {
      CHECK((error.code() == ErrorCode::bad_file || error.code() == ErrorCode::unsupported));
      ++refused;
    }
  }
  // The zeros after the last of 2 counts may be missing.
  CHECK(refused >= whole.size() - 32);
}

TEST_CASE("an importance matrix with a wrong part is refused by name") {
  check_refused(builder({1, 2}, {1}, "model").build(), "general.type");
  check_refused(test::GgufBuilder().build(), "general.type");
  check_refused(builder({1, -1}, {1}).build(), "blk.0.ffn_up.weight.in_sum2");
  check_refused(builder({1, NAN}, {1}).build(), "got nan at 1");
  check_refused(builder({1, 2}, {INFINITY}).build(), "blk.0.ffn_up.weight.counts");
  test::GgufBuilder none;
  none.add_string("general.type", "imatrix");
  check_refused(none.build(), "got none");
  test::GgufBuilder half = none;
  half.add_tensor("a.in_sum2", {1, 2}, {1, 2});
  check_refused(half.build(), "only one of them");
  test::GgufBuilder counts = none;
  counts.add_tensor("a.in_sum2", {2, 2}, {1, 2, 3, 4});
  counts.add_tensor("a.counts", {3, 1}, {1, 2, 3});
  check_refused(counts.build(), "expected 2 counts, got 3");
  test::GgufBuilder halves = none;
  const uint16_t sums[2] = {};
  halves.add_tensor("a.in_sum2", {1, 2}, 1, sums, sizeof sums);
  halves.add_tensor("a.counts", {1, 1}, {1});
  check_refused(halves.build(), "expected type F32");
}

TEST_CASE("one count may stand for all matrices") {
  test::GgufBuilder b;
  b.add_string("general.type", "imatrix");
  b.add_tensor("a.in_sum2", {2, 2}, {1, 2, 3, 4});
  b.add_tensor("a.counts", {1, 1}, {9});
  CHECK(read(b.build()).entries[0].counts == std::vector<float>{9, 9});
}

TEST_CASE("weights of columns are above zero, whatever the sums") {
  float w[4];
  column_importance({"a", 4, {8, 0, 0, 0}, {2}}, 0, w);
  CHECK(w[0] == 4.0f);  // in units of the mean of the columns
  CHECK(w[1] == 1e-6f);
  column_importance({"a", 4, {0, 0, 0, 0}, {2}}, 0, w);
  CHECK((w[0] == 1.0f && w[3] == 1.0f));
  column_importance({"a", 4, {1, 2, 3, 4, 5, 6, 7, 8}, {2, 0}}, 1, w);
  CHECK((w[0] == 1.0f && w[3] == 1.0f));
}
