#pragma once
// Rows of figures as comma-separated values, for spreadsheets and scripts.
#include <nlohmann/json.hpp>
#include <string>

namespace nibble {

/// One line a row under a line of keys, which are the first row's; arrays are left out, null is
/// empty, text is quoted where it must be.
std::string csv_table(const nlohmann::ordered_json& rows);

}  // namespace nibble
