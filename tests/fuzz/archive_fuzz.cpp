// Any bytes as an archive: an Error, or frames that lie inside the file one behind the other, and
// of the small ones each unpacks to what it says or is refused.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "formats/archive.h"
#include "formats/io/error.h"

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
    const ArchiveIndex index = read_archive_index(bytes, "fuzz.zst");
    uint64_t at = 0, offset = 0;
    for (const ArchiveFrame& frame : index.frames) {
      promise(frame.at == at && frame.offset == offset, "frames have no gaps");
      promise(frame.packed <= size - at, "a frame lies inside the file");
      at += frame.packed;
      offset += frame.size;
      if (frame.size > (1u << 20)) continue;
      std::vector<std::byte> to(frame.size);
      (void)unpack_frame(bytes, frame, to);
    }
    promise(offset == index.size, "the frames are the whole");
  } catch (const Error& error) {
    promise(error.code() == ErrorCode::bad_file, "a broken file is bad_file");
  }
  return 0;
}
