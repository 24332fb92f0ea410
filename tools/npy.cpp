// \x93NUMPY, 1, 0, uint16 header length (little-endian), header padded with spaces, '\n'.
#include "tools/npy.h"

#include <fmt/format.h>

namespace nibble {

std::string npy_header(int64_t rows, int64_t cols) {
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, cols);
  constexpr size_t kBefore = 10;  // magic, version, length
  const size_t unpadded = kBefore + header.size() + 1;
  header.append((64 - unpadded % 64) % 64, ' ');
  header += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(header.size() & 0xFF);
  out += static_cast<char>(header.size() >> 8);
  return out + header;
}

}  // namespace nibble
