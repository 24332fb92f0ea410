// C door to the safetensors reader, for safetensors_differential.py.
#include <algorithm>
#include <cstring>
#include <string>

#include "formats/io/error.h"
#include "formats/safetensors.h"

using namespace nibble;

/// A line a tensor, sorted by name: name in hexadecimal, type, shape, sum of the data's bytes; or
/// "refused: why". Returns its length; writes at most room bytes of it.
extern "C" long shim_safetensors(const uint8_t* data, long size, char* out, long room) {
  std::string text;
  try {
    const std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(data),
                                       reinterpret_cast<const std::byte*>(data) + size);
    const SafetensorsFile file = open_safetensors_memory(bytes, "m");
    std::vector<const SafeTensor*> tensors;
    for (const SafeTensor& t : file.tensors()) tensors.push_back(&t);
    std::sort(tensors.begin(), tensors.end(),
              [](const SafeTensor* a, const SafeTensor* b) { return a->name < b->name; });
    for (const SafeTensor* t : tensors) {
      for (const char c : t->name) text += fmt::format("{:02x}", static_cast<uint8_t>(c));
      unsigned sum = 0;
      for (const std::byte b : file.data(*t)) sum += std::to_integer<unsigned>(b);
      text += fmt::format(" {} [{}] {}\n", safe_type_info(t->type).name, fmt::join(t->shape, ", "),
                          sum);
    }
  } catch (const Error& error) {
    text = "refused: " + error.message();
  }
  std::memcpy(out, text.data(), static_cast<size_t>(std::min<long>(room, text.size())));
  return static_cast<long>(text.size());
}
