// WordPiece and Unigram from their files (tokenizer.json, tokenizer.model) to ids, against PyPI
// tokenizers and sentencepiece (tests/oracle/tokenizer_kinds.py); what GGUF cannot say is refused.
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "formats/io/error.h"
#include "formats/tensor_file.h"
#include "runtime/convert/base64.h"
#include "runtime/convert/import_tokenizer.h"
#include "runtime/text/tokenizer.h"
#include "tests/support/catch.h"

using namespace nibble;
using Catch::Matchers::Contains;

namespace {

nlohmann::json fixture(const std::string& name) {
  std::ifstream in(std::string(NIBBLE_SOURCE_DIR) + "/tests/fixtures/text/kinds/" + name + ".json");
  REQUIRE(in.good());
  return nlohmann::json::parse(in);
}

/// A tokenizer imported from the files of a folder, through the bytes of a GGUF header.
struct Imported {
  Imported(const nlohmann::json& kind) {
    TokenizerFiles files;
    files.folder = "folder";
    if (kind.contains("tokenizer.json")) {
      json_text = kind["tokenizer.json"].dump();
      json.emplace(json_text, "folder/tokenizer.json");
      files.tokenizer = json->root();
    }
    if (kind.contains("tokenizer.model")) {
      model = *decode_base64(kind["tokenizer.model"].get<std::string>());
      files.has_model = true;
      files.model = std::as_bytes(std::span(model));
    }
    const std::string config_text = "{}";
    const JsonDocument config_json(config_text, "folder/config.json");
    const HfConfig config(config_json.root(), "folder/config.json");
    header.set_string("general.architecture", "bert");
    import_tokenizer(files, config, kind["n_vocab"], header, notes);
    layout = header.layout();
    file = open_tensor_memory(layout.header, "imported.gguf");
    tokenizer = Tokenizer::from_metadata(file.meta());
  }
  std::string json_text, model;
  std::optional<JsonDocument> json;
  GgufHeader header;
  std::vector<std::string> notes;
  GgufLayout layout;
  TensorFile file;
  std::unique_ptr<Tokenizer> tokenizer;
};

std::string refusal(const nlohmann::json& kind) {
  try {
    const Imported imported(kind);
    return "accepted";
  } catch (const Error& error) {
    return error.message();
  }
}

}  // namespace

TEST_CASE("tokenizer kinds: ids equal those of the reference") {
  for (const char* name : {"wordpiece", "wordpiece_cased", "unigram", "unigram_bytes",
                           "unigram_spaces", "unigram_json"}) {
    const nlohmann::json kind = fixture(name);
    const Imported imported(kind);
    REQUIRE(kind["texts"].size() >= 200);
    for (size_t i = 0; i < kind["texts"].size(); ++i) {
      const auto text = kind["texts"][i].get<std::string>();
      CAPTURE(name, text);
      // The reference of WordPiece always finds special tokens, that of the others never.
      CHECK(imported.tokenizer->encode(text, false,
                                       std::string_view(name).starts_with("wordpiece")) ==
            kind["ids"][i].get<std::vector<int32_t>>());
    }
  }
}

TEST_CASE("tokenizer kinds: framing") {
  const Imported bert(fixture("wordpiece"));
  const Tokenizer& t = *bert.tokenizer;
  CHECK(t.model() == "bert");
  const auto ids = t.encode("the fox", true, false);
  CHECK(ids.front() == t.find("[CLS]"));
  CHECK(ids.back() == t.find("[SEP]"));
  CHECK(t.encode("[CLS]the fox[SEP]", true, true).size() == ids.size() + 1);
  CHECK(t.encode("[CLS]", false, false).size() > 1);
  CHECK(t.decode(ids, false) == "the fox");
  CHECK(t.decode(ids, true) == "[CLS] the fox[SEP]");
  const Imported unigram(fixture("unigram"));
  CHECK(unigram.tokenizer->model() == "t5");
  CHECK(unigram.tokenizer->encode("the", true, false).back() == unigram.tokenizer->eos());
  const auto spaced = unigram.tokenizer->encode("  the   then ", false, false);
  CHECK(unigram.tokenizer->decode(spaced, false) == "the then");
}

TEST_CASE("tokenizer kinds: what changes ids and GGUF cannot say is refused by name") {
  nlohmann::json kind = fixture("wordpiece");
  kind["tokenizer.json"]["normalizer"]["clean_text"] = false;
  CHECK_THAT(refusal(kind), Contains("clean_text"));
  kind = fixture("wordpiece");
  kind["tokenizer.json"]["normalizer"] = {{"type", "NFKC"}};
  CHECK_THAT(refusal(kind), Contains("'NFKC'"));
  kind = fixture("wordpiece");
  kind["tokenizer.json"]["pre_tokenizer"] = {{"type", "Whitespace"}};
  CHECK_THAT(refusal(kind), Contains("'Whitespace'"));
  kind = fixture("wordpiece");
  kind["tokenizer.json"]["model"]["continuing_subword_prefix"] = "@@";
  CHECK_THAT(refusal(kind), Contains("'@@'"));
  kind = fixture("wordpiece");
  kind["tokenizer.json"]["model"]["max_input_chars_per_word"] = 64;
  CHECK_THAT(refusal(kind), Contains("'64'"));
  kind = fixture("unigram_json");
  kind["tokenizer.json"]["normalizer"] = {{"type", "Lowercase"}};
  CHECK_THAT(refusal(kind), Contains("'Lowercase'"));
  kind = fixture("unigram_json");
  kind["tokenizer.json"]["normalizer"]["normalizers"][0]["precompiled_charsmap"] = "A";
  CHECK_THAT(refusal(kind), Contains("Base64"));
  kind = fixture("unigram_json");
  kind["tokenizer.json"]["pre_tokenizer"] = {{"type", "Punctuation"}};
  CHECK_THAT(refusal(kind), Contains("'Punctuation'"));
  kind = fixture("unigram_json");
  kind["tokenizer.json"]["model"]["vocab"][3] = "a";
  CHECK_THAT(refusal(kind), Contains("piece 3"));
  kind = fixture("unigram_json");
  kind["tokenizer.json"]["model"]["type"] = "WordLevel";
  CHECK_THAT(refusal(kind), Contains("'WordLevel'"));
}

TEST_CASE("Base64: the vectors of RFC 4648, and texts that are none") {
  CHECK(decode_base64("") == "");
  CHECK(decode_base64("Zg==") == "f");
  CHECK(decode_base64("Zm8=") == "fo");
  CHECK(decode_base64("Zm9vYmFy") == "foobar");
  CHECK(decode_base64("+/+/") == "\xFB\xFF\xBF");
  for (const char* bad : {"Z", "Zg=", "Zg", "Z===", "Zg==Zg==", "Z g=", "Zm9v\n", "===="}) {
    CAPTURE(bad);
    CHECK_FALSE(decode_base64(bad));
  }
}
