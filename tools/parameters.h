#pragma once
// The parameters of `/set parameter`: one table of names, ranges and fields.
#include <string>

#include "tools/options.h"

namespace nibble {

/// Errors: CommandError usage (unknown name, value out of range).
void set_parameter(const std::string& name, const std::string& value, SamplerOptions* sampling,
                   GenerationOptions* generation);
/// All of them with their values, one a line.
std::string describe_parameters(const SamplerOptions& sampling,
                                const GenerationOptions& generation);

}  // namespace nibble
