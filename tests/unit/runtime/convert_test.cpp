// Converted models against transformers, tokenizers and sentencepiece, whose results lie beside the
// tiny models of tests/fixtures/convert; what config.json and tokenizers may not say.
#include "runtime/convert/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/io/error.h"
#include "formats/safetensors.h"
#include "formats/tensor_file.h"
#include "quant/codec.h"
#include "runtime/convert/quant_mix.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/session.h"
#include "runtime/text/tokenizer.h"
#include "tests/support/catch.h"
#include "tests/support/convert_fixtures.h"

using namespace nibble;
using Catch::Matchers::Contains;
using nlohmann::json;
using test::ModelCopy;

namespace {

// The project's bound for float32. Logits here are sums of at most 56 products of magnitude up to
// 10, over seven layers: float32 in another order moves them by about 1e-5.
constexpr double kBound = 1e-3;

std::string converted(const test::TempDir& dir, const std::string& in,
                      std::optional<DType> type = {}) {
  ConvertOptions options;
  options.type = type;
  options.n_threads = 2;
  const std::string out = dir / "out.gguf";
  convert_model(in, out, options);
  return out;
}

Session session_of(const std::string& path) {
  EngineOptions engine_options;
  engine_options.isa = "reference";
  SessionOptions options;
  options.n_ctx = 128;
  options.n_threads = 1;
  options.kv_type = KvType::f32;
  return Session(Engine::open(path, engine_options), options);
}

std::string refusal(const std::string& in, std::optional<DType> type = {}) {
  const test::TempDir dir;
  try {
    converted(dir, in, type);
  } catch (const Error& error) {
    CHECK((error.code() == ErrorCode::unsupported || error.code() == ErrorCode::bad_file));
    CHECK(dir.names().empty());
    return error.message();
  }
  return "converted";
}

std::string refusal_of_config(const std::string& name, const std::string& key, const json& value) {
  ModelCopy copy(name);
  copy.edit("config.json", [&](json& config) { config[key] = value; });
  return refusal(copy.path());
}

std::string refusal_of_tokenizer(const std::string& name, const json::json_pointer& key,
                                 const json& value) {
  ModelCopy copy(name);
  copy.edit("tokenizer.json", [&](json& tokenizer) { tokenizer[key] = value; });
  return refusal(copy.path());
}

}  // namespace

TEST_CASE("converted models give the logits and greedy tokens of transformers") {
  for (const std::string name : test::kConvertModels) {
    for (const auto type : {std::optional<DType>(), std::optional(DType::F32)}) {
      const test::TempDir dir;
      Session session = session_of(converted(dir, test::convert_fixture(name), type));
      const json expected = test::expected_of(name);
      const std::vector<float> want = test::expected_logits(name);
      const auto prompt = expected["prompt"].get<std::vector<int32_t>>();
      const auto n_vocab = static_cast<size_t>(session.engine().n_vocab());
      REQUIRE(want.size() == prompt.size() * n_vocab);
      double worst = 0;
      for (size_t i = 0; i < prompt.size(); ++i) {
        session.sync(std::span(prompt).first(i + 1));
        for (size_t v = 0; v < n_vocab; ++v) {
          const double delta = double{session.logits()[v]} - double{want[i * n_vocab + v]};
          worst = std::max(worst, std::isnan(delta) ? 1e9 : std::abs(delta));
        }
      }
      INFO(name << ": " << worst);
      CHECK(worst <= kBound);
      for (const json& token : expected["greedy"]) {
        const std::span<const float> logits = session.logits();
        const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
        REQUIRE(best == token.get<int64_t>());
        session.append(static_cast<int32_t>(best));
      }
    }
  }
}

TEST_CASE("converted tokenizers give the ids of tokenizers and sentencepiece") {
  for (const std::string name : test::kConvertModels) {
    const test::TempDir dir;
    const TensorFile file = open_tensor_file(converted(dir, test::convert_fixture(name)));
    const auto tokenizer = Tokenizer::from_metadata(file.meta());
    const json expected = test::expected_of(name);
    REQUIRE(expected["texts"].size() == expected["ids"].size());
    for (size_t i = 0; i < expected["texts"].size(); ++i) {
      const auto text = expected["texts"][i].get<std::string>();
      INFO(name << ": " << text);
      CHECK(tokenizer->encode(text, false, false) ==
            expected["ids"][i].get<std::vector<int32_t>>());
    }
    CHECK(tokenizer->adds_bos() == (name != "llama_scaled"));
    CHECK_FALSE(tokenizer->adds_eos());
    CHECK(tokenizer->bos() == expected["prompt"][0].get<int32_t>());
    CHECK(tokenizer->is_eog(tokenizer->eos()));
    CHECK(tokenizer->token_type(tokenizer->find("<tool>")) == TokenType::user_defined);
    CHECK(tokenizer->token_type(tokenizer->n_vocab() - 1) == TokenType::unused);
  }
}

TEST_CASE("metadata has the ecosystem's names and values") {
  const test::TempDir dir;
  const TensorFile file = open_tensor_file(converted(dir, test::convert_fixture("llama_bias")));
  const Metadata& meta = file.meta();
  CHECK(meta.get_string("general.architecture") == "llama");
  CHECK(meta.get_string("general.name") == "llama_bias");
  CHECK(meta.get_int("general.file_type") == 1);
  CHECK_FALSE(meta.find("general.quantization_version"));
  CHECK(meta.get_int("llama.block_count") == 2);
  CHECK(meta.get_int("llama.attention.key_length") == 12);
  CHECK(meta.get_int("llama.attention.head_count_kv") == 2);
  CHECK(meta.get_string("llama.rope.scaling.type") == "linear");
  CHECK(meta.get_float("llama.rope.scaling.factor") == 4.0);
  CHECK(meta.get_int("llama.vocab_size") == 304);
  CHECK(meta.get_string("tokenizer.ggml.model") == "gpt2");
  CHECK(meta.get_string("tokenizer.ggml.pre") == "llama-bpe");
  CHECK(meta.get_int("tokenizer.ggml.padding_token_id") == 2);
  CHECK_THAT(std::string(*meta.get_string("tokenizer.chat_template")), Contains("<|begin|>"));
  CHECK(meta.get_float("general.sampling.temp") == double{0.7f});
  CHECK(file.find("output.weight")->type_id == static_cast<uint32_t>(DType::F16));
  CHECK(file.find("blk.1.attn_k.bias")->type_id == static_cast<uint32_t>(DType::F32));
}

TEST_CASE("the rope factors are those of Llama 3.1's formula") {
  const test::TempDir dir;
  const TensorFile file = open_tensor_file(converted(dir, test::convert_fixture("llama_scaled")));
  const TensorInfo* info = file.find("rope_freqs.weight");
  REQUIRE(info != nullptr);
  REQUIRE(info->cols() == 6);
  float factors[6];
  std::memcpy(factors, file.data(*info).data(), sizeof factors);
  // Waves of 2 pi 500000^(i/6): 6.28 (kept: below 32 / 4), 56 and longer (stretched: above 32).
  CHECK(factors[0] == 1.0f);
  for (int i = 1; i < 6; ++i) CHECK(factors[i] == 8.0f);
  CHECK(file.find("output.weight") == nullptr);
}

TEST_CASE("a type is used where rows allow it, and said where not") {
  const test::TempDir dir;
  ConvertOptions options;
  options.type = DType::Q8_0;
  const ConvertResult result =
      convert_model(test::convert_fixture("gemma3"), dir / "out.gguf", options);
  REQUIRE(result.notes.size() == 1);
  CHECK_THAT(result.notes[0], Contains("F16") && Contains("32"));
  const TensorFile file = open_tensor_file(dir / "out.gguf");
  CHECK(file.meta().get_int("general.file_type") == find_mix("F16")->file_type);  // of most bytes
  CHECK(file.find("blk.0.ffn_down.weight")->type_id == static_cast<uint32_t>(DType::Q8_0));
  CHECK(file.find("blk.0.ffn_up.weight")->type_id == static_cast<uint32_t>(DType::F16));
  // The bytes are those of the encoder over the stored numbers.
  const TensorFile plain = open_tensor_file(converted(dir, test::convert_fixture("gemma3")));
  const TensorInfo* from = plain.find("blk.0.ffn_down.weight");
  std::vector<float> row(static_cast<size_t>(from->cols()));
  dequantize_row(DType::BF16, plain.data(*from).data(), from->cols(), row.data());
  std::vector<std::byte> want(static_cast<size_t>(row_bytes(DType::Q8_0, from->cols())));
  quantize_row(DType::Q8_0, row.data(), from->cols(), want.data());
  options.type = DType::Q8_0;
  convert_model(test::convert_fixture("gemma3"), dir / "again.gguf", options);
  const TensorFile again = open_tensor_file(dir / "again.gguf");
  CHECK(std::memcmp(again.data(*again.find("blk.0.ffn_down.weight")).data(), want.data(),
                    want.size()) == 0);
}

TEST_CASE("the file does not depend on the number of threads, and a dry run writes none") {
  const test::TempDir dir;
  ConvertOptions options;
  std::string first;
  for (const int n : {1, 2, 5}) {
    options.n_threads = n;
    convert_model(test::convert_fixture("llama_bias"), dir / "out.gguf", options);
    const std::string bytes = test::read_file(dir / "out.gguf");
    if (first.empty()) first = bytes;
    CHECK(bytes == first);
  }
  options.dry_run = true;
  const auto result = convert_model(test::convert_fixture("llama_bias"), dir / "dry.gguf", options);
  CHECK(result.bytes == first.size());
  CHECK(dir.names() == std::set<std::string>{"out.gguf"});
}

TEST_CASE("what config.json may not say is refused by key") {
  const auto config = refusal_of_config;
  CHECK_THAT(config("llama_bias", "architectures", {"MambaForCausalLM"}),
             Contains("'MambaForCausalLM'"));
  CHECK_THAT(config("llama_bias", "hidden_act", "gelu"), Contains("hidden_act"));
  CHECK_THAT(config("llama_bias", "rope_parameters", {{"rope_type", "yarn"}}), Contains("factor"));
  CHECK_THAT(config("llama_bias", "num_hidden_layers", 0), Contains("block_count"));
  CHECK_THAT(config("llama_bias", "num_hidden_layers", "2"), Contains("num_hidden_layers"));
  CHECK_THAT(config("llama_bias", "num_hidden_layers", 3), Contains("model.layers.2"));
  CHECK_THAT(config("llama_bias", "num_hidden_layers", 1), Contains("model.layers.1"));
  CHECK_THAT(config("llama_bias", "hidden_size", nullptr), Contains("hidden_size"));
  CHECK_THAT(config("llama_bias", "hidden_size", 44), Contains("expected [304, 44]"));
  CHECK_THAT(config("llama_bias", "num_key_value_heads", 4), Contains("[48, 40], got [24, 40]"));
  CHECK_THAT(config("llama_bias", "head_dim", 11), Contains("expected [44, 40]"));
  CHECK_THAT(config("llama_bias", "rms_norm_eps", -1), Contains("rms_norm_eps"));
  CHECK_THAT(config("llama_bias", "tie_word_embeddings", "yes"), Contains("tie_word_embeddings"));
  CHECK_THAT(config("llama_scaled", "tie_word_embeddings", false), Contains("lm_head.weight"));
  CHECK_THAT(config("llama_bias", "rope_parameters", {{"rope_type", "other"}, {"factor", 2}}),
             Contains("'other'"));
  CHECK_THAT(config("llama_bias", "rope_parameters", {{"rope_type", "linear"}}),
             Contains("factor"));
  CHECK_THAT(config("llama_bias", "partial_rotary_factor", 0.5), Contains("partial_rotary_factor"));
  CHECK_THAT(config("llama_bias", "quantization_config", {{"quant_method", "hqq"}}),
             Contains("'hqq'"));
  CHECK_THAT(config("gemma3", "query_pre_attn_scalar", 256), Contains("query_pre_attn_scalar"));
  CHECK_THAT(config("gemma3", "use_bidirectional_attention", true), Contains("bidirectional"));
  CHECK_THAT(config("gemma3", "hidden_activation", "relu"), Contains("hidden_activation"));
  CHECK_THAT(config("gemma3", "layer_types", std::vector<std::string>(7, "full_attention")),
             Contains("layer_types"));
}

TEST_CASE("older spellings of config.json mean the same") {
  const test::TempDir dir;
  const test::TempDir other;
  const TensorFile now = open_tensor_file(converted(other, test::convert_fixture("llama_scaled")));
  ModelCopy copy("llama_scaled");
  copy.edit("config.json", [](json& config) {
    json rope = config["rope_parameters"];
    config.erase("rope_parameters");
    config["rope_theta"] = rope["rope_theta"];
    rope.erase("rope_theta");
    rope["type"] = rope["rope_type"];
    rope.erase("rope_type");
    config["rope_scaling"] = rope;
  });
  const TensorFile old = open_tensor_file(converted(dir, copy.path()));
  const auto factors = [](const TensorFile& file) {
    const auto bytes = file.data(*file.find("rope_freqs.weight"));
    return std::vector(bytes.begin(), bytes.end());
  };
  CHECK(factors(old) == factors(now));
  CHECK(old.meta().get_float("llama.rope.freq_base") == 500000.0);
}

TEST_CASE("a tied output that is stored all the same is left out with a note") {
  ModelCopy copy("llama_bias");
  copy.edit("config.json", [](json& config) { config["tie_word_embeddings"] = true; });
  const test::TempDir dir;
  const ConvertResult result = convert_model(copy.path(), dir / "out.gguf");
  REQUIRE(result.notes.size() == 1);
  CHECK_THAT(result.notes[0], Contains("lm_head.weight"));
  CHECK(open_tensor_file(dir / "out.gguf").find("output.weight") == nullptr);
}

TEST_CASE("a number that is not finite, or that the type does not hold, is refused by row") {
  const auto with = [](float value) {
    ModelCopy copy("mistral_window");
    std::string bytes = test::read_file(copy / "model.safetensors");
    uint64_t n = 0;
    std::memcpy(&n, bytes.data(), sizeof n);
    const auto header = json::parse(bytes.substr(8, n));
    const auto begin =
        header["model.embed_tokens.weight"]["data_offsets"][0].get<uint64_t>() + 8 + n;
    std::memcpy(bytes.data() + begin + (5 * 40 + 7) * sizeof(float), &value, sizeof value);
    test::write_file(copy / "model.safetensors", bytes);
    return std::pair(refusal(copy.path()), refusal(copy.path(), DType::F16));
  };
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    const auto [kept, half] = with(bad);
    CHECK_THAT(kept, Contains("'model.embed_tokens.weight': row 5"));
    CHECK_THAT(half, Contains("'model.embed_tokens.weight': row 5"));
  }
  const auto [kept, half] = with(65520.0f);  // the first that rounds to infinity
  CHECK(kept == "converted");
  CHECK_THAT(half, Contains("row 5") && Contains("F16"));
  CHECK(with(65519.0f).second == "converted");
}

TEST_CASE("patterns are known by the spelling of checkpoints too") {
  const auto split = [](const char* pattern) {
    return json{{"type", "Split"},
                {"pattern", {{"Regex", pattern}}},
                {"behavior", "Isolated"},
                {"invert", false}};
  };
  const json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const auto converts = [&](json patterns) {
    patterns.push_back(bytes);
    ModelCopy copy("llama_bias");
    copy.edit("tokenizer.json", [&](json& tokenizer) {
      tokenizer["pre_tokenizer"]["pretokenizers"] = patterns;
      tokenizer["model"]["ignore_merges"] = false;
    });
    return refusal(copy.path());
  };
  const char* bloom = " ?[^(\\s|[.,!?…。，、।۔،])]+";
  CHECK(converts({split(bloom)}) == "converted");
  CHECK(converts({split(bloom), split("\\p{N}")}) == "converted");
  CHECK(converts({split("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?"
                        "[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")}) ==
        "converted");
}

TEST_CASE("what tokenizer.json may not say is refused by name") {
  using P = json::json_pointer;
  const auto tokenizer = refusal_of_tokenizer;
  CHECK_THAT(tokenizer("llama_bias", P("/model/type"), "WordLevel"), Contains("'WordLevel'"));
  CHECK_THAT(tokenizer("llama_bias", P("/pre_tokenizer/pretokenizers/0/pattern/Regex"), "a+"),
             Contains("'a+'") && Contains("pre_tokenizer"));
  CHECK_THAT(tokenizer("llama_bias", P("/pre_tokenizer/pretokenizers/0/type"), "Punctuation"),
             Contains("'Punctuation'"));
  CHECK_THAT(tokenizer("llama_bias", P("/pre_tokenizer/pretokenizers/0/behavior"), "Removed"),
             Contains("'Removed'"));
  CHECK_THAT(tokenizer("llama_bias", P("/pre_tokenizer/pretokenizers/1/add_prefix_space"), true),
             Contains("add_prefix_space"));
  CHECK_THAT(tokenizer("llama_scaled", P("/model/ignore_merges"), true), Contains("ignore_merges"));
  CHECK_THAT(tokenizer("llama_bias", P("/normalizer"), {{"type", "Lowercase"}}),
             Contains("'Lowercase'"));
  CHECK_THAT(tokenizer("llama_bias", P("/model/vocab/a"), 304), Contains("304"));
  CHECK_THAT(tokenizer("llama_bias", P("/model/vocab/a"), 5), Contains("expected one text"));
  CHECK_THAT(tokenizer("llama_bias", P("/model/vocab/a"), -1), Contains("-1"));
  CHECK_THAT(tokenizer("llama_bias", P("/model/vocab"), 5), Contains("vocab"));
  CHECK_THAT(tokenizer("llama_bias", P("/model/merges/0"), 5), Contains("merge"));
  CHECK_THAT(tokenizer("llama_bias", P("/model/merges/0"), {"a", "b", "c"}), Contains("merge"));
  CHECK_THAT(tokenizer("llama_bias", P("/added_tokens/0/id"), 9999), Contains("9999"));
  CHECK_THAT(tokenizer("llama_bias", P("/post_processor"), {{"type", "Swap"}}), Contains("'Swap'"));
  CHECK_THAT(tokenizer("gemma3", P("/normalizer"), {{"type", "NFKC"}}), Contains("'NFKC'"));
  CHECK_THAT(tokenizer("gemma3", P("/normalizer"), nullptr), Contains("'Split'"));
  ModelCopy copy("gemma3");
  std::filesystem::remove(copy / "tokenizer.json");
  CHECK_THROWS_AS(convert_model(copy.path(), copy / "out.gguf"), Error);
}

TEST_CASE("merges in both spellings are one") {
  const test::TempDir dir;
  ModelCopy copy("llama_bias");
  copy.edit("tokenizer.json", [](json& tokenizer) {
    for (json& merge : tokenizer["model"]["merges"]) {
      merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    }
  });
  const TensorFile old = open_tensor_file(converted(dir, copy.path()));
  const StringArray* merges = old.meta().get_strings("tokenizer.ggml.merges");
  REQUIRE(merges != nullptr);
  CHECK(merges->size() > 10);
  const test::TempDir other;
  const TensorFile fresh = open_tensor_file(converted(other, test::convert_fixture("llama_bias")));
  const StringArray* pairs = fresh.meta().get_strings("tokenizer.ggml.merges");
  REQUIRE(pairs->size() == merges->size());
  for (size_t i = 0; i < merges->size(); ++i) CHECK((*pairs)[i] == (*merges)[i]);
}

TEST_CASE("a file in the folder is no output") {
  const ModelCopy copy("mistral_window");
  CHECK_THROWS_AS(convert_model(copy.path(), copy / "model.safetensors"), Error);
  CHECK_THROWS_AS(convert_model(copy.path(), copy / "config.json"), Error);
  CHECK(test::read_file(copy / "config.json") ==
        test::read_file(test::convert_fixture("mistral_window") + "/config.json"));
}

TEST_CASE("a llama2.c checkpoint gives the logits, tokens and ids of the model it was made of") {
  const test::TempDir dir;
  const std::string in = test::convert_fixture("llama2c");
  Session session = session_of(converted(dir, in + "/model.bin"));
  const json expected = test::expected_of("llama2c");
  const std::vector<float> want = test::expected_logits("llama2c");
  const auto prompt = expected["prompt"].get<std::vector<int32_t>>();
  const auto n_vocab = static_cast<size_t>(session.engine().n_vocab());
  double worst = 0;
  for (size_t i = 0; i < prompt.size(); ++i) {
    session.sync(std::span(prompt).first(i + 1));
    for (size_t v = 0; v < n_vocab; ++v) {
      worst =
          std::max(worst, std::abs(double{session.logits()[v]} - double{want[i * n_vocab + v]}));
    }
  }
  CHECK(worst <= kBound);
  for (const json& token : expected["greedy"]) {
    const std::span<const float> logits = session.logits();
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    REQUIRE(best == token.get<int64_t>());
    session.append(static_cast<int32_t>(best));
  }
  const Tokenizer& tokenizer = session.engine().tokenizer();
  for (size_t i = 0; i < expected["texts"].size(); ++i) {
    const auto text = expected["texts"][i].get<std::string>();
    INFO(text);
    CHECK(tokenizer.encode(text, false, false) == expected["ids"][i].get<std::vector<int32_t>>());
  }
}

TEST_CASE("a llama2.c file that is cut, of a later version or of something else is refused") {
  const std::string whole = test::read_file(test::convert_fixture("llama2c") + "/model.bin");
  const test::TempDir dir;
  std::filesystem::copy_file(test::convert_fixture("llama2c") + "/tokenizer.bin",
                             dir / "tokenizer.bin");
  const std::string path = dir / "model.bin";
  const auto message = [&](const std::string& bytes) {
    test::write_file(path, bytes);
    return refusal(path);
  };
  CHECK(message(whole) == "converted");
  for (size_t n = 0; n < 40; ++n) CHECK_THAT(message(whole.substr(0, n)), Contains("model.bin"));
  CHECK_THAT(message(whole.substr(0, whole.size() - 1)), Contains("llama2.c"));
  CHECK_THAT(message(whole + "x"), Contains("llama2.c"));
  CHECK_THAT(message("24ka" + std::string("\x02\x00\x00\x00", 4) + std::string(300, 0)),
             Contains("version 2"));
  CHECK_THAT(message("PK\x03\x04" + std::string(300, 0)), Contains("pickle"));
  CHECK_THAT(message(std::string(300, 'x')), Contains("llama2.c"));
  CHECK_THAT(message(""), Contains("model.bin"));
  for (size_t field = 0; field < 7; ++field) {
    for (const int32_t value : {0, -1, 1, 7, INT32_MAX, INT32_MIN}) {
      std::string bytes = whole;
      std::memcpy(bytes.data() + 4 * field, &value, sizeof value);
      CHECK_THAT(message(bytes), Contains("model.bin"));
    }
  }
  test::write_file(path, whole);
  const std::string tokens = test::read_file(dir / "tokenizer.bin");
  for (size_t n = 0; n < tokens.size(); n += 7) {
    test::write_file(dir / "tokenizer.bin", tokens.substr(0, n));
    CHECK_THAT(refusal(path), Contains("tokenizer.bin"));
  }
}

TEST_CASE("safetensors of a converted model are the tensors it was converted from") {
  for (const std::string name : {"llama_bias", "mistral_window", "gemma3"}) {
    const test::TempDir dir;
    const std::string gguf = converted(dir, test::convert_fixture(name));
    const ConvertResult result = convert_model(gguf, dir / "back.safetensors");
    CHECK(result.notes.size() == 1);  // metadata and tokenizer
    const SafetensorsFile back = open_safetensors(dir / "back.safetensors");
    const SafetensorsFile first =
        open_safetensors(test::convert_fixture(name) + "/model.safetensors");
    REQUIRE(back.tensors().size() == first.tensors().size());
    for (const SafeTensor& t : first.tensors()) {
      INFO(name << " " << t.name);
      const SafeTensor* got = back.find(t.name);
      REQUIRE(got != nullptr);
      CHECK(got->shape == t.shape);
      const auto want_bytes = first.data(t), got_bytes = back.data(*got);
      if (got->type == t.type) {
        // Adding one and taking it away rounds a norm of gemma3 that is stored as F32; none is.
        CHECK(std::equal(want_bytes.begin(), want_bytes.end(), got_bytes.begin()));
        continue;
      }
      // Vectors became F32: the same numbers, one rounding of 1 + w apart where norms add one.
      REQUIRE(got->type == SafeType::f32);
      const DType type = t.type == SafeType::f16 ? DType::F16 : DType::BF16;
      std::vector<float> want(static_cast<size_t>(t.shape[0])), numbers(want.size());
      dequantize_row(type, want_bytes.data(), t.shape[0], want.data());
      std::memcpy(numbers.data(), got_bytes.data(), got_bytes.size());
      for (size_t i = 0; i < want.size(); ++i) {
        // 1 + w lies below 2, so it is rounded by at most 2^-24.
        CHECK(std::abs(double{numbers[i]} - double{want[i]}) <= 0x1p-24);
      }
    }
  }
}

TEST_CASE("safetensors of a quantized model are F16, or what was asked for") {
  const test::TempDir dir;
  const std::string gguf = converted(dir, test::convert_fixture("gemma3"), DType::Q8_0);
  convert_model(gguf, dir / "a.safetensors");
  CHECK(open_safetensors(dir / "a.safetensors").find("model.layers.0.mlp.down_proj.weight")->type ==
        SafeType::f16);
  ConvertOptions options;
  options.type = DType::F32;
  convert_model(gguf, dir / "b.safetensors", options);
  CHECK(open_safetensors(dir / "b.safetensors").find("model.layers.0.mlp.down_proj.weight")->type ==
        SafeType::f32);
  options.type = DType::Q4_0;
  CHECK_THROWS_AS(convert_model(gguf, dir / "c.safetensors", options), Error);
  CHECK_THROWS_AS(convert_model(gguf, gguf), Error);
}
