#pragma once
// What `inspect` prints for people, from the same object as its JSON, so the two cannot say
// different things.
#include <nlohmann/json.hpp>
#include <string>

namespace nibble {

/// Of runtime/engine/inspection.h.
std::string inspection_text(const nlohmann::ordered_json& inspection);

}  // namespace nibble
