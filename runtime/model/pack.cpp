#include "runtime/model/pack.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "quant/packed.h"

namespace nibble {
namespace {

bool is_packable(Role role, const Matrix& m, int64_t part_rows) {
  // Norms and biases are floats, which have no packed form; nor do parts that start inside a group.
  return m.data != nullptr && !m.packed && role != Role::token_embd &&
         is_packed(recipe_of(m.type)) && part_rows % kGroupRows == 0;
}

// An output head in ordered planes has most of its rows read in part only, when not all logits are
// wanted; a small one gains nothing.
constexpr int64_t kFewestOrderedRows = 16384;

PackForm form_of(Role role, const Matrix& m) {
  const bool ordered = role == Role::output && is_packed(recipe_of(m.type, PackForm::ordered)) &&
                       m.rows >= kFewestOrderedRows && m.cols <= kMostOrderedCols;
  return ordered ? PackForm::ordered : PackForm::plain;
}

template <class Model, class F>
void for_each_packable(Model& model, F&& f) {
  const auto visit = [&](auto& weights, const LayerSpec& spec) {
    for (size_t r = 0; r < weights.matrix.size(); ++r) {
      const auto role = static_cast<Role>(r);
      const int64_t part_rows = role_shape(role, model.config, spec).part_rows;
      if (is_packable(role, weights.matrix[r], part_rows)) f(role, weights.matrix[r]);
    }
  };
  for (size_t i = 0; i < model.weights.layers.size(); ++i) {
    visit(model.weights.layers[i], model.config.layers[i]);
  }
  visit(model.weights.model, LayerSpec());
}

int64_t groups_of(const Matrix& m) {
  return (m.rows + kGroupRows - 1) / kGroupRows;
}

// Calls f(group, first row, rows) for groups [begin, end) of 16 rows, from all threads.
template <class F>
void for_each_group(const Matrix& m, int64_t begin, int64_t end, Team& team,
                    const CancelToken* cancel, F&& f) {
  TileCounter groups;
  team.run([&](int, Team&) {
    for (int64_t g = begin + groups.next(); g < end; g = begin + groups.next()) {
      if (cancel != nullptr && cancel->requested()) return;
      const int64_t row = g * kGroupRows;
      f(g, row, std::min(kGroupRows, m.rows - row));
    }
  });
}

void pack_groups(const Matrix& m, int64_t begin, int64_t end, const PackedLayout& layout,
                 std::byte* out, Team& team, const CancelToken* cancel) {
  const int64_t stride = row_bytes(m.type, m.cols);
  for_each_group(m, begin, end, team, cancel, [&](int64_t group, int64_t row, int64_t rows) {
    const UnpackedRows from = {static_cast<const std::byte*>(m.data) + row * stride, stride, rows,
                               0};
    pack_group(m.type, from, layout, group, out);
  });
}

// The pages that hold only these bytes of the file.
void give_back(const TensorFile& file, const void* data, int64_t bytes) {
  const MappedFile* map = file.map();
  if (map == nullptr) return;
  const auto offset =
      static_cast<const std::byte*>(data) - static_cast<const std::byte*>(map->bytes().data());
  map->dont_need(static_cast<uint64_t>(offset), static_cast<uint64_t>(bytes));
}

// So much of a matrix is in memory twice: an output head can be most of a model.
constexpr int64_t kSliceBytes = int64_t{16} << 20;

}  // namespace

void pack_matrix(const Matrix& m, const PackedLayout& layout, std::byte* out, Team& team,
                 const CancelToken* cancel) noexcept {
  pack_groups(m, 0, groups_of(m), layout, out, team, cancel);
}

void unpack_matrix(const Matrix& m, std::byte* out, Team& team,
                   const CancelToken* cancel) noexcept {
  const int64_t stride = row_bytes(m.type, m.cols);
  const PackedLayout layout = packed_layout(m.type, m.rows, m.cols, m.form);
  for_each_group(m, 0, groups_of(m), team, cancel, [&](int64_t group, int64_t row, int64_t rows) {
    unpack_group(m.type, layout, group, m.data, rows, stride, out + row * stride);
  });
}

std::vector<Packable> packable_matrices(const Model& model) {
  std::vector<Packable> out;
  for_each_packable(model, [&out](Role role, const Matrix& m) {
    out.push_back({m, form_of(role, m)});
  });
  return out;
}

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
  const Matrix& output = model.weights.model[Role::output];
  Matrix& embedding = model.weights.model.matrix[static_cast<size_t>(Role::token_embd)];
  const bool tied = output.data == embedding.data;
  uint64_t done = 0;
  for_each_packable(model, [&](Role role, Matrix& m) {
    Buffer<std::byte> packed;
    const PackForm form = kernels.head_bounds != nullptr ? form_of(role, m) : PackForm::plain;
    const PackedLayout layout = packed_layout(m.type, m.rows, m.cols, form);
    packed.reserve(layout.bytes);
    const int64_t stride = row_bytes(m.type, m.cols);
    const int64_t slice = std::max<int64_t>(kSliceBytes / (stride * kGroupRows), 1);
    for (int64_t begin = 0; begin < layout.groups; begin += slice) {
      const int64_t end = std::min(begin + slice, layout.groups);
      pack_groups(m, begin, end, layout, packed.data(), team, cancel);
      if (cancel != nullptr && cancel->requested()) fail(ErrorCode::cancelled, "cancelled");
      // From the first row on: pages that two slices share go with the second.
      give_back(file, m.data, std::min(end * kGroupRows, m.rows) * stride);
    }
    m.data = packed.data();
    m.packed = true;
    m.form = form;
    model.weights.packed.push_back(std::move(packed));
    done += static_cast<uint64_t>(layout.bytes);
    if (on_progress) on_progress(done, total);
  });
  // Of a row in the file, the pages around it would come back too.
  if (tied) embedding = output;
}

}  // namespace nibble
