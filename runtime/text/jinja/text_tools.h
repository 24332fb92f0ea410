#pragma once
// What filters and str methods have in common.
#include <optional>
#include <vector>

#include "runtime/text/jinja/text.h"

namespace nibble::jinja {

/// All strings are written out (see joined()).
const Str* replace_text(Heap& heap, const Str* s, const Str* old, const Str* with, int64_t count);
const Str* capitalize(Heap& heap, const Str* s);
enum class Pad { left, right, center };  // where the text goes
const Str* pad_text(Heap& heap, const Str* s, int64_t width, char32_t fill, Pad to);
/// A decimal number that is the whole text. As Python's: too large is infinite, too small is 0.
std::optional<double> read_real(std::string_view text);
/// The lines of text without their breaks. With last_empty, a break at the end starts another line,
/// as in (text + "\n").splitlines().
std::vector<Bounds> split_lines(Heap& heap, std::string_view text, bool last_empty,
                                bool keep_ends = false);

}  // namespace nibble::jinja
