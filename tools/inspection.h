#pragma once
// What `inspect` knows about a model file, as JSON; the text form is printed from the same object,
// so the two cannot say different things.
#include <nlohmann/json.hpp>
#include <string>

#include "formats/tensor_file.h"
#include "tools/options.h"

namespace nibble {

/// Keys: file, format, version, bytes, name, architecture, parameters, runs, problem, types,
/// memory_plan, tokenizer, chat_template, warnings, quality, metadata, tensors. Keys that do not
/// apply are null. Long arrays of metadata are cut to `most_items` (their length is always there).
nlohmann::ordered_json inspect_file(const TensorFile& file, const ModelOptions& model,
                                    const ContextOptions& context, size_t most_items);

/// The same for people.
std::string inspection_text(const nlohmann::ordered_json& inspection);

}  // namespace nibble
