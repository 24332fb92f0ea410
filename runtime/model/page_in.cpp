// Pieces of the file are dealt out to the threads. On a warm cache this maps 20 to 40 GB/s.
#include "runtime/model/page_in.h"

#include <algorithm>
#include <vector>

#include "formats/io/error.h"
#include "formats/io/mapped_file.h"

namespace nibble {
namespace {

struct Piece {
  uint64_t offset = 0, bytes = 0;  // in the file
};

// Small enough for a look at the cancel token in between when the disk is slow.
constexpr uint64_t kPieceBytes = uint64_t{4} << 20;

std::vector<const void*> matrices_in_use(const Model& model) {
  std::vector<const void*> out;
  const auto visit = [&out](const LayerWeights& weights) {
    for (size_t r = 0; r < weights.matrix.size(); ++r) {
      if (static_cast<Role>(r) != Role::token_embd) out.push_back(weights.matrix[r].data);
    }
  };
  for (const LayerWeights& layer : model.weights.layers) visit(layer);
  visit(model.weights.model);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

void page_in(const TensorFile& file, const Model& model, Team& team, int64_t most,
             const CancelToken* cancel) {
  const MappedFile* map = file.map();
  if (map == nullptr) return;
  const std::vector<const void*> used = matrices_in_use(model);
  std::vector<Piece> pieces;
  uint64_t total = 0;
  for (const TensorInfo& tensor : file.tensors()) {
    const void* data = file.data(tensor).data();
    if (data == nullptr || !std::binary_search(used.begin(), used.end(), data)) continue;
    total += tensor.bytes;
    for (uint64_t at = 0; at < tensor.bytes; at += kPieceBytes) {
      pieces.push_back({tensor.offset + at, std::min(kPieceBytes, tensor.bytes - at)});
    }
  }
  if (total > static_cast<uint64_t>(std::max<int64_t>(most, 0))) return;
  TileCounter counter;
  team.run([&](int, Team&) {
    for (;;) {
      const auto i = static_cast<size_t>(counter.next());
      if (i >= pieces.size() || (cancel != nullptr && cancel->requested())) return;
      map->bring_in(pieces[i].offset, pieces[i].bytes);
    }
  });
  if (cancel != nullptr && cancel->requested()) fail(ErrorCode::cancelled, "cancelled");
}

}  // namespace nibble
