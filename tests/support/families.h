#pragma once
// The tiny models of tests/fixtures/families (tests/oracle/tiny_families.py): one or more of each
// architecture, with what transformers makes of them. The folders are the list.
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "runtime/convert/convert.h"
#include "tests/support/temp_dir.h"

namespace nibble::test {

inline std::string families_folder() {
  return std::string(NIBBLE_SOURCE_DIR) + "/tests/fixtures/families";
}

/// encoders: those that continue no text.
inline std::set<std::string> family_names(bool encoders = false) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(families_folder())) {
    const bool encoder = std::filesystem::exists(entry.path() / "hidden.f32");
    if (entry.is_directory() && encoder == encoders) names.insert(entry.path().filename().string());
  }
  return names;
}

struct Family {
  explicit Family(const std::string& name) {
    const std::string from = families_folder() + "/" + name;
    const nlohmann::json expected = nlohmann::json::parse(read_file(from + "/expected.json"));
    prompt = expected["prompt"].get<std::vector<int32_t>>();
    greedy = expected["greedy"].get<std::vector<int32_t>>();
    n_ctx = expected["n_ctx"].get<int64_t>();
    const bool encoder = std::filesystem::exists(from + "/hidden.f32");
    const std::string bytes = read_file(from + (encoder ? "/hidden.f32" : "/logits.f32"));
    logits.resize(bytes.size() / sizeof(float));
    std::memcpy(logits.data(), bytes.data(), bytes.size());
    for (const std::string& folder : {from, families_folder()}) {
      for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (!entry.is_regular_file()) continue;
        std::filesystem::copy_file(entry.path(), dir / entry.path().filename().string());
      }
    }
  }

  /// A file of the given type; made in this object's folder.
  std::string converted(std::optional<DType> type = {}) const {
    ConvertOptions options;
    options.type = type;
    options.n_threads = 1;
    convert_model(dir.path(), out / "model.gguf", options);
    return out / "model.gguf";
  }

  static constexpr int64_t kColumns = 64;  // of logits
  std::vector<int32_t> prompt;
  std::vector<int32_t> greedy;  // after it; empty: its angles depend on the length
  int64_t n_ctx = 0;            // of the session
  std::vector<float> logits;    // [prompt, kColumns]; of an encoder [prompt, n_embd] hidden states
  TempDir dir;                  // the model's folder, with the tokenizer that all share
  TempDir out;
};

}  // namespace nibble::test
