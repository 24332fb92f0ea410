#pragma once
// Results of `nibble bench --kernels` as Markdown tables, JSON or CSV.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/kernel_bench.h"

namespace nibble {

/// What does not apply to a row, or was not measured, is null.
nlohmann::ordered_json kernel_rows(const std::vector<KernelSpeed>& speeds, const std::string& cpu,
                                   const std::string& test_time);

/// Matrix products side by side by number of tokens; then the rest, one a line.
std::string kernel_markdown(const std::vector<KernelSpeed>& speeds);

}  // namespace nibble
