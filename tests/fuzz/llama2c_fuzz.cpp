// Any bytes as a llama2.c checkpoint, and as a tokenizer.bin of as many tokens as the first byte
// says: an Error, or tensors that lie inside the file and texts of its bytes.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "formats/io/error.h"
#include "formats/llama2c.h"

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
    const Llama2cModel model = read_llama2c(bytes, "fuzz.bin");
    for (const Llama2cTensor& t : model.tensors) {
      const uint64_t want = static_cast<uint64_t>(t.rows) * static_cast<uint64_t>(t.cols) * 4;
      promise(t.offset <= size && want <= size - t.offset, "a tensor lies inside the file");
    }
  } catch (const Error& error) {
    promise(error.code() != ErrorCode::internal, "no input is a bug of ours");
  }
  if (size == 0) return 0;
  try {
    size_t sum = 0;
    for (const Llama2cToken& token : read_llama2c_tokenizer(bytes, data[0], "fuzz.bin")) {
      for (const char c : token.text) sum += static_cast<uint8_t>(c);
    }
    promise(sum <= 255 * size, "texts are bytes of the file");
  } catch (const Error& error) {
    promise(error.code() == ErrorCode::bad_file, "a broken file is bad_file");
  }
  return 0;
}
