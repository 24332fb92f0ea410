// Any tokenizer files: an Error, or metadata from which a tokenizer can be made that encodes text.
// The first byte says what follows: tokenizer.json, tokenizer.model, or both with a zero byte
// between, and how many rows the embedding has.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include "formats/io/error.h"
#include "formats/tensor_file.h"
#include "runtime/convert/import_tokenizer.h"

using namespace nibble;

namespace {

void promise(bool kept, const char* what) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

void check_result(const GgufHeader& header) {
  const GgufLayout layout = header.layout();
  const TensorFile file = open_tensor_memory(layout.header, "fuzz.gguf");
  try {
    const auto tokenizer = Tokenizer::from_metadata(file.meta());
    for (const int32_t id : tokenizer->encode("Hello <tool> \xE4\xBD\xA0 123", true, false)) {
      promise(id >= 0 && id < tokenizer->n_vocab(), "ids are in range");
    }
  } catch (const Error& error) {
    promise(error.code() != ErrorCode::internal, "no input is a bug of ours");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t kind = data[0];
  const std::vector<char> all(reinterpret_cast<const char*>(data) + 1,
                              reinterpret_cast<const char*>(data) + size);
  const std::string_view text(all.data(), all.size());
  const std::string_view config_text = R"({"bos_token_id":1,"eos_token_id":[2,3]})";
  try {
    std::optional<JsonDocument> tokenizer;
    TokenizerFiles files;
    files.folder = "fuzz";
    const size_t cut = (kind & 2) != 0 ? std::min(text.find('\0'), text.size()) : text.size();
    if ((kind & 1) != 0 || cut < text.size()) {
      files.has_model = true;
      files.model = std::as_bytes(std::span(text.substr(cut == text.size() ? 0 : cut + 1)));
    }
    if ((kind & 1) == 0 || cut < text.size()) {
      tokenizer.emplace(text.substr(0, cut), "fuzz/tokenizer.json");
      files.tokenizer = tokenizer->root();
    }
    const JsonDocument config_json(config_text, "fuzz/config.json");
    const HfConfig config(config_json.root(), "fuzz/config.json");
    GgufHeader header;
    header.set_string("general.architecture", "llama");
    std::vector<std::string> notes;
    import_tokenizer(files, config, 8 + 4 * int64_t{kind}, header, notes);
    check_result(header);
  } catch (const Error& error) {
    promise(error.code() != ErrorCode::internal, "no input is a bug of ours");
    promise(!error.message().empty(), "an error says what is wrong");
  }
  return 0;
}
