// The file system is asked through the non-throwing calls: a folder that may not be read is empty.
#include "tools/paths.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "tools/exit_code.h"
#include "tools/suggest.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

std::string xdg_folder(const char* variable, const char* below_home) {
  // The specification says to ignore relative paths.
  const char* value = std::getenv(variable);
  if (value != nullptr && value[0] == '/') return std::string(value) + "/nibble";
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] == '\0') return {};
  return fmt::format("{}/{}/nibble", home, below_home);
}

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

bool exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

}  // namespace

std::string model_folder() {
  const std::string cache = xdg_folder("XDG_CACHE_HOME", ".cache");
  return cache.empty() ? cache : cache + "/models";
}

std::string state_folder() {
  return xdg_folder("XDG_STATE_HOME", ".local/state");
}

std::vector<std::string> models_in(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.size() > 5 && lower(name).compare(name.size() - 5, 5, ".gguf") == 0) {
      out.push_back(name);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string find_model(const std::string& name, const std::string& folder) {
  if (name.empty()) throw CommandError(ExitCode::model, "model: expected a path or name, got ''");
  if (exists(name)) return name;
  const bool is_path = name.find('/') != std::string::npos;
  const std::vector<std::string> models = is_path ? std::vector<std::string>{} : models_in(folder);
  std::vector<std::string> begin_with;
  for (const std::string& model : models) {
    if (lower(model) == lower(name) || lower(model) == lower(name) + ".gguf") {
      return folder + "/" + model;
    }
    if (lower(model).compare(0, name.size(), lower(name)) == 0) begin_with.push_back(model);
  }
  if (begin_with.size() == 1) return folder + "/" + begin_with.front();
  std::string hint = "check the path";
  if (!is_path) {
    const std::string near = nearest(name, models);
    if (begin_with.size() > 1) {
      hint = fmt::format("several models begin so: {}", fmt::join(begin_with, ", "));
    } else if (!near.empty()) {
      hint = fmt::format("did you mean {}?", near);
    } else if (models.empty()) {
      hint = fmt::format("there are no models in {} either", folder);
    } else {
      hint = fmt::format("models in {}: {}", folder, fmt::join(models, ", "));
    }
  }
  throw CommandError(ExitCode::model, fmt::format("{}: no such model file", name), hint);
}

std::string default_model(const std::string& folder) {
  const std::string path = folder + "/" + kDefaultModel;
  if (!folder.empty() && exists(path)) return path;
  throw CommandError(
      ExitCode::model, fmt::format("{}: the default model is not there", path),
      "`make chat` in nibble's source folder gets it; or name a model file: nibble chat -m FILE");
}

}  // namespace nibble
