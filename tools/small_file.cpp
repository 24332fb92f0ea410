// See small_file.h.
#include "tools/small_file.h"

#include <algorithm>
#include <fstream>

namespace nibble {

std::string read_small(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(65536, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

std::string read_line(const std::string& path) {
  std::string text = read_small(path);
  text.resize(std::min(text.find('\n'), text.size()));
  return text;
}

}  // namespace nibble
