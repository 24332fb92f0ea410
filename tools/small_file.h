#pragma once
// The small text files of /proc and /sys. What cannot be read is empty: such files are often
// missing, and their readers treat that as "unknown".
#include <string>

namespace nibble {

/// The first 64 KiB of a file.
std::string read_small(const std::string& path);
/// Its first line.
std::string read_line(const std::string& path);

}  // namespace nibble
