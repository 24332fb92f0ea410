// Any bytes as a saved session: an Error, or pages for as many positions as there are tokens. The
// last 8 bytes of an input are replaced by the hash of the rest, which no mutation would find.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "formats/io/error.h"
#include "formats/io/stream_hash.h"
#include "quant/kv_slab.h"
#include "runtime/engine/session_file.h"

using namespace nibble;

namespace {

void promise(bool kept, const char* what) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < sizeof(uint64_t)) return 0;
  std::vector<std::byte> bytes(size);
  std::memcpy(bytes.data(), data, size);
  const size_t n = size - sizeof(uint64_t);
  StreamHash hash;
  hash.add(std::span(bytes).first(n));
  const uint64_t value = hash.value();
  std::memcpy(bytes.data() + n, &value, sizeof(value));
  try {
    const SessionFile file = read_session_file(bytes, "session");
    const auto pages = (file.tokens.size() + kKvPageLen - 1) / kKvPageLen;
    promise(file.pages.size() == pages * file.page_bytes, "pages are those of the tokens");
    promise(file.tokens.size() * sizeof(int32_t) <= size, "tokens are in the file");
    for (const SessionAnswer& a : file.answers) promise(a.text.size() <= size, "texts are");
  } catch (const Error&) {
  }
  return 0;
}
