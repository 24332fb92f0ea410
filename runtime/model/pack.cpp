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
  return m.data != nullptr && !m.packed && role != Role::token_embd && is_packed(recipe_of(m.type));
}

// An output head in ordered planes has most of its rows read in part only, when not all logits are
// wanted; a small one gains nothing.
constexpr int64_t kFewestOrderedRows = 16384;

PackForm form_of(Role role, const Matrix& m, const KernelTable& kernels) {
  const bool ordered = role == Role::output && kernels.head_bounds != nullptr &&
                       is_packed(recipe_of(m.type, PackForm::ordered)) &&
                       m.rows >= kFewestOrderedRows && m.cols <= kMostOrderedCols;
  return ordered ? PackForm::ordered : PackForm::plain;
}

template <class Model, class F>
void for_each_packable(Model& model, F&& f) {
  const auto visit = [&f](auto& weights) {
    for (size_t r = 0; r < weights.matrix.size(); ++r) {
      const auto role = static_cast<Role>(r);
      if (is_packable(role, weights.matrix[r])) f(role, weights.matrix[r]);
    }
  };
  for (auto& layer : model.weights.layers) visit(layer);
  visit(model.weights.model);
}

void pack_matrix(const Matrix& m, const PackedLayout& layout, std::byte* out, Team& team,
                 const CancelToken* cancel) {
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
  // All forms of a type take as many bytes.
  for_each_packable(model, [&bytes](Role, const Matrix& m) {
    bytes += packed_layout(m.type, m.rows, m.cols).bytes;
  });
  return bytes;
}

void pack_weights(const TensorFile& file, Model& model, const KernelTable& kernels, Team& team,
                  const CancelToken* cancel,
                  const std::function<void(uint64_t, uint64_t)>& on_progress) {
  const auto total = static_cast<uint64_t>(packed_bytes(model));
  uint64_t done = 0;
  for_each_packable(model, [&](Role role, Matrix& m) {
    Buffer<std::byte> packed;
    const PackForm form = form_of(role, m, kernels);
    const PackedLayout layout = packed_layout(m.type, m.rows, m.cols, form);
    packed.reserve(layout.bytes);
    pack_matrix(m, layout, packed.data(), team, cancel);
    if (cancel != nullptr && cancel->requested()) fail(ErrorCode::cancelled, "cancelled");
    if (const MappedFile* map = file.map()) {
      const auto offset = static_cast<const std::byte*>(m.data) -
                          static_cast<const std::byte*>(map->bytes().data());
      map->dont_need(static_cast<uint64_t>(offset),
                     static_cast<uint64_t>(m.rows * row_bytes(m.type, m.cols)));
    }
    m.data = packed.data();
    m.packed = true;
    m.form = form;
    model.weights.packed.push_back(std::move(packed));
    done += static_cast<uint64_t>(layout.bytes);
    if (on_progress) on_progress(done, total);
  });
}

}  // namespace nibble
