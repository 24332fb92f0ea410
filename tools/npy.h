#pragma once
// NumPy's .npy format, version 1.0, for float32 matrices: numpy/lib/format.py of NumPy's source is
// the specification. The header's length makes the data start at a multiple of 64 bytes.
#include <cstdint>
#include <string>

namespace nibble {

/// Magic, version, header for little-endian float32 in C order: shape (rows, cols).
std::string npy_header(int64_t rows, int64_t cols);

}  // namespace nibble
