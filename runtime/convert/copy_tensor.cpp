#include "runtime/convert/copy_tensor.h"

#include <algorithm>

#include "formats/io/error.h"
#include "formats/io/mapped_file.h"

namespace nibble {

void copy_tensor(const TensorFile& in, const TensorInfo& info, GgufWriter& writer,
                 const CancelToken* cancel) {
  constexpr uint64_t kPiece = 4 << 20;  // written between two looks at the cancel token
  const std::span<const std::byte> data = in.data(info);
  for (uint64_t at = 0; at < data.size(); at += kPiece) {
    if (cancel != nullptr && cancel->requested()) fail(ErrorCode::cancelled, "cancelled");
    const uint64_t n = std::min<uint64_t>(kPiece, data.size() - at);
    writer.write(data.subspan(at, n));
    if (in.map() != nullptr) in.map()->dont_need(info.offset + at, n);
  }
}

}  // namespace nibble
