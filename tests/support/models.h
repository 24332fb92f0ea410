#pragma once
// Where the real models of the [model] tests are, and how a test says that one is not there.
#include <cstdlib>
#include <filesystem>
#include <string>

namespace nibble::test {

inline constexpr const char* kSmolLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf";
inline constexpr const char* kGemma3 = "gemma-3-270m-Q4_K_M.gguf";

/// Path of a model in $NIBBLE_MODELS or the cache that `make test` fills; "" if it is not there.
inline std::string model_path(const std::string& name) {
  std::filesystem::path folder;
  if (const char* given = std::getenv("NIBBLE_MODELS")) {
    folder = given;
  } else if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != 0) {
    folder = std::filesystem::path(cache) / "nibble" / "models";
  } else if (const char* home = std::getenv("HOME")) {
    folder = std::filesystem::path(home) / ".cache" / "nibble" / "models";
  }
  const std::filesystem::path path = folder / name;
  return std::filesystem::exists(path) ? path.string() : std::string();
}

}  // namespace nibble::test

/// Declares `var` with the model's path, or says loudly that the test did not run and returns.
#define NIBBLE_MODEL_OR_SKIP(var, name)                                           \
  const std::string var = nibble::test::model_path(name);                         \
  if (var.empty()) {                                                              \
    WARN("SKIPPED: model " << (name) << " is not in the cache; run `make test`"); \
    return;                                                                       \
  }
