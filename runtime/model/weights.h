#pragma once
// The tensors of a model, bound by name to what they are for, shape and type checked.
// Matrices stay in the mapped file until they are packed, or for good in a packed file; vectors
// (norms, biases) are copied to floats.
#include <array>
#include <memory>
#include <vector>

#include "formats/tensor_file.h"
#include "runtime/model/arch.h"
#include "runtime/model/buffer.h"

namespace nibble {

struct LayerWeights {
  /// By Role; data is nullptr where the model has no such tensor.
  std::array<Matrix, kRoleCount> matrix;

  const Matrix& operator[](Role r) const noexcept { return matrix[static_cast<size_t>(r)]; }
  /// A norm or bias: floats [cols], or nullptr.
  const float* vector(Role r) const noexcept {
    return static_cast<const float*>(matrix[static_cast<size_t>(r)].data);
  }
};

struct Weights {
  LayerWeights model;  // the roles that are there once
  std::vector<LayerWeights> layers;
  int64_t matrix_bytes = 0;  // read once a token: all matrices but the embedding
  int64_t n_params = 0;

  /// Where the vectors live; never reallocated after binding.
  std::vector<std::unique_ptr<float[]>> vectors;
  /// Where packed matrices live (pack.h).
  std::vector<Buffer<std::byte>> packed;
};

/// What a role's tensor must look like.
struct RoleShape {
  int64_t rows;
  int64_t cols;
  bool is_vector = false;    // norms and biases: used as floats, one dimension where rows is 1
  int64_t n_stacked = 0;     // > 0: so many matrices, one after the other
  bool stays_float = false;  // small or sensitive: no conversion rounds it
  /// Products of some rows only start at multiples of this; 0: there are none.
  int64_t part_rows = 0;

  int n_dims() const noexcept { return n_stacked > 0 ? 3 : is_vector && rows == 1 ? 1 : 2; }
};
RoleShape role_shape(Role role, const ModelConfig& c, const LayerSpec& s) noexcept;

/// config.n_vocab is set from the embedding's rows.
/// Errors: bad_file (missing tensor, wrong shape), unsupported (tensor type).
Weights bind_weights(const TensorFile& file, const Arch& arch, ModelConfig& config);

}  // namespace nibble
