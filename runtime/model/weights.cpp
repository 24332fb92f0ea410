#include "runtime/model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <optional>
#include <string>

#include "formats/io/error.h"
#include "quant/codec.h"
#include "quant/stored_type.h"

namespace nibble {

RoleShape role_shape(Role role, const ModelConfig& c, const LayerSpec& s) noexcept {
  switch (role) {
    case Role::token_embd:
      return {c.n_vocab, c.n_embd};
    case Role::output:
      return {c.n_vocab, c.n_embd};
    case Role::output_norm:
      return {1, c.n_embd};
    case Role::rope_freqs:
      return {1, c.ropes.empty() ? 0 : c.ropes[0].dim / 2};
    case Role::attn_norm:
    case Role::attn_post_norm:
    case Role::attn_output_bias:
    case Role::ffn_norm:
    case Role::ffn_post_norm:
      return {1, c.n_embd};
    case Role::attn_q:
      return {s.n_head * s.head_dim_k, c.n_embd};
    case Role::attn_k:
      return {s.n_head_kv * s.head_dim_k, c.n_embd};
    case Role::attn_v:
      return {s.n_head_kv * s.head_dim_v, c.n_embd};
    case Role::attn_q_bias:
      return {1, s.n_head * s.head_dim_k};
    case Role::attn_k_bias:
      return {1, s.n_head_kv * s.head_dim_k};
    case Role::attn_v_bias:
      return {1, s.n_head_kv * s.head_dim_v};
    case Role::attn_q_norm:
    case Role::attn_k_norm:
      return {1, s.head_dim_k};
    case Role::attn_output:
      return {c.n_embd, s.n_head * s.head_dim_v};
    case Role::ffn_gate:
    case Role::ffn_up:
      return {s.n_ff, c.n_embd};
    case Role::ffn_down:
      return {c.n_embd, s.n_ff};
    case Role::count:
      break;
  }
  return {0, 0};
}

bool is_vector_role(Role role) noexcept {
  switch (role) {
    case Role::output_norm:
    case Role::rope_freqs:
    case Role::attn_norm:
    case Role::attn_post_norm:
    case Role::attn_output_bias:
    case Role::ffn_norm:
    case Role::ffn_post_norm:
    case Role::attn_q_bias:
    case Role::attn_k_bias:
    case Role::attn_v_bias:
    case Role::attn_q_norm:
    case Role::attn_k_norm:
      return true;
    default:
      return false;
  }
}

namespace {

std::string shape_text(const TensorInfo& info) {
  std::string text = "[";
  for (int i = 0; i < info.n_dims; ++i) {
    text += fmt::format("{}{}", i > 0 ? ", " : "", info.shape[i]);
  }
  return text + "]";
}

Matrix checked_matrix(const TensorFile& file, const TensorInfo& info, RoleShape want) {
  const std::optional<StoredType> type = find_stored_type(info.type_id);
  if (!type) {
    const char* name = dtype_ecosystem_name(info.type_id);
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: tensor {}: expected a type that nibble decodes, got {}", file.path(),
                    info.name, name != nullptr ? name : fmt::format("type id {}", info.type_id)),
        dtype_advice(info.type_id));
  }
  if (info.n_dims > 2 || want.rows == 0 || want.cols == 0 || info.rows() != want.rows ||
      info.cols() != want.cols) {
    const std::string wanted = want.rows == 1 ? fmt::format("[{}]", want.cols)
                                              : fmt::format("[{}, {}]", want.rows, want.cols);
    fail(ErrorCode::bad_file, "{}: tensor {}: expected {}, got {} {}", file.path(), info.name,
         wanted, dtype_ecosystem_name(info.type_id), shape_text(info));
  }
  const std::byte* data = file.data(info).data();
  // In a map every file that was read is aligned; a caller's memory need not be.
  if (type->packed && reinterpret_cast<uintptr_t>(data) % kPackedAlignment != 0) {
    fail(ErrorCode::bad_argument, "{}: tensor {}: expected memory aligned to {} bytes (type {})",
         file.path(), info.name, kPackedAlignment, dtype_ecosystem_name(info.type_id));
  }
  return Matrix{data, type->type, info.rows(), info.cols(), type->packed, type->form};
}

class Binder {
 public:
  Binder(const TensorFile& file, const ModelConfig& config, Weights& out)
      : file_(file), config_(config), out_(out) {}

  void bind(const TensorName& row, const std::string& name, const LayerSpec& spec,
            LayerWeights& into) {
    const TensorInfo* info = file_.find(name);
    if (info == nullptr) {
      if (row.required) {
        fail(ErrorCode::bad_file, "{}: tensor {}: expected one, got none", file_.path(), name);
      }
      return;
    }
    Matrix matrix = checked_matrix(file_, *info, role_shape(row.role, config_, spec));
    out_.n_params += matrix.rows * matrix.cols;
    if (is_vector_role(row.role)) {
      matrix = {copy_vector(matrix), DType::F32, matrix.rows, matrix.cols};
    } else if (row.role != Role::token_embd) {
      out_.matrix_bytes += matrix.rows * row_bytes(matrix.type, matrix.cols);
    }
    into.matrix[static_cast<size_t>(row.role)] = matrix;
    bound_.push_back(info);
  }

  /// A tensor that nothing uses would change what the model computes, if nibble knew it.
  void refuse_unused(const Arch& arch) const {
    if (bound_.size() == file_.tensors().size()) return;
    for (const TensorInfo& info : file_.tensors()) {
      if (std::find(bound_.begin(), bound_.end(), &info) != bound_.end()) continue;
      fail(ErrorCode::unsupported, "{}: tensor {}: expected one that {} models have, got another",
           file_.path(), info.name, arch.name);
    }
  }

 private:
  const float* copy_vector(const Matrix& m) {
    std::unique_ptr<float[]> floats(new (std::nothrow) float[static_cast<size_t>(m.cols)]);
    if (!floats)
      fail(ErrorCode::out_of_memory, "{}: no memory for {} floats", file_.path(), m.cols);
    if (m.packed) {
      const PackedLayout layout = packed_layout(m.type, m.rows, m.cols, m.form);
      dequantize_packed(m.type, layout, m.data, 0, 0, m.cols, floats.get());
    } else {
      dequantize_row(m.type, m.data, m.cols, floats.get());
    }
    out_.vectors.push_back(std::move(floats));
    return out_.vectors.back().get();
  }

  const TensorFile& file_;
  const ModelConfig& config_;
  Weights& out_;
  std::vector<const TensorInfo*> bound_;
};

void check_layer(const TensorFile& file, const ModelConfig& config, size_t i) {
  const LayerSpec& s = config.layers[i];
  if (s.n_head % s.n_head_kv != 0) {
    fail(ErrorCode::bad_file,
         "{}: layer {}: expected heads in groups of {} key/value heads, got {}", file.path(), i,
         s.n_head_kv, s.n_head);
  }
  if (s.rope >= 0) {
    const RopeSpec& rope = config.ropes[static_cast<size_t>(s.rope)];
    if (rope.dim % 2 != 0 || rope.dim > s.head_dim_k) {
      fail(ErrorCode::bad_file,
           "{}: layer {}: expected an even rope dimension of at most {}, got {}", file.path(), i,
           s.head_dim_k, rope.dim);
    }
  }
}

}  // namespace

Weights bind_weights(const TensorFile& file, const Arch& arch, ModelConfig& config) {
  for (size_t i = 0; i < config.layers.size(); ++i) check_layer(file, config, i);
  Weights weights;
  weights.layers.resize(config.layers.size());
  const TensorInfo* embedding = nullptr;
  for (const TensorName& row : arch.tensors) {
    if (row.role == Role::token_embd) embedding = file.find(row.name);
  }
  if (embedding != nullptr) config.n_vocab = embedding->rows();

  Binder binder(file, config, weights);
  const LayerSpec none;
  for (const TensorName& row : arch.tensors) {
    if (!is_layer_role(row.role)) {
      binder.bind(row, std::string(row.name), none, weights.model);
      continue;
    }
    for (size_t i = 0; i < config.layers.size(); ++i) {
      binder.bind(row, layer_name(row.name, static_cast<int64_t>(i)), config.layers[i],
                  weights.layers[i]);
    }
  }
  binder.refuse_unused(arch);
  Matrix& output = weights.model.matrix[static_cast<size_t>(Role::output)];
  if (output.data == nullptr) {
    output = weights.model[Role::token_embd];
    weights.matrix_bytes += output.rows * row_bytes(output.type, output.cols);
  }
  return weights;
}

}  // namespace nibble
