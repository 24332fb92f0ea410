#pragma once
// "Did you mean": the nearest of a set of words.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

/// Insertions, deletions, substitutions and swaps of neighbours that turn a into b (optimal string
/// alignment distance).
size_t edit_distance(std::string_view a, std::string_view b);

/// The word nearest to `word`, or "" if none is near: at most a third of its letters wrong, or a
/// candidate that starts with it. Ties go to the first.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace nibble
