// What verify finds: any bit of any tensor in a file with hashes, numbers that are none in any
// file; and that hashes are those of the tensors they stand beside.
#include "runtime/convert/verify_file.h"

#include <xxhash.h>

#include <cstring>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "quant/stored_type.h"
#include "runtime/convert/pack_file.h"
#include "tests/support/catch.h"
#include "tests/support/kernel_data.h"
#include "tests/support/packed_toys.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;
using test::quantized_toy;
using test::TempDir;
using State = TensorHashes::State;

namespace {

DType q8_0(std::string_view) {
  return DType::Q8_0;
}

/// A toy written by GgufWriter with hashes.
std::string hashed_toy(const TempDir& dir) {
  test::write_file(dir / "toy.gguf", quantized_toy(q8_0));
  const TensorFile toy = open_tensor_file(dir / "toy.gguf");
  GgufHeader header;
  header.copy_metadata(toy.meta());
  header.want_hashes();
  for (const TensorInfo& info : toy.tensors()) header.add_tensor(info);
  GgufWriter writer(dir / "hashed.gguf", header);
  for (const TensorInfo& info : toy.tensors()) writer.write(toy.data(info));
  writer.finish();
  return dir / "hashed.gguf";
}

VerifyResult verify(const std::string& path, int n_threads = 2) {
  VerifyFileOptions options;
  options.n_threads = n_threads;
  return verify_file(open_tensor_file(path), options);
}

}  // namespace

TEST_CASE("hashes in a file are XXH3 of its tensors, as docs/format.md has them") {
  const TempDir dir;
  const TensorFile file = open_tensor_file(hashed_toy(dir));
  const MetaValue* hashes = file.meta().find("nibble.tensor_hashes");
  REQUIRE(hashes != nullptr);
  REQUIRE(hashes->count == file.tensors().size());
  std::string table;
  const auto append = [&table](const auto& value) {
    table.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  for (size_t i = 0; i < file.tensors().size(); ++i) {
    const TensorInfo& info = file.tensors()[i];
    uint64_t hash = 0;
    std::memcpy(&hash, hashes->items.data() + i * 8, 8);
    CHECK(hash == XXH3_64bits(file.data(info).data(), info.bytes));
    append(uint64_t{info.name.size()});
    table += info.name;
    append(info.type_id);
    append(uint32_t(info.n_dims));
    for (int d = info.n_dims - 1; d >= 0; --d) append(info.shape[d]);
  }
  CHECK(file.meta().find("nibble.tensor_table_hash")->bits ==
        XXH3_64bits(table.data(), table.size()));
}

TEST_CASE("verify finds any changed bit of a tensor") {
  const TempDir dir;
  const std::string path = hashed_toy(dir);
  const std::string good = test::read_file(path);
  const TensorFile file = open_tensor_file(path);
  for (const int n_threads : {1, 3}) {
    const VerifyResult sound = verify(path, n_threads);
    CHECK(sound.hashes == State::present);
    CHECK(sound.damages.empty());
    CHECK(sound.n_tensors == static_cast<int64_t>(file.tensors().size()));
    CHECK(sound.n_unknown == 0);
  }
  test::Rng rng(7);
  for (const TensorInfo& info : file.tensors()) {
    INFO(info.name);
    for (const uint64_t at : {uint64_t{0}, info.bytes - 1, rng() % info.bytes}) {
      std::string bad = good;
      bad[info.offset + at] = static_cast<char>(bad[info.offset + at] ^ 1 << rng() % 8);
      test::write_file(dir / "bad.gguf", bad);
      const VerifyResult result = verify(dir / "bad.gguf");
      REQUIRE(result.damages.size() == 1);
      CHECK(result.damages[0].tensor == info.name);
      CHECK(result.damages[0].hash_differs);
    }
  }
}

TEST_CASE("verify finds numbers that are none in every type, packed or not, without hashes") {
  const TempDir dir;
  for (const DType type : {DType::F16, DType::Q4_0, DType::Q8_0, DType::Q6_K, DType::NF4}) {
    INFO(dtype_info(type).name);
    test::write_file(dir / "toy.gguf", quantized_toy([&](std::string_view) { return type; }));
    const TensorFile toy = open_tensor_file(dir / "toy.gguf");
    CHECK(verify(dir / "toy.gguf").damages.empty());
    CHECK(verify(dir / "toy.gguf").hashes == State::absent);
    // 0x7e00 is a NaN of half precision: over a whole row, it hits the scale of every type.
    const TensorInfo& info = *toy.find("token_embd.weight");
    const auto row = info.bytes / static_cast<uint64_t>(info.rows());
    std::string bad = test::read_file(dir / "toy.gguf");
    for (uint64_t i = 0; i + 1 < row; i += 2)
      std::memcpy(&bad[info.offset + 5 * row + i], "\0~", 2);
    test::write_file(dir / "bad.gguf", bad);
    const VerifyResult result = verify(dir / "bad.gguf");
    REQUIRE(result.damages.size() == 1);
    CHECK(result.damages[0].tensor == "token_embd.weight");
    CHECK(result.damages[0].bad_row == 5);
    CHECK_FALSE(result.damages[0].hash_differs);
    if (!is_packed(recipe_of(type))) continue;
    pack_file(open_tensor_file(dir / "bad.gguf"), dir / "packed.gguf");
    const VerifyResult packed = verify(dir / "packed.gguf");
    CHECK(packed.hashes == State::present);
    REQUIRE(packed.damages.size() == 1);
    CHECK(packed.damages[0].bad_row == 5);
  }
}

TEST_CASE("hashes that another program carried over are not believed") {
  const TempDir dir;
  const TensorFile file = open_tensor_file(hashed_toy(dir));
  const MetaValue* hashes = file.meta().find("nibble.tensor_hashes");
  // The same keys, bytes and all, in front of one tensor less; as llama-quantize would.
  std::string bytes = test::read_file(dir / "hashed.gguf");
  const auto at = static_cast<size_t>(reinterpret_cast<const char*>(hashes->items.data()) -
                                      reinterpret_cast<const char*>(file.file_bytes().data()));
  const size_t name = bytes.find("blk.0.attn_q.weight");
  REQUIRE(name != std::string::npos);
  bytes[name + 4] = '7';
  test::write_file(dir / "renamed.gguf", bytes);
  CHECK(verify(dir / "renamed.gguf").hashes == State::of_others);
  CHECK(verify(dir / "renamed.gguf").damages.empty());
  bytes = test::read_file(dir / "hashed.gguf");
  bytes[at - 12] = 11;  // an array of i64
  test::write_file(dir / "typed.gguf", bytes);
  CHECK_THROWS_WITH(verify(dir / "typed.gguf"), Contains("nibble.tensor_hashes"));
}

TEST_CASE("packing keeps or takes back hashes as the source had them") {
  const TempDir dir;
  const std::string hashed = hashed_toy(dir);
  for (const char* name : {"hashed.gguf", "toy.gguf"}) {
    pack_file(open_tensor_file(dir / name), dir / "packed.gguf");
    CHECK(verify(dir / "packed.gguf").hashes == State::present);
    CHECK(verify(dir / "packed.gguf").damages.empty());
    unpack_file(open_tensor_file(dir / "packed.gguf"), dir / "back.gguf");
    CHECK(test::read_file(dir / "back.gguf") == test::read_file(dir / name));
  }
}

TEST_CASE("verify reports progress and can be cancelled") {
  const TempDir dir;
  const TensorFile file = open_tensor_file(hashed_toy(dir));
  VerifyFileOptions options;
  options.n_threads = 1;
  uint64_t last = 0;
  options.on_progress = [&](uint64_t done, uint64_t total) {
    CHECK(done > last);
    CHECK(done <= total);
    last = done;
  };
  CHECK(verify_file(file, options).bytes == last);
  CancelToken cancel;
  cancel.request();
  options.cancel = &cancel;
  CHECK_THROWS_WITH(verify_file(file, options), Contains("cancelled"));
}
