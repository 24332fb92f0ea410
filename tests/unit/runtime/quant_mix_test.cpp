// Mixes give each tensor the type that files of these names have everywhere. The expected layers
// are written out, from published files of 32-layer models.
#include "runtime/convert/quant_mix.h"

#include <set>
#include <string>

#include "quant/codec.h"
#include "tests/support/catch.h"

using namespace nibble;

namespace {

MixModel model_of(int64_t n_layer, int64_t heads_per_value) {
  MixModel model;
  model.n_layer = n_layer;
  model.heads_per_value = heads_per_value;
  model.tied = false;
  return model;
}

std::set<int64_t> layers_with(const char* mix, const MixModel& model, TensorPart part, DType type) {
  std::set<int64_t> out;
  for (int64_t i = 0; i < model.n_layer; ++i) {
    if (type_in_mix(*find_mix(mix), model, part, i, model.n_layer) == type) out.insert(i);
  }
  return out;
}

DType type_of(const char* mix, const MixModel& model, TensorPart part) {
  return type_in_mix(*find_mix(mix), model, part, model.n_layer / 2, model.n_layer);
}

}  // namespace

TEST_CASE("the medium mixes give better types to some layers of attn_v and ffn_down") {
  const MixModel model = model_of(32, 4);
  const std::set<int64_t> spread = {0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31};
  for (const TensorPart part : {TensorPart::attn_v, TensorPart::ffn_down}) {
    CHECK(layers_with("Q4_K_M", model, part, DType::Q6_K) == spread);
    CHECK(layers_with("Q5_K_M", model, part, DType::Q6_K) == spread);
    CHECK(layers_with("Q4_K_S", model, part, DType::Q5_K) == std::set<int64_t>{0, 1, 2, 3});
  }
  CHECK(layers_with("Q3_K_M", model, TensorPart::attn_v, DType::Q5_K) == std::set<int64_t>{0, 1});
  CHECK(layers_with("Q3_K_M", model, TensorPart::ffn_down, DType::Q5_K) == std::set<int64_t>{0, 1});
  CHECK(type_of("Q3_K_M", model, TensorPart::attn_v) == DType::Q4_K);
  CHECK(type_of("Q3_K_M", model, TensorPart::attn_output) == DType::Q4_K);
  CHECK(type_of("Q3_K_M", model, TensorPart::ffn_up) == DType::Q3_K);
  CHECK(type_of("Q3_K_L", model, TensorPart::ffn_down) == DType::Q5_K);
  CHECK(type_of("Q4_K_M", model, TensorPart::attn_k) == DType::Q4_K);
  // Of 30 layers: eighths are rounded down.
  CHECK(layers_with("Q4_K_M", model_of(30, 3), TensorPart::ffn_down, DType::Q6_K) ==
        std::set<int64_t>{0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29});
}

TEST_CASE("head, embedding, shared values and experts have their own types") {
  MixModel model = model_of(32, 4);
  for (const char* mix : {"Q2_K", "Q3_K_S", "Q4_0", "Q4_K_M", "Q5_K_S", "Q6_K", "IQ4_XS", "NF4"}) {
    CHECK(type_of(mix, model, TensorPart::output) == DType::Q6_K);
  }
  CHECK(type_of("Q8_0", model, TensorPart::output) == DType::Q8_0);
  CHECK(type_of("F16", model, TensorPart::output) == DType::F16);
  CHECK(part_of("token_embd.weight", model) == TensorPart::embedding);
  CHECK(type_of("Q4_K_M", model, TensorPart::embedding) == DType::Q4_K);
  model.tied = true;
  CHECK(part_of("token_embd.weight", model) == TensorPart::output);
  CHECK(type_of("Q2_K", model, TensorPart::attn_v) == DType::Q4_K);
  CHECK(type_of("IQ4_NL", model, TensorPart::attn_v) == DType::Q5_K);
  model.heads_per_value = 1;
  CHECK(type_of("Q2_K", model, TensorPart::attn_v) == DType::Q3_K);
  CHECK(type_of("IQ4_NL", model, TensorPart::attn_v) == DType::IQ4_NL);
  model = model_of(80, 8);
  CHECK(type_of("Q4_K_S", model, TensorPart::attn_v) == DType::Q5_K);
  model.n_expert = 8;
  CHECK(type_of("Q4_K_M", model, TensorPart::attn_v) == DType::Q8_0);
  CHECK(type_of("Q4_K_M", model, TensorPart::attn_output) == DType::Q5_K);
}

TEST_CASE("experts have a type of their own in MXFP4_MOE") {
  const QuantMix& mix = *find_mix("MXFP4_MOE");
  CHECK(mix.of_experts == DType::MXFP4);
  CHECK(mix.file_type == 38);
  CHECK(type_of("MXFP4_MOE", model_of(24, 8), TensorPart::attn_v) == DType::Q8_0);
  CHECK(holds_experts("blk.3.ffn_gate_up_exps.weight"));
  CHECK(holds_experts("blk.0.ffn_down_exps.weight"));
  CHECK_FALSE(holds_experts("blk.0.ffn_down_shexp.weight"));
  CHECK_FALSE(holds_experts("blk.0.ffn_down_exps.bias"));
}

TEST_CASE("an importance matrix changes the first layers of ffn_down") {
  MixModel model = model_of(32, 4);
  const std::set<int64_t> first = {0, 1, 2, 3};
  CHECK(layers_with("Q4_0", model, TensorPart::ffn_down, DType::Q4_1).empty());
  CHECK(layers_with("IQ4_XS", model, TensorPart::ffn_down, DType::Q5_K) == first);
  model.has_imatrix = true;
  CHECK(layers_with("Q4_0", model, TensorPart::ffn_down, DType::Q4_1) == first);
  CHECK(layers_with("Q5_0", model, TensorPart::ffn_down, DType::Q5_1) == first);
  CHECK(layers_with("IQ4_XS", model, TensorPart::ffn_down, DType::Q5_K).empty());
}

TEST_CASE("rows that do not divide fall back to the nearest smaller block") {
  CHECK(fallback_type(DType::Q2_K, 576) == DType::Q4_0);
  CHECK(fallback_type(DType::Q3_K, 576) == DType::Q4_0);
  CHECK(fallback_type(DType::Q4_K, 576) == DType::Q5_0);
  CHECK(fallback_type(DType::Q5_K, 576) == DType::Q5_1);
  CHECK(fallback_type(DType::Q6_K, 576) == DType::Q8_0);
  CHECK(fallback_type(DType::IQ4_XS, 576) == DType::IQ4_NL);
  CHECK(fallback_type(DType::NF4, 96) == DType::Q4_0);
  CHECK(fallback_type(DType::Q4_K, 48) == DType::F16);
  CHECK(fallback_type(DType::Q8_0, 48) == DType::F16);
}

TEST_CASE("small and sensitive tensors are not quantized") {
  CHECK(may_quantize("blk.0.ffn_down.weight", 2));
  CHECK(may_quantize("blk.0.ffn_down_exps.weight", 3));
  CHECK(may_quantize("token_embd.weight", 2));
  CHECK_FALSE(may_quantize("blk.0.attn_norm.weight", 1));
  CHECK_FALSE(may_quantize("blk.0.attn_q_norm.weight", 2));
  CHECK_FALSE(may_quantize("blk.0.ffn_gate_inp.weight", 2));
  CHECK_FALSE(may_quantize("blk.0.attn_q.bias", 2));
  CHECK_FALSE(may_quantize("rope_freqs.weight", 2));
  CHECK_FALSE(may_quantize("blk.0.ssm_conv1d.weight", 2));
}

TEST_CASE("names and numbers find their row, and every row can be written") {
  CHECK(find_mix("q4_k_m") == find_mix("Q4_K"));
  CHECK(find_mix("Q4_K")->file_type == 15);
  CHECK(find_mix(uint32_t{7}) == find_mix("Q8_0"));
  CHECK(find_mix("Q4_K_") == nullptr);
  CHECK(find_mix("") == nullptr);
  CHECK(find_mix(uint32_t{4}) == nullptr);
  std::set<std::string> names;
  std::set<uint32_t> numbers;
  for (const QuantMix& mix : all_mixes()) {
    CHECK(names.insert(mix.name).second);
    CHECK(numbers.insert(mix.file_type).second);
    CHECK(can_quantize(mix.base));
    for (const MixRule& rule : mix.rules) CHECK(can_quantize(rule.type));
  }
}
