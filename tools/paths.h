#pragma once
// Where nibble keeps things (XDG base directories), and model names to paths.
#include <string>
#include <vector>

namespace nibble {

/// ${XDG_CACHE_HOME:-~/.cache}/nibble/models; "" if neither variable nor a home is known.
std::string model_folder();
/// ${XDG_STATE_HOME:-~/.local/state}/nibble; "" if unknown.
std::string state_folder();
/// The model that `chat` takes when none is named.
inline constexpr const char* kDefaultModel = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// Names of the .gguf files in a folder, sorted.
std::vector<std::string> models_in(const std::string& folder);

/// A path that exists, or a name of a file in `folder`: exact, without ".gguf", or its
/// only beginning in any case. Errors: CommandError model.
std::string find_model(const std::string& name, const std::string& folder);
/// The default model in `folder`. Errors: CommandError model (says how to get it).
std::string default_model(const std::string& folder);

}  // namespace nibble
