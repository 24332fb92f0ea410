// Packed files: what they compute is what the plain file computes, to the bit; what they were made
// from comes back, byte for byte; and a damaged one is refused or harmless.
#include "runtime/convert/pack_file.h"

#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "quant/stored_type.h"
#include "runtime/engine/session.h"
#include "runtime/model/model.h"
#include "tests/support/catch.h"
#include "tests/support/models.h"
#include "tests/support/packed_toys.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;
using test::quantized_toy;
using test::TempDir;

namespace {

PackFileResult pack_path(const std::string& in, const std::string& out,
                         const PackFileOptions& options = {}) {
  return pack_file(open_tensor_file(in), out, options);
}
PackFileResult unpack_path(const std::string& in, const std::string& out) {
  return unpack_file(open_tensor_file(in), out);
}

std::vector<float> logits_of(const std::string& path, const std::string& isa, size_t n_tokens,
                             bool repack = true) {
  EngineOptions options;
  options.isa = isa;
  options.repack = repack;
  options.n_threads = 1;
  SessionOptions session_options;
  session_options.n_ctx = 64;
  session_options.n_threads = 1;  // toys are done before another thread has woken
  Session session(Engine::open(path, options), session_options);
  std::vector<int32_t> ids = {1};
  while (ids.size() < n_tokens) ids.push_back(static_cast<int32_t>(ids.size() * 37 % 266));
  session.sync(ids);
  session.append(5);  // a batch of many rows, then one row alone
  return {session.logits().begin(), session.logits().end()};
}

std::vector<std::string> supported_isas() {
  std::vector<std::string> out;
  for (const KernelTable* table : test::tables()) out.emplace_back(table->name);
  return out;
}

uint32_t type_of(const std::string& path, const char* name) {
  const TensorFile file = open_tensor_file(path);
  REQUIRE(file.find(name) != nullptr);
  return file.find(name)->type_id;
}

/// The same content with general.alignment set, as the first key or as the last; 0: without.
void write_aligned(const std::string& from, const std::string& to, uint32_t alignment, bool first) {
  const TensorFile file = open_tensor_file(from);
  GgufHeader header;
  if (alignment != 0 && first) header.set(kGgufAlignmentKey, alignment);
  header.copy_metadata(file.meta());
  if (alignment != 0) header.set(kGgufAlignmentKey, alignment);
  for (const TensorInfo& info : file.tensors()) header.add_tensor(info);
  GgufWriter writer(to, header);
  for (const TensorInfo& info : file.tensors()) writer.write(file.data(info));
  writer.finish();
}

DType q4_0(std::string_view) {
  return DType::Q4_0;
}

}  // namespace

TEST_CASE("a packed toy of every type computes and unpacks as the plain one") {
  const TempDir dir;
  for (const DType type : test::all_dtypes()) {
    if (!is_packed(recipe_of(type))) continue;
    INFO(dtype_info(type).name);
    const std::string plain = quantized_toy([&](std::string_view) { return type; });
    test::write_file(dir / "plain.gguf", plain);
    const PackFileResult result = pack_path(dir / "plain.gguf", dir / "packed.gguf");
    CHECK(result.n_changed == 8);
    CHECK(result.n_tensors == 11);
    CHECK(result.bytes == test::read_file(dir / "packed.gguf").size());
    CHECK(type_of(dir / "packed.gguf", "token_embd.weight") == stored_type_id({type, true}));
    for (const std::string& isa : supported_isas()) {
      INFO(isa);
      const std::vector<float> want = logits_of(dir / "plain.gguf", isa, 9);
      CHECK(std::isfinite(want[0]));
      CHECK(test::same_bits(logits_of(dir / "packed.gguf", isa, 9), want));
    }
    CHECK(unpack_path(dir / "packed.gguf", dir / "back.gguf").n_changed == 8);
    CHECK(test::read_file(dir / "back.gguf") == plain);
  }
}

TEST_CASE("what cannot be packed is copied; an embedding of its own stays as it is") {
  const TempDir dir;
  const std::string plain = quantized_toy(
      [](std::string_view name) {
        if (name.find("attn_q") != std::string_view::npos) return DType::F16;
        if (name.find("attn_k") != std::string_view::npos) return DType::F32;
        return name.find("ffn") != std::string_view::npos ? DType::Q6_K : DType::Q4_1;
      },
      false);
  test::write_file(dir / "plain.gguf", plain);
  CHECK(pack_path(dir / "plain.gguf", dir / "packed.gguf").n_changed == 6);
  const std::string packed = dir / "packed.gguf";
  CHECK(type_of(packed, "token_embd.weight") == static_cast<uint32_t>(DType::Q4_1));
  CHECK(type_of(packed, "output.weight") == stored_type_id({DType::Q4_1, true}));
  CHECK(type_of(packed, "blk.0.attn_q.weight") == static_cast<uint32_t>(DType::F16));
  CHECK(type_of(packed, "blk.0.ffn_up.weight") == stored_type_id({DType::Q6_K, true}));
  const std::string best = best_kernels()->name;
  const std::vector<float> want = logits_of(dir / "plain.gguf", best, 30);
  CHECK(test::same_bits(logits_of(packed, best, 30), want));
  CHECK(test::same_bits(logits_of(packed, best, 30, false), want));
  unpack_path(packed, dir / "back.gguf");
  CHECK(test::read_file(dir / "back.gguf") == plain);
}

TEST_CASE("any alignment of the source comes back, wherever its key stood") {
  const TempDir dir;
  test::write_file(dir / "toy.gguf", quantized_toy(q4_0));
  for (const uint32_t alignment : {0u, 8u, 32u, 64u, 4096u}) {
    for (const bool first : {false, true}) {
      INFO(alignment << (first ? " first" : " last"));
      write_aligned(dir / "toy.gguf", dir / "plain.gguf", alignment, first);
      pack_path(dir / "plain.gguf", dir / "packed.gguf");
      const TensorFile packed = open_tensor_file(dir / "packed.gguf");
      CHECK(packed.meta().get_int("general.alignment") == std::max(alignment, 64u));
      CHECK(packed.meta().get_int("nibble.packed.source_alignment") == alignment);
      CHECK(packed.warnings().empty());
      unpack_path(dir / "packed.gguf", dir / "back.gguf");
      CHECK(test::read_file(dir / "back.gguf") == test::read_file(dir / "plain.gguf"));
    }
  }
}

TEST_CASE("a file of another layout comes back with its tensors' bytes") {
  const TempDir dir;
  std::string plain = quantized_toy(q4_0);
  plain[4] = 2;                     // version 2
  plain += std::string(4096, 'x');  // and bytes of nobody
  test::write_file(dir / "plain.gguf", plain);
  pack_path(dir / "plain.gguf", dir / "packed.gguf");
  unpack_path(dir / "packed.gguf", dir / "back.gguf");
  const TensorFile want = open_tensor_file(dir / "plain.gguf");
  const TensorFile got = open_tensor_file(dir / "back.gguf");
  REQUIRE(got.tensors().size() == want.tensors().size());
  CHECK(got.meta().all().size() == want.meta().all().size());
  for (size_t i = 0; i < want.tensors().size(); ++i) {
    CHECK(got.tensors()[i].name == want.tensors()[i].name);
    const auto a = want.data(want.tensors()[i]);
    const auto b = got.data(got.tensors()[i]);
    CHECK(std::equal(a.begin(), a.end(), b.begin(), b.end()));
  }
}

TEST_CASE("what packing refuses, and that it leaves nothing behind") {
  const TempDir dir;
  const std::string plain = quantized_toy(q4_0);
  test::write_file(dir / "plain.gguf", plain);
  test::write_file(dir / "f32.gguf", test::toy_model("llama"));
  pack_path(dir / "plain.gguf", dir / "packed.gguf");
  ::link((dir / "plain.gguf").c_str(), (dir / "link.gguf").c_str());
  const auto refusal = [&](auto&& work) {
    try {
      work();
      return std::string("done");
    } catch (const Error& error) {
      return error.message();
    }
  };
  const auto pack_of = [&](const char* in, const char* out) {
    return refusal([&] { pack_path(dir / in, dir / out); });
  };
  CHECK_THAT(pack_of("packed.gguf", "out.gguf"), Contains("expected a file that is not packed"));
  CHECK_THAT(pack_of("f32.gguf", "out.gguf"), Contains("expected a matrix of a type"));
  CHECK_THAT(pack_of("plain.gguf", "plain.gguf"), Contains("expected an output that is not"));
  CHECK_THAT(pack_of("plain.gguf", "link.gguf"), Contains("expected an output that is not"));
  CHECK_THAT(pack_of("plain.gguf", "none/out.gguf"), Contains("folder"));
  CHECK_THAT(refusal([&] { unpack_path(dir / "plain.gguf", dir / "out.gguf"); }),
             Contains("expected a packed file"));

  CancelToken cancel;
  cancel.request();
  PackFileOptions options;
  options.cancel = &cancel;
  CHECK(refusal([&] { pack_path(dir / "plain.gguf", dir / "out.gguf", options); }) == "cancelled");
  CHECK(dir.names() == std::set<std::string>{"plain.gguf", "f32.gguf", "packed.gguf", "link.gguf"});
  CHECK(test::read_file(dir / "plain.gguf") == plain);

  // A key that says what no file can have had.
  GgufHeader header;
  const TensorFile packed = open_tensor_file(dir / "packed.gguf");
  for (const uint32_t value : {1u, 33u, 1u << 25}) {
    header.copy_metadata(packed.meta());
    header.set("nibble.packed.source_alignment", value);
    GgufWriter writer(dir / "odd.gguf", header);
    writer.finish();
    CHECK_THAT(refusal([&] { unpack_path(dir / "odd.gguf", dir / "out.gguf"); }),
               Contains("expected 0 or a power of two"));
  }
}

TEST_CASE("progress of packing ends at the whole") {
  const TempDir dir;
  test::write_file(dir / "plain.gguf", quantized_toy(q4_0));
  uint64_t last = 0;
  uint64_t whole = 1;
  PackFileOptions options;
  options.n_threads = 3;
  options.on_progress = [&](uint64_t done, uint64_t total) {
    CHECK(done >= last);
    CHECK(done <= total);
    last = done;
    whole = total;
  };
  pack_path(dir / "plain.gguf", dir / "packed.gguf", options);
  CHECK(last == whole);
}

TEST_CASE("a packed tensor in memory that is not aligned is refused") {
  const TempDir dir;
  test::write_file(dir / "plain.gguf", quantized_toy(q4_0));
  pack_path(dir / "plain.gguf", dir / "packed.gguf");
  const std::string bytes = test::read_file(dir / "packed.gguf");
  std::vector<std::byte> memory(bytes.size() + 128);
  auto* aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
  for (const int64_t offset : {0, 8}) {
    std::memcpy(aligned + offset, bytes.data(), bytes.size());
    const TensorFile file = open_tensor_memory({aligned + offset, bytes.size()}, "memory");
    if (offset == 0) {
      CHECK_NOTHROW(load_model(file));
    } else {
      CHECK_THROWS_WITH(load_model(file), Contains("expected memory aligned to 64 bytes"));
    }
  }
}

TEST_CASE("a damaged packed model is refused or runs") {
  const TempDir dir;
  test::write_file(dir / "plain.gguf", quantized_toy([](std::string_view name) {
                     return name == "token_embd.weight" ? DType::Q8_0 : DType::Q3_K;
                   }));
  pack_path(dir / "plain.gguf", dir / "packed.gguf");
  const std::string bytes = test::read_file(dir / "packed.gguf");
  const size_t data_at = open_tensor_file(dir / "packed.gguf").tensors()[0].offset;
  int refused = 0;
  int tried = 0;
  const auto try_file = [&](const std::string& content) {
    test::write_file(dir / "bad.gguf", content);
    try {
      const std::vector<float> logits = logits_of(dir / "bad.gguf", "", 3);
      CHECK(logits.size() == 266);
    } catch (const Error& error) {
      CHECK_FALSE(error.message().empty());
      ++refused;
    }
    if (tried++ % 8 != 0) return;  // writing takes long
    try {
      unpack_path(dir / "bad.gguf", dir / "back.gguf");
    } catch (const Error& error) {
      CHECK_FALSE(error.message().empty());
    }
  };
  for (size_t size = 0; size < bytes.size(); size += bytes.size() / 40) {
    try_file(bytes.substr(0, size));
  }
  CHECK(refused == tried);
  // One bit of the tensor table, or of the data: the output head's id among them.
  test::Rng rng(3);
  for (int i = 0; i < 200; ++i) {
    std::string content = bytes;
    const size_t at = i % 2 == 0 ? data_at - 1 - rng() % 900 : data_at + rng() % 4096;
    content[at] = static_cast<char>(content[at] ^ 1 << rng() % 8);
    try_file(content);
  }
  // Ordered planes where only the output head has a use for them: the plain file's bytes, misread.
  std::string ordered = bytes;
  const uint32_t plain_id = stored_type_id({DType::Q8_0, true});
  const uint32_t ordered_id = stored_type_id({DType::Q8_0, true, PackForm::ordered});
  const size_t id_at = bytes.find(std::string(reinterpret_cast<const char*>(&plain_id), 4));
  REQUIRE(id_at < data_at);
  std::memcpy(ordered.data() + id_at, &ordered_id, 4);
  test::write_file(dir / "ordered.gguf", ordered);
  for (const std::string& isa : supported_isas()) {
    CHECK(logits_of(dir / "ordered.gguf", isa, 3).size() == 266);
    EngineOptions options;
    options.isa = isa;
    Session session(Engine::open(dir / "ordered.gguf", options));
    session.want_top(4);  // with kernels that cannot bound a head, too
    session.sync(std::vector<int32_t>{1, 2, 3});
    CHECK(session.logits().size() == 266);
  }
}

namespace {

/// Bytes of memory that belong to no file: what a copy of the weights would add to.
int64_t resident_private_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != "RssAnon:") continue;
    int64_t kib = 0;
    status >> kib;
    return kib * 1024;
  }
  return 0;
}

void check_model(const char* name) {
  NIBBLE_MODEL_OR_SKIP(path, name);
  const TempDir dir;
  const std::string packed = dir / "packed.gguf";
  pack_path(path, packed);
  const std::string best = best_kernels()->name;
  const std::vector<float> want = logits_of(path, best, 20);
  CHECK(test::same_bits(logits_of(packed, best, 20), want));
  {
    [[maybe_unused]] const int64_t before = resident_private_bytes();
    const auto engine = Engine::open(packed);
    CHECK(engine->model().weights.packed.empty());  // nothing was copied
#if !defined(__SANITIZE_ADDRESS__)                  // whose shadow is private memory too
    const auto file_bytes = static_cast<int64_t>(engine->file().file_bytes().size());
    CHECK(resident_private_bytes() - before < file_bytes / 4);
#endif
  }
  {
    // Packed as it was opened: rows of a tied embedding do not bring the file's pages back.
    const auto engine = Engine::open(path);
    const LayerWeights& model = engine->model().weights.model;
    CHECK(model[Role::token_embd].packed);
    CHECK(model[Role::token_embd].data == model[Role::output].data);
  }
  unpack_path(packed, dir / "back.gguf");
  CHECK(test::read_file(dir / "back.gguf") == test::read_file(path));
}

}  // namespace

TEST_CASE("SmolLM2 packed: the same bits, nothing copied, and back", "[model]") {
  check_model(test::kSmolLM2);
}
TEST_CASE("Gemma 3 packed: the same bits, nothing copied, and back", "[model]") {
  check_model(test::kGemma3);
}
