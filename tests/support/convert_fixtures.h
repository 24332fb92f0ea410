#pragma once
// The tiny Hugging Face models of tests/fixtures/convert, with what transformers makes of them
// (tests/oracle/tiny_hf.py), and copies of them that a test may change.
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace nibble::test {

inline constexpr const char* kConvertModels[] = {"llama_bias", "llama_scaled", "mistral_window",
                                                 "gemma3"};

inline std::string convert_fixture(const std::string& name) {
  return std::string(NIBBLE_SOURCE_DIR) + "/tests/fixtures/convert/" + name;
}

inline nlohmann::json expected_of(const std::string& name) {
  return nlohmann::json::parse(read_file(convert_fixture(name) + "/expected.json"));
}

/// float32 [prompt, vocab]
inline std::vector<float> expected_logits(const std::string& name) {
  const std::string bytes = read_file(convert_fixture(name) + "/logits.f32");
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

/// A copy of a model in a folder of its own.
class ModelCopy {
 public:
  explicit ModelCopy(const std::string& name) {
    for (const auto& entry : std::filesystem::directory_iterator(convert_fixture(name))) {
      std::filesystem::copy_file(entry.path(), dir_ / entry.path().filename().string());
    }
  }
  const std::string path() const { return dir_.path(); }
  std::string operator/(const std::string& name) const { return dir_ / name; }

  /// Applies change to a JSON file.
  template <typename F>
  void edit(const std::string& name, F change) {
    auto json = nlohmann::json::parse(read_file(dir_ / name));
    change(json);
    write_file(dir_ / name, json.dump());
  }

 private:
  TempDir dir_;
};

}  // namespace nibble::test
