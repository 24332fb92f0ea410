// A split model computes what the whole one computes, comes back byte for byte, and is refused
// where its parts do not belong together.
#include "runtime/convert/split_file.h"

#include <sys/stat.h>

#include <filesystem>

#include "formats/gguf.h"
#include "formats/gguf_split.h"
#include "formats/io/error.h"
#include "runtime/convert/pack_file.h"
#include "runtime/convert/verify_file.h"
#include "runtime/engine/session.h"
#include "tests/support/catch.h"
#include "tests/support/models.h"
#include "tests/support/packed_toys.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;
using test::TempDir;

namespace {

std::string toy() {
  return test::quantized_toy([](std::string_view) { return DType::Q8_0; });
}

/// Writes the toy and its parts; the path of the first.
std::string split_toy(const TempDir& dir, int64_t max_tensors = 3) {
  test::write_file(dir / "toy.gguf", toy());
  SplitFileOptions options;
  options.max_tensors = max_tensors;
  return split_file(open_tensor_file(dir / "toy.gguf"), dir / "part", options).files[0];
}

std::vector<float> logits_of(const std::string& path) {
  SessionOptions options;
  options.n_ctx = 32;
  options.n_threads = 1;
  Session session(Engine::open(path), options);
  session.sync(std::vector<int32_t>{1, 2, 3, 4, 5});
  return {session.logits().begin(), session.logits().end()};
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a split model holds the same tensors, computes the same and comes back") {
  const TempDir dir;
  test::write_file(dir / "toy.gguf", toy());
  const TensorFile whole = open_tensor_file(dir / "toy.gguf");
  SplitFileOptions options;
  options.max_tensors = 3;
  const SplitFileResult result = split_file(whole, dir / "part", options);
  REQUIRE(result.files.size() == (whole.tensors().size() + 2) / 3);
  CHECK(result.files[0] == dir / "part-00001-of-00004.gguf");
  CHECK(result.n_tensors == static_cast<int64_t>(whole.tensors().size()));

  const TensorFile parts = open_tensor_file(result.files[0]);
  CHECK(parts.paths() == result.files);
  CHECK(parts.warnings().empty());
  REQUIRE(parts.tensors().size() == whole.tensors().size());
  for (size_t i = 0; i < whole.tensors().size(); ++i) {
    const TensorInfo& want = whole.tensors()[i];
    const TensorInfo& got = parts.tensors()[i];
    CHECK(got.name == want.name);
    CHECK(parts.find(want.name) == &got);
    const auto a = whole.data(want);
    const auto b = parts.data(got);
    CHECK(std::equal(a.begin(), a.end(), b.begin(), b.end()));
  }
  CHECK(test::same_bits(logits_of(result.files[0]), logits_of(dir / "toy.gguf")));

  merge_files(parts, dir / "back.gguf");
  CHECK(test::read_file(dir / "back.gguf") == toy());
  // Other commands take it like any file, and a split one is split anew.
  pack_file(parts, dir / "packed.gguf");
  CHECK(open_tensor_file(dir / "packed.gguf").meta().find("split.count") == nullptr);
  CHECK(test::same_bits(logits_of(dir / "packed.gguf"), logits_of(dir / "toy.gguf")));
  const std::string again = split_file(parts, dir / "again").files[0];
  CHECK(again == dir / "again-00001-of-00001.gguf");
  merge_files(open_tensor_file(again), dir / "back2.gguf");
  CHECK(test::read_file(dir / "back2.gguf") == toy());
}

TEST_CASE("parts are as large as allowed, and a larger tensor is one of its own") {
  const TempDir dir;
  test::write_file(dir / "toy.gguf", toy());
  const TensorFile whole = open_tensor_file(dir / "toy.gguf");
  uint64_t largest = 0;
  for (const TensorInfo& info : whole.tensors()) largest = std::max(largest, info.bytes);
  for (const uint64_t most : {uint64_t{1}, largest / 2, largest, 2 * largest, 100 * largest}) {
    INFO(most);
    SplitFileOptions options;
    options.max_bytes = most;
    const SplitFileResult result = split_file(whole, dir / ("m" + std::to_string(most)), options);
    if (most == 1) CHECK(result.files.size() == whole.tensors().size());
    if (most == 100 * largest) CHECK(result.files.size() == 1);
    for (const std::string& path : result.files) {
      const TensorFile part = open_tensor_shard(path);
      uint64_t bytes = 0;
      for (const TensorInfo& info : part.tensors()) bytes += info.bytes;
      CHECK((bytes <= most || part.tensors().size() == 1));
    }
  }
}

TEST_CASE("hashes of a model go with its parts") {
  const TempDir dir;
  test::write_file(dir / "toy.gguf", toy());
  pack_file(open_tensor_file(dir / "toy.gguf"), dir / "hashed.gguf");
  SplitFileOptions options;
  options.max_tensors = 4;
  const SplitFileResult result =
      split_file(open_tensor_file(dir / "hashed.gguf"), dir / "part", options);
  for (const std::string& path : result.files) {
    const VerifyResult found = verify_file(open_tensor_shard(path));
    CHECK(found.hashes == TensorHashes::State::present);
    CHECK(found.damages.empty());
  }
  merge_files(open_tensor_file(result.files[0]), dir / "back.gguf");
  CHECK(test::read_file(dir / "back.gguf") == test::read_file(dir / "hashed.gguf"));
}

TEST_CASE("parts that do not belong together are refused by name") {
  const TempDir dir;
  const std::string first = split_toy(dir);
  const std::string second = dir / "part-00002-of-00004.gguf";
  const std::string good = test::read_file(second);

  CHECK_THROWS_WITH(open_tensor_file(second), Contains("part 2 of 4"));
  std::filesystem::remove(second);
  CHECK_THROWS_WITH(open_tensor_file(first), Contains("part-00002-of-00004.gguf"));
  test::write_file(second, test::read_file(dir / "part-00003-of-00004.gguf"));
  CHECK_THROWS_WITH(open_tensor_file(first), Contains("got part 3 of 4"));
  test::write_file(second, replaced(good, "blk.0", "blk.7"));  // of another model: still sound
  CHECK(open_tensor_file(first).find("blk.7.attn_q.weight") != nullptr);
  // The name of a tensor that is in the first part already.
  const std::string taken = open_tensor_shard(first).tensors()[0].name;
  const TensorFile part = open_tensor_shard(second);
  const auto other = std::find_if(part.tensors().begin(), part.tensors().end(),
                                  [&](const auto& t) { return t.name.size() == taken.size(); });
  if (other != part.tensors().end()) {
    test::write_file(second, replaced(good, other->name, taken));
    CHECK_THROWS_WITH(open_tensor_file(first), Contains("occurs in two"));
  }
  for (size_t size : {size_t{0}, size_t{3}, good.size() / 2, good.size() - 64}) {
    test::write_file(second, good.substr(0, size));
    CHECK_THROWS_AS(open_tensor_file(first), Error);
  }
  std::filesystem::remove(second);
  REQUIRE(::mkfifo(second.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(open_tensor_file(first), Contains("expected a regular file"));
  std::filesystem::remove(second);
  test::write_file(second, good);
  CHECK_NOTHROW(open_tensor_file(first));
  // A part under another name does not say where the others are.
  std::filesystem::copy_file(first, dir / "model.gguf");
  CHECK_THROWS_WITH(open_tensor_file(dir / "model.gguf"), Contains("-00001-of-00004.gguf"));
}

TEST_CASE("splitting and merging refuse to overwrite what they read or mix") {
  const TempDir dir;
  const std::string first = split_toy(dir);
  const TensorFile whole = open_tensor_file(dir / "toy.gguf");
  SplitFileOptions options;
  options.max_tensors = 3;
  CHECK_THROWS_WITH(split_file(whole, dir / "part", options),
                    Contains("part-00001-of-00004.gguf: expected no file of this name"));
  CHECK_THROWS_WITH(merge_files(whole, dir / "out.gguf"), Contains("got a whole one"));
  const TensorFile parts = open_tensor_file(first);
  for (const std::string& path : parts.paths()) {
    const std::string before = test::read_file(path);
    CHECK_THROWS_AS(merge_files(parts, path), Error);
    CHECK(test::read_file(path) == before);
  }
}

TEST_CASE("a split that ends early leaves no part behind") {
  const TempDir dir;
  test::write_file(dir / "toy.gguf", toy());
  const TensorFile whole = open_tensor_file(dir / "toy.gguf");
  CancelToken cancel;
  SplitFileOptions options;
  options.max_tensors = 2;
  options.cancel = &cancel;
  options.on_progress = [&](uint64_t done, uint64_t total) {
    if (done > total / 2) cancel.request();
  };
  CHECK_THROWS_WITH(split_file(whole, dir / "part", options), Contains("cancelled"));
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    (void)entry;
    ++files;
  }
  CHECK(files == 1);  // toy.gguf
}
