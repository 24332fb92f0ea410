#pragma once
// Names of the sampler's stages, for the two files that read them: sampler.cpp holds the table,
// sampler_options.cpp checks what a user or a file asked for.
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

/// All names with commas, for messages.
std::string sampler_stage_list();

/// Row of the stage table; any spelling.
std::optional<size_t> find_sampler_stage(std::string_view name);

/// Rows in the order that names ask for, completed as SamplerOptions::stages says.
/// Errors: bad_argument (unknown: lists the names; twice; dist not last).
std::vector<size_t> sampler_stage_order(const std::vector<std::string>& names);

}  // namespace nibble
