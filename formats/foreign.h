#pragma once
// Files that are no model file of ours but that people try to open: named, with what to do.
#include <cstddef>
#include <span>
#include <string>

namespace nibble {

/// Throws Error: says what the bytes look like and which formats nibble reads.
[[noreturn]] void fail_foreign(std::span<const std::byte> bytes, const std::string& name);

}  // namespace nibble
