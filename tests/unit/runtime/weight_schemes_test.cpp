// Quantized checkpoints against the programs that made them (tests/oracle/quantized_weights.py):
// the floats are the same to the bit, and so are those of the type that keeps them.
#include "runtime/convert/weight_schemes.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "formats/io/error.h"
#include "formats/safetensors_write.h"
#include "quant/codec.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;

namespace {

const std::string kFolder = std::string(NIBBLE_SOURCE_DIR) + "/tests/fixtures/schemes/";

nlohmann::json schemes() {
  return nlohmann::json::parse(test::read_file(kFolder + "schemes.json"));
}

struct Opened {
  std::optional<WeightRows> rows;
  std::set<std::string> used;
};

Opened open(const SafetensorsFile& file, const nlohmann::json& quantization) {
  const std::string text = nlohmann::json{{"quantization_config", quantization}}.dump();
  const JsonDocument json(text, "config.json");
  const HfConfig config(json.root(), "config.json");
  Opened out;
  const FolderTensors tensors = [&](const std::string& name) {
    const SafeTensor* found = file.find(name);
    if (found != nullptr) out.used.insert(name);
    return found == nullptr ? FolderTensor() : FolderTensor{&file, found};
  };
  const WeightScheme* scheme = find_scheme(config);
  REQUIRE(scheme != nullptr);
  out.rows = scheme->open(tensors, "m.weight", config);
  return out;
}

std::string refusal(const SafetensorsFile& file, const nlohmann::json& quantization) {
  try {
    (void)open(file, quantization);
    return "opened";
  } catch (const Error& error) {
    return error.message();
  }
}

}  // namespace

TEST_CASE("each scheme gives the floats of its own program, and a type that keeps them") {
  const nlohmann::json all = schemes();
  for (const auto& [name, row] : all.items()) {
    INFO(name);
    const SafetensorsFile file = open_safetensors(kFolder + name + ".safetensors");
    const Opened opened = open(file, row["config"]);
    REQUIRE(opened.rows);
    const WeightRows& rows = *opened.rows;
    const SafeTensor* expected = file.find("expected");
    REQUIRE(rows.shape == expected->shape);
    CHECK(rows.was_quantized);
    // All tensors are accounted for, so that a stranger's would be refused.
    CHECK(opened.used.size() + 1 == file.tensors().size());
    const auto kept = row["type"].get<std::string>();
    const bool known = find_dtype(kept.c_str()) != nullptr;  // NF4 may not be there yet
    CHECK(dtype_info(rows.type).name == (known ? kept : "F32"));
    const auto cols = static_cast<size_t>(rows.cols);
    std::vector<float> want(cols), got(cols), back(cols);
    std::vector<std::byte> bytes(static_cast<size_t>(row_bytes(rows.type, rows.cols)));
    for (int64_t r = 0; r < rows.rows; ++r) {
      std::memcpy(want.data(), file.data(*expected).data() + r * rows.cols * 4, cols * 4);
      rows.floats(r, got.data());
      rows.bytes(r, bytes.data());
      dequantize_row(rows.type, bytes.data(), rows.cols, back.data());
      // As numbers: a product with zero may be -0 in one and 0 in the other.
      CHECK(got == want);
      CHECK(back == want);
    }
  }
}

TEST_CASE("variants that are not known are refused by name") {
  const SafetensorsFile gptq = open_safetensors(kFolder + "gptq4_symmetric.safetensors");
  CHECK_THAT(refusal(gptq, {{"quant_method", "gptq"}, {"bits", 3}, {"group_size", 32}}),
             Contains("bits") && Contains("3"));
  CHECK_THAT(refusal(gptq, {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 64}}),
             Contains("m.scales"));
  CHECK_THAT(refusal(gptq, {{"quant_method", "gptq"}, {"bits", 4}}), Contains("group_size"));
  CHECK_THAT(refusal(gptq, {{"quant_method", "exl2"}}), Contains("'exl2'"));
  const SafetensorsFile awq = open_safetensors(kFolder + "awq.safetensors");
  CHECK_THAT(
      refusal(awq,
              {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 64}, {"version", "marlin"}}),
      Contains("'marlin'"));
  const SafetensorsFile fp8 = open_safetensors(kFolder + "fp8.safetensors");
  CHECK_THAT(refusal(fp8, {{"quant_method", "fp8"}, {"weight_block_size", {16, 16}}}),
             Contains("m.weight_scale_inv"));
  CHECK_THAT(refusal(fp8, {{"quant_method", "fp8"}, {"weight_block_size", {0, 16}}}),
             Contains("weight_block_size"));
}

TEST_CASE("a tensor that is missing or of another shape is refused by name") {
  const nlohmann::json all = schemes();
  for (const auto& [name, row] : all.items()) {
    const SafetensorsFile whole = open_safetensors(kFolder + name + ".safetensors");
    for (const SafeTensor& left_out : whole.tensors()) {
      if (left_out.name == "expected") continue;
      INFO(name << " without " << left_out.name);
      const test::TempDir dir;
      std::vector<SafeTensor> rest;
      for (const SafeTensor& t : whole.tensors()) {
        if (&t != &left_out) rest.push_back(t);
      }
      SafetensorsWriter writer(dir / "m.safetensors", rest);
      for (const SafeTensor& t : rest) writer.write(whole.data(*whole.find(t.name)));
      writer.finish();
      const SafetensorsFile file = open_safetensors(dir / "m.safetensors");
      const std::string got = refusal(file, row["config"]);
      // Without its marks a matrix is one of floats, or none at all; what is left is refused later.
      const bool mark = left_out.name.find("quant_state") != std::string::npos ||
                        left_out.name == "m.qweight" || left_out.name == "m.weight" ||
                        left_out.name == "m.SCB" || left_out.name == "m.weight_blocks" ||
                        left_out.name == "m.weight_format" ||
                        left_out.name == "m.weight_scale_inv" || left_out.name == "m.g_idx";
      if (mark && got == "opened") continue;
      CHECK_THAT(got, Contains(left_out.name));
    }
  }
}
