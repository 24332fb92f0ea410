// Any bytes as a safetensors file: an Error, or a file whose tensors lie inside it, in order,
// without gap or overlap, each found by its name.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "formats/io/error.h"
#include "formats/safetensors.h"

using namespace nibble;

namespace {

void promise(bool kept, const char* what) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(data),
                                     reinterpret_cast<const std::byte*>(data) + size);
  try {
    const SafetensorsFile file = open_safetensors_memory(bytes, "fuzz.safetensors");
    uint64_t end = file.tensors().empty() ? size : file.tensors()[0].offset;
    unsigned sum = 0;
    for (const SafeTensor& t : file.tensors()) {
      promise(t.offset == end, "tensors follow each other");
      for (const std::byte b : file.data(t)) sum += std::to_integer<unsigned>(b);
      end += t.bytes;
      promise(file.find(t.name) == &t, "a tensor is found by its name");
    }
    promise(end == size, "tensors reach the end");
    promise(sum <= 255 * size, "bytes are bytes");
  } catch (const Error& error) {
    promise(error.code() == ErrorCode::bad_file, "a broken file is bad_file");
    for (const char c : error.message()) promise(c >= 0x20 && c < 0x7F, "a message is printable");
  }
  return 0;
}
