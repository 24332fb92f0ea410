#include "runtime/model/pack.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "quant/packed.h"

namespace nibble {
namespace {

bool is_packable(Role role, const Matrix& m) {
  // Norms and biases are floats, which have no packed form.
  return m.data != nullptr && !m.packed && role != Role::token_embd &&
         pack_recipe(m.type) != nullptr;
}

template <class Model, class F>
void for_each_packable(Model& model, F&& f) {
  const auto visit = [&f](auto& weights) {
    for (size_t r = 0; r < weights.matrix.size(); ++r) {
      if (is_packable(static_cast<Role>(r), weights.matrix[r])) f(weights.matrix[r]);
    }
  };
  for (auto& layer : model.weights.layers) visit(layer);
  visit(model.weights.model);
}

void pack_matrix(const Matrix& m, std::byte* out, Team& team, const CancelToken* cancel) {
  const PackedLayout layout = packed_layout(m.type, m.rows, m.cols);
  const int64_t stride = row_bytes(m.type, m.cols);
  TileCounter groups;
  team.run([&](int, Team&) {
    for (int64_t g = groups.next(); g < layout.groups; g = groups.next()) {
      if (cancel != nullptr && cancel->requested()) return;
      const int64_t row = g * kGroupRows;
      const UnpackedRows from = {static_cast<const std::byte*>(m.data) + row * stride, stride,
                                 std::min(kGroupRows, m.rows - row), 0};
      pack_group(m.type, from, layout, g, out);
    }
  });
}

}  // namespace

int64_t packed_bytes(const Model& model) noexcept {
  int64_t bytes = 0;
  for_each_packable(
      model, [&bytes](const Matrix& m) { bytes += packed_layout(m.type, m.rows, m.cols).bytes; });
  return bytes;
}

void pack_weights(const TensorFile& file, Model& model, Team& team, const CancelToken* cancel,
                  const std::function<void(uint64_t, uint64_t)>& on_progress) {
  const auto total = static_cast<uint64_t>(packed_bytes(model));
  uint64_t done = 0;
  for_each_packable(model, [&](Matrix& m) {
    Buffer<std::byte> packed;
    const int64_t bytes = packed_layout(m.type, m.rows, m.cols).bytes;
    packed.reserve(bytes);
    pack_matrix(m, packed.data(), team, cancel);
    if (cancel != nullptr && cancel->requested()) fail(ErrorCode::cancelled, "cancelled");
    if (const MappedFile* map = file.map()) {
      const auto offset = static_cast<const std::byte*>(m.data) -
                          static_cast<const std::byte*>(map->bytes().data());
      map->dont_need(static_cast<uint64_t>(offset),
                     static_cast<uint64_t>(m.rows * row_bytes(m.type, m.cols)));
    }
    m.data = packed.data();
    m.packed = true;
    model.weights.packed.push_back(std::move(packed));
    done += static_cast<uint64_t>(bytes);
    if (on_progress) on_progress(done, total);
  });
}

}  // namespace nibble
