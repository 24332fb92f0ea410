// Quantizing a file: what the plan chooses, what the new file holds, and what is refused.
#include "runtime/convert/quantize_file.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "formats/io/error.h"
#include "quant/codec.h"
#include "quant/search.h"
#include "runtime/convert/tensor_errors.h"
#include "tests/support/catch.h"
#include "tests/support/packed_toys.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_family.h"

using namespace nibble;
using Catch::Matchers::Contains;
using test::TempDir;

namespace {

DType f32(std::string_view) {
  return DType::F32;
}

QuantizeChoices choose(const char* mix) {
  QuantizeChoices choices;
  choices.mix = find_mix(mix);
  return choices;
}

/// The plan of a toy model of these bytes.
QuantizePlan plan_of(const std::string& model, const QuantizeChoices& choices) {
  const TempDir dir;
  test::write_file(dir / "in", model);
  return plan_quantize(open_tensor_file(dir / "in"), choices);
}

DType planned(const QuantizePlan& plan, std::string_view name) {
  for (const PlannedTensor& t : plan.tensors) {
    if (t.source.name == name) return static_cast<DType>(t.type_id);
  }
  FAIL("no tensor " << name);
  return DType::F32;
}

void check_refused(const std::string& model, const QuantizeChoices& choices, ErrorCode code,
                   const std::string& text) {
  try {
    plan_of(model, choices);
    FAIL("planned");
  } catch (const Error& error) {
    CHECK(error.code() == code);
    CHECK_THAT(error.message(), Contains(text));
  }
}

QuantizeResult quantize(const TempDir& dir, const QuantizeChoices& choices, int n_threads = 1,
                        const char* out = "out") {
  const TensorFile in = open_tensor_file(dir / "in");
  QuantizeFileOptions options;
  options.n_threads = n_threads;
  return quantize_file(in, dir / out, plan_quantize(in, choices), options);
}

/// A toy whose first matrix of this name has another number in row 3.
std::string with_number(const char* name, float value) {
  std::string bytes = test::quantized_toy(f32);
  std::vector<uint64_t> aligned(bytes.size() / 8 + 1);
  std::memcpy(aligned.data(), bytes.data(), bytes.size());
  const TensorFile file =
      open_tensor_memory(std::as_bytes(std::span(aligned)).first(bytes.size()), "toy");
  const TensorInfo* info = file.find(name);
  REQUIRE(info != nullptr);
  const size_t at = info->offset + (3 * static_cast<size_t>(info->cols()) + 5) * sizeof(float);
  std::memcpy(bytes.data() + at, &value, sizeof value);
  return bytes;
}

}  // namespace

TEST_CASE("a new file holds each row as its encoder makes it, and says what it is") {
  const TempDir dir;
  test::write_file(dir / "in", test::quantized_toy(f32, false));
  for (const QuantMix& mix : all_mixes()) {
    INFO(mix.name);
    const QuantizeChoices choices = choose(mix.name);
    const QuantizeResult result = quantize(dir, choices);
    const TensorFile in = open_tensor_file(dir / "in");
    const TensorFile out = open_tensor_file(dir / "out");
    CHECK(out.meta().get_int("general.file_type") == mix.file_type);
    CHECK(out.meta().get_int("general.quantization_version") == 2);
    CHECK(out.meta().get_string("general.architecture") == "llama");
    CHECK(out.file_bytes().size() == result.file_bytes);
    REQUIRE(out.tensors().size() == in.tensors().size());
    for (const TensorInfo& a : in.tensors()) {
      const TensorInfo& b = *out.find(a.name);
      const auto type = static_cast<DType>(b.type_id);
      std::vector<std::byte> row(static_cast<size_t>(row_bytes(type, a.cols())));
      for (int64_t r = 0; r < a.rows(); ++r) {
        const auto* x = reinterpret_cast<const float*>(in.data(a).data()) + r * a.cols();
        search_row(type, x, nullptr, a.cols(), row.data());
        REQUIRE(std::memcmp(row.data(), out.data(b).data() + static_cast<size_t>(r) * row.size(),
                            row.size()) == 0);
      }
    }
    // Against what other code finds in the finished file: both sum doubles, in another order, and
    // the quantizer's result is a float: 2^-24.
    const std::vector<TensorError> errors = tensor_errors(in, out, 1, nullptr);
    REQUIRE(errors.size() == result.errors.size());
    for (size_t i = 0; i < errors.size(); ++i) {
      CHECK(static_cast<double>(result.errors[i]) == Approx(errors[i].error).epsilon(1e-6));
    }
  }
}

TEST_CASE("the bytes do not depend on the number of threads") {
  const TempDir dir;
  test::write_file(dir / "in", test::quantized_toy(f32));
  for (const char* type : {"Q4_0", "Q4_K_M", "Q8_0"}) {
    const QuantizeResult one = quantize(dir, choose(type), 1, "one");
    const QuantizeResult two = quantize(dir, choose(type), 2, "two");
    CHECK(test::read_file(dir / "one") == test::read_file(dir / "two"));
    CHECK(one.errors == two.errors);
  }
}

TEST_CASE("what is of the wanted type already is copied bit for bit") {
  const TempDir dir;
  const auto q8 = [](std::string_view) { return DType::Q8_0; };
  test::write_file(dir / "in", test::quantized_toy(q8));
  quantize(dir, choose("Q8_0"));
  const TensorFile in = open_tensor_file(dir / "in");
  const TensorFile out = open_tensor_file(dir / "out");
  for (const TensorInfo& info : in.tensors()) {
    const auto a = in.data(info);
    const auto b = out.data(*out.find(info.name));
    CHECK(std::equal(a.begin(), a.end(), b.begin(), b.end()));
  }
}

TEST_CASE("a type of its own for some tensors") {
  const std::string model = test::quantized_toy(f32, false);
  QuantizeChoices choices = choose("Q4_K_M");
  choices.overrides = {{"ffn_(up|gate)", DType::Q5_K}, {"ffn", DType::Q8_0}};
  choices.output_type = DType::F16;
  choices.embedding_type = DType::Q3_K;
  const QuantizePlan plan = plan_of(model, choices);
  CHECK(planned(plan, "blk.0.ffn_up.weight") == DType::Q5_K);
  CHECK(planned(plan, "blk.0.ffn_down.weight") == DType::Q8_0);
  CHECK(planned(plan, "blk.0.attn_q.weight") == DType::Q4_K);
  CHECK(planned(plan, "output.weight") == DType::F16);
  CHECK(planned(plan, "token_embd.weight") == DType::Q3_K);
  CHECK(planned(plan, "output_norm.weight") == DType::F32);
  // A tied embedding is the output head, unless its own type is given.
  choices.embedding_type.reset();
  CHECK(planned(plan_of(test::quantized_toy(f32), choices), "token_embd.weight") == DType::F16);
  QuantizeChoices pure = choose("Q4_K_M");
  pure.pure = true;
  for (const PlannedTensor& t : plan_of(model, pure).tensors) {
    CHECK(static_cast<DType>(t.type_id) == (t.source.n_dims < 2 ? DType::F32 : DType::Q4_K));
  }
}

TEST_CASE("rows that do not divide get another type, which the plan says and strict refuses") {
  const std::string model = test::toy_model("llama");  // 48 and 80 columns
  QuantizeChoices choices = choose("Q4_K_M");
  const QuantizePlan plan = plan_of(model, choices);
  CHECK(planned(plan, "blk.0.attn_q.weight") == DType::F16);
  CHECK(plan.n_fallbacks == 15);  // 7 matrices of 2 layers, and the embedding
  choices.strict = true;
  check_refused(model, choices, ErrorCode::bad_argument,
                "multiple of 256 columns for Q6_K, got 48");
}

TEST_CASE("the best mix within a size") {
  const TempDir dir;
  const auto best = [&](DType source, uint64_t bytes) -> std::string {
    test::write_file(dir / "in", test::quantized_toy([&](std::string_view) { return source; }));
    const QuantMix* mix = best_mix_within(open_tensor_file(dir / "in"), {}, bytes);
    return mix == nullptr ? "none" : mix->name;
  };
  CHECK(best(DType::F32, UINT64_MAX) == "F32");
  CHECK(best(DType::F16, UINT64_MAX) == "F16");
  CHECK(best(DType::BF16, UINT64_MAX) != "F16");
  CHECK(best(DType::F32, 100) == "none");
  uint64_t q6 = 0;
  {
    test::write_file(dir / "in", test::quantized_toy(f32));
    q6 = plan_quantize(open_tensor_file(dir / "in"), choose("Q6_K")).file_bytes;
  }
  CHECK(best(DType::F32, q6) == "Q6_K");
  CHECK(best(DType::F32, q6 - 1) == "Q5_K_M");
}

TEST_CASE("plans that are refused") {
  const auto q8 = [](std::string_view) { return DType::Q8_0; };
  check_refused(test::quantized_toy(q8), choose("Q4_0"), ErrorCode::bad_argument,
                "expected F32, F16 or BF16 to quantize, got Q8_0");
  QuantizeChoices allowed = choose("Q4_0");
  allowed.allow_requantize = true;
  CHECK(planned(plan_of(test::quantized_toy(q8), allowed), "blk.0.attn_q.weight") == DType::Q4_0);
  QuantizeChoices pattern = choose("Q4_0");
  pattern.overrides = {{"ffn_(", DType::Q8_0}};
  check_refused(test::quantized_toy(f32), pattern, ErrorCode::bad_argument, "pattern 'ffn_('");
  Imatrix imatrix;
  imatrix.entries = {{"blk.0.attn_q.weight", 3, {1, 2, 3}, {1}}};
  QuantizeChoices other = choose("Q4_0");
  other.imatrix = &imatrix;
  other.imatrix_name = "m.gguf";
  check_refused(test::quantized_toy(f32), other, ErrorCode::bad_argument,
                "importance matrix m.gguf: expected 1 x 256 columns");
}

TEST_CASE("values that are not finite or do not fit are named by tensor and row") {
  struct Case {
    float value;
    const char* type;
    ErrorCode code;
    const char* text;
  };
  const float inf = std::numeric_limits<float>::infinity();
  for (const Case& c : {Case{NAN, "Q8_0", ErrorCode::bad_file, "infinite one or NaN"},
                        Case{inf, "F16", ErrorCode::bad_file, "infinite one or NaN"},
                        Case{-inf, "F32", ErrorCode::bad_file, "infinite one or NaN"},
                        Case{1e30f, "F16", ErrorCode::bad_argument, "values that F16 can hold"},
                        Case{1e30f, "Q8_0", ErrorCode::bad_argument, "values that"}}) {
    INFO(c.type << " " << c.value);
    const TempDir dir;
    test::write_file(dir / "in", with_number("blk.0.ffn_up.weight", c.value));
    try {
      quantize(dir, choose(c.type));
      FAIL("quantized");
    } catch (const Error& error) {
      CHECK(error.code() == c.code);
      CHECK_THAT(error.message(),
                 Contains("tensor 'blk.0.ffn_up.weight': row 3:") && Contains(c.text));
    }
    CHECK(dir.names() == std::set<std::string>{"in"});
  }
}

TEST_CASE("each expert is encoded by its own importance, or without any") {
  const TempDir dir;
  test::write_file(dir / "in", test::toy_family(*find_arch("llama"), true));
  constexpr int64_t kCols = 96, kRows = 64, kExperts = 5;
  Imatrix imatrix;
  ImatrixEntry entry;
  entry.name = "blk.0.ffn_gate_exps.weight";
  entry.cols = kCols;
  for (int64_t e = 0; e < kExperts; ++e) {
    entry.counts.push_back(e == 3 ? 0.0f : static_cast<float>(e + 1));
    for (int64_t c = 0; c < kCols; ++c) {
      entry.sums.push_back(e == 3 ? 0.0f : static_cast<float>(1 + (c * (e + 3)) % 17 * 10));
    }
  }
  imatrix.entries = {entry};
  QuantizeChoices with = choose("Q4_0");
  with.imatrix = &imatrix;
  with.imatrix_name = "m.gguf";
  quantize(dir, with, 2, "weighted");
  quantize(dir, choose("Q4_0"), 2, "plain");
  const TensorFile in = open_tensor_file(dir / "in");
  const auto* x = reinterpret_cast<const float*>(in.data(*in.find(entry.name)).data());
  const int64_t bytes = row_bytes(DType::Q4_0, kCols);
  for (const char* name : {"weighted", "plain"}) {
    const TensorFile file = open_tensor_file(dir / name);
    const std::byte* got = file.data(*file.find(entry.name)).data();
    std::vector<std::byte> want(static_cast<size_t>(bytes));
    std::vector<float> importance(kCols);
    for (int64_t r = 0; r < kExperts * kRows; ++r) {
      column_importance(entry, r / kRows, importance.data());
      const bool weighted = std::string_view(name) == "weighted";
      search_row(DType::Q4_0, x + r * kCols, weighted ? importance.data() : nullptr, kCols,
                 want.data());
      CHECK(std::equal(want.begin(), want.end(), got + r * bytes));
    }
  }
  CHECK(test::read_file(dir / "weighted") != test::read_file(dir / "plain"));
}

TEST_CASE("importance changes what is written, and is recorded") {
  const TempDir dir;
  test::write_file(dir / "in", test::quantized_toy(f32));
  Imatrix imatrix;
  imatrix.datasets = {"text"};
  imatrix.chunk_count = 4;
  std::vector<float> sums(256, 0.01f);
  for (size_t i = 0; i < 256; i += 8) sums[i] = 100;
  imatrix.entries = {{"blk.0.attn_q.weight", 256, sums, {1}}};
  QuantizeChoices with = choose("Q4_0");
  with.imatrix = &imatrix;
  with.imatrix_name = "m.gguf";
  const QuantizeResult plain = quantize(dir, choose("Q4_0"), 1, "plain");
  const QuantizeResult weighted = quantize(dir, with, 1, "weighted");
  const TensorFile file = open_tensor_file(dir / "weighted");
  CHECK(file.meta().get_string("quantize.imatrix.file") == "m.gguf");
  CHECK(file.meta().get_string("quantize.imatrix.dataset") == "text");
  CHECK(file.meta().get_int("quantize.imatrix.chunks_count") == 4);
  for (size_t i = 0; i < file.tensors().size(); ++i) {
    if (file.tensors()[i].name == "blk.0.attn_q.weight") {
      CHECK(weighted.errors[i] > plain.errors[i]);  // better where it counts, worse elsewhere
    }
  }
}

TEST_CASE("the input is never the output, and a cancelled run continues") {
  const TempDir dir;
  test::write_file(dir / "in", test::quantized_toy(f32));
  try {
    quantize(dir, choose("Q8_0"), 1, "in");
    FAIL("quantized");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::bad_argument);
  }
  quantize(dir, choose("Q8_0"), 1, "undisturbed");
  CancelToken cancel;
  QuantizeFileOptions options;
  options.n_threads = 1;
  options.cancel = &cancel;
  options.on_progress = [&](const QuantizeProgress& p) {
    if (p.tensor == 5) cancel.request();
  };
  const TensorFile in = open_tensor_file(dir / "in");
  const QuantizePlan plan = plan_quantize(in, choose("Q8_0"));
  CHECK_THROWS_AS(quantize_file(in, dir / "out", plan, options), Error);
  CHECK(dir.names().count("out.nibble-part") == 1);
  const QuantizeResult result = quantize(dir, choose("Q8_0"));
  CHECK(result.n_resumed == 5);
  CHECK(test::read_file(dir / "out") == test::read_file(dir / "undisturbed"));
  CHECK(dir.names() == std::set<std::string>{"in", "out", "undisturbed"});
}
