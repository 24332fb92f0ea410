// Files whose matrices were encoded layer by layer: the same types and sizes as otherwise, less
// loss, the same bytes for any number of threads, nothing left after a cancellation.
#include "runtime/convert/layer_encoder.h"

#include <filesystem>

#include "formats/io/error.h"
#include "runtime/convert/quantize_file.h"
#include "runtime/engine/compare_models.h"
#include "tests/support/catch.h"
#include "tests/support/packed_toys.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_family.h"

using namespace nibble;
using test::TempDir;

namespace {

std::string text_of(unsigned seed, size_t size) {
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < size) text += static_cast<char>('a' + random() % 26);
  return text;
}

/// Two layers of rows of 256; gemma3 has seven and norms after the blocks.
void write_toy(const TempDir& dir, const char* arch) {
  test::ToyShape shape;
  shape.n_embd = 256;
  shape.n_head = 4;
  shape.n_head_kv = 4;
  shape.head_dim = 64;
  shape.n_ff = 256;
  test::write_file(dir / "in", test::toy_model(arch, shape));
}

struct Made {
  QuantizePlan plan;
  QuantizeResult result;
};

Made quantize(const TempDir& dir, const char* mix, QuantizeMethod method, const std::string& out,
              int n_threads = 1) {
  const TensorFile in = open_tensor_file(dir / "in");
  QuantizeChoices choices;
  choices.mix = find_mix(mix);
  Made made{plan_quantize(in, choices), {}};
  QuantizeFileOptions options;
  options.n_threads = n_threads;
  const std::string text = text_of(3, 200);
  LayerEncoderOptions how;
  how.method = method;
  how.text = text;
  how.chunk_size = 64;
  how.n_threads = n_threads;
  int64_t reported = 0, total = 0;
  how.on_progress = [&](int64_t done, int64_t all) {
    CHECK(done >= reported);
    CHECK(done <= all);
    reported = done;
    total = all;
  };
  std::unique_ptr<LayerEncoder> layers;
  if (method != QuantizeMethod::search) {
    layers = std::make_unique<LayerEncoder>(in, made.plan, how);
    CHECK(layers->n_tokens() == 192);
    CHECK(layers->memory_bytes() > 192 * 256 * 4);
  }
  options.layers = layers.get();
  made.result = quantize_file(in, dir / out, made.plan, options);
  CHECK(reported == total);
  return made;
}

double divergence(const TempDir& dir, const std::string& out) {
  CompareOptions how;
  how.chunk_size = 64;
  EngineOptions open;
  open.repack = false;
  return compare_models(Engine::open(dir / "in", open), Engine::open(dir / out, open),
                        text_of(5, 200), how)
      .divergence;
}

}  // namespace

TEST_CASE("methods make files of the same types and size", "[layer_encoder]") {
  const TempDir dir;
  write_toy(dir, "llama");
  const uint64_t plain = quantize(dir, "Q4_K_S", QuantizeMethod::search, "plain").result.file_bytes;
  for (const QuantizeMethod method :
       {QuantizeMethod::gptq, QuantizeMethod::awq, QuantizeMethod::gptq_awq}) {
    const Made made = quantize(dir, "Q4_K_S", method, "out");
    CHECK(made.result.file_bytes == plain);
    const TensorFile out = open_tensor_file(dir / "out");
    for (const PlannedTensor& tensor : made.plan.tensors) {
      CHECK(out.find(tensor.source.name)->type_id == tensor.type_id);
    }
    for (const float error : made.result.errors) CHECK(error < 0.3f);
  }
}

TEST_CASE("less is lost with them", "[layer_encoder]") {
  const TempDir dir;
  write_toy(dir, "llama");
  quantize(dir, "Q2_K", QuantizeMethod::search, "plain");
  quantize(dir, "Q2_K", QuantizeMethod::gptq, "gptq");
  CHECK(divergence(dir, "gptq") < divergence(dir, "plain"));
}

TEST_CASE("scales of columns are taken up where they come from", "[layer_encoder]") {
  // With 8 bits hardly anything is lost, unless a scale is not undone.
  for (const char* arch : {"llama", "gemma3"}) {
    CAPTURE(arch);
    const TempDir dir;
    write_toy(dir, arch);
    quantize(dir, "Q8_0", QuantizeMethod::search, "plain");
    quantize(dir, "Q8_0", QuantizeMethod::awq, "awq");
    CHECK(divergence(dir, "awq") < 2 * divergence(dir, "plain"));
    int64_t n_scaled = 0;
    const TensorFile in = open_tensor_file(dir / "in");
    const TensorFile out = open_tensor_file(dir / "awq");
    for (const TensorInfo& info : in.tensors()) {
      if (info.n_dims != 1) continue;
      const auto a = in.data(info), b = out.data(*out.find(info.name));
      n_scaled += std::equal(a.begin(), a.end(), b.begin(), b.end()) ? 0 : 1;
    }
    CHECK(n_scaled > 0);
  }
}

TEST_CASE("layers are encoded the same by any number of threads", "[layer_encoder]") {
  const TempDir dir;
  write_toy(dir, "llama");
  quantize(dir, "Q4_0", QuantizeMethod::gptq_awq, "one", 1);
  quantize(dir, "Q4_0", QuantizeMethod::gptq_awq, "three", 3);
  CHECK(test::read_file(dir / "one") == test::read_file(dir / "three"));
}

TEST_CASE("a cancelled calibration leaves nothing", "[layer_encoder]") {
  const TempDir dir;
  write_toy(dir, "llama");
  CancelToken cancel;
  const TensorFile in = open_tensor_file(dir / "in");
  QuantizeChoices choices;
  choices.mix = find_mix("Q4_0");
  const QuantizePlan plan = plan_quantize(in, choices);
  const std::string text = text_of(3, 200);
  LayerEncoderOptions how;
  how.text = text;
  how.chunk_size = 64;
  how.cancel = &cancel;
  how.on_progress = [&](int64_t done, int64_t) {
    if (done > 8) cancel.request();
  };
  LayerEncoder layers(in, plan, how);
  QuantizeFileOptions options;
  options.layers = &layers;
  options.cancel = &cancel;
  try {
    quantize_file(in, dir / "out", plan, options);
    FAIL("finished");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::cancelled);
  }
  int64_t files = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(dir / "in").parent_path())) {
    ++files;
  }
  CHECK(files == 1);
}

TEST_CASE("every dense decoder is encoded layer by layer, others are refused by name",
          "[layer_encoder]") {
  const TempDir dir;
  for (const Arch* arch : all_archs()) {
    INFO(arch->name);
    const bool experts = test::has_experts_only(*arch);
    test::write_file(dir / "in", test::toy_family(*arch, experts));
    if (arch->shared_inputs.empty()) {
      CHECK_THROWS_WITH(quantize(dir, "Q4_0", QuantizeMethod::gptq, "out"),
                        Catch::Matchers::Contains(std::string(arch->name)));
      continue;
    }
    const Made made = quantize(dir, "Q4_0", QuantizeMethod::gptq, "out");
    const TensorFile out = open_tensor_file(dir / "out");
    int64_t changed = 0;
    for (const PlannedTensor& tensor : made.plan.tensors) {
      CHECK(out.find(tensor.source.name)->type_id == tensor.type_id);
      changed += tensor.changes() ? 1 : 0;
    }
    CHECK(changed >= 4 * 4);  // four layers, the least has four matrices
    for (const float error : made.result.errors) CHECK(error < 0.3f);
    CHECK_NOTHROW(Engine::open(dir / "out"));
  }
}

TEST_CASE("a chunk has no more tokens than the model has positions", "[layer_encoder]") {
  const TempDir dir;
  test::write_file(dir / "in", test::toy_family(*find_arch("gpt2"), false));
  const TensorFile in = open_tensor_file(dir / "in");
  QuantizeChoices choices;
  choices.mix = find_mix("Q4_0");
  const QuantizePlan plan = plan_quantize(in, choices);
  LayerEncoderOptions how;
  const std::string text = text_of(3, 400);
  how.text = text;
  how.chunk_size = 129;
  CHECK_THROWS_WITH(LayerEncoder(in, plan, how), Catch::Matchers::Contains("129 tokens, got 128"));
}

TEST_CASE("scales are refused where nothing takes them up", "[layer_encoder]") {
  const TempDir dir;
  test::write_file(dir / "in", test::toy_family(*find_arch("phi2"), false));
  CHECK_THROWS_WITH(quantize(dir, "Q4_0", QuantizeMethod::awq, "out"),
                    Catch::Matchers::Contains("phi2"));
}

TEST_CASE("what cannot be calibrated is refused", "[layer_encoder]") {
  const TempDir dir;
  write_toy(dir, "llama");
  const TensorFile in = open_tensor_file(dir / "in");
  QuantizeChoices choices;
  choices.mix = find_mix("Q4_0");
  const QuantizePlan plan = plan_quantize(in, choices);
  LayerEncoderOptions how;
  how.text = "short";
  try {
    const LayerEncoder layers(in, plan, how);
    FAIL("opened");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::bad_argument);
    CHECK_THAT(error.message(), Catch::Matchers::Contains("expected at least 512 tokens"));
  }
}
