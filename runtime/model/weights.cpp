#include "runtime/model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <numeric>
#include <optional>
#include <string>

#include "formats/io/error.h"
#include "quant/codec.h"
#include "quant/stored_type.h"

namespace nibble {

namespace {

RoleShape vector_of(int64_t n) {
  return {1, n, true};
}

RoleShape qk_norm_shape(const LayerSpec& s, int64_t heads) {
  switch (s.qk_norm) {
    case QkNorm::each_head:
      return {heads, s.head_dim_k, true};
    case QkNorm::row:
      return vector_of(heads * s.head_dim_k);
    case QkNorm::head:
      break;
  }
  return vector_of(s.head_dim_k);
}

RoleShape model_shape(Role role, const ModelConfig& c) {
  switch (role) {
    case Role::token_embd:
    case Role::output:
      return {c.n_vocab, c.n_embd};
    case Role::token_types:
      return {c.n_token_types, c.n_embd, false, 0, true};
    case Role::position_embd:
      return {c.n_ctx_train, c.n_embd, false, 0, true};
    case Role::output_bias:
      return vector_of(c.n_vocab);
    case Role::rope_freqs:
    case Role::rope_short:
    case Role::rope_long:
      return vector_of(c.ropes.empty() ? 0 : c.ropes[0].dim / 2);
    default:
      return vector_of(c.n_embd);
  }
}

RoleShape attention_shape(Role role, const ModelConfig& c, const LayerSpec& s) {
  const int64_t q = s.n_head * s.head_dim_k;
  const int64_t k = s.n_head_kv * s.head_dim_k;
  const int64_t v = s.n_head_kv * s.head_dim_v;
  switch (role) {
    case Role::attn_qkv:
      return {q + k + v, c.n_embd, false, 0, false, std::gcd(q, k)};
    case Role::attn_q:
      return {q, c.n_embd};
    case Role::attn_k:
      return {k, c.n_embd};
    case Role::attn_v:
      return {v, c.n_embd};
    case Role::attn_qkv_bias:
      return vector_of(q + k + v);
    case Role::attn_q_bias:
      return vector_of(q);
    case Role::attn_k_bias:
      return vector_of(k);
    case Role::attn_v_bias:
      return vector_of(v);
    case Role::attn_sinks:
      return vector_of(s.n_head);
    case Role::attn_q_norm:
      return qk_norm_shape(s, s.n_head);
    case Role::attn_k_norm:
      return qk_norm_shape(s, s.n_head_kv);
    case Role::attn_output:
      return {c.n_embd, s.n_head * s.head_dim_v};
    default:
      return vector_of(c.n_embd);
  }
}

RoleShape latent_shape(Role role, const ModelConfig& c, const LayerSpec& s) {
  const LatentSpec& l = s.latent;
  const int64_t q = s.n_head * (l.n_plain + l.n_rotated);
  switch (role) {
    case Role::attn_q:
      return {q, c.n_embd};
    case Role::attn_q_a:
      return {l.rank_q, c.n_embd};
    case Role::attn_q_a_norm:
      return vector_of(l.rank_q);
    case Role::attn_q_b:
      return {q, l.rank_q};
    case Role::attn_kv_a:
      return {l.rank + l.n_rotated, c.n_embd};
    case Role::attn_kv_a_norm:
      return vector_of(l.rank);
    case Role::attn_k_b:
      return {s.n_head * l.rank, l.n_plain, false, s.n_head, false, l.rank};
    case Role::attn_v_b:
      return {s.n_head * l.dim_v, l.rank, false, s.n_head, false, l.dim_v};
    case Role::attn_output:
      return {c.n_embd, s.n_head * l.dim_v};
    default:
      return vector_of(c.n_embd);
  }
}

RoleShape feed_forward_shape(Role role, const ModelConfig& c, const LayerSpec& s) {
  const bool fused = s.feed_forward == FeedForward::gated_fused;
  const ExpertSpec& e = s.experts;
  switch (role) {
    case Role::ffn_gate:
      return {s.n_ff, c.n_embd};
    case Role::ffn_up:
      return {fused ? 2 * s.n_ff : s.n_ff, c.n_embd, false, 0, false, fused ? s.n_ff : 0};
    case Role::ffn_down:
      return {c.n_embd, s.n_ff};
    case Role::ffn_gate_bias:
    case Role::ffn_up_bias:
      return vector_of(s.n_ff);
    case Role::router:
      return {e.n, c.n_embd, false, 0, true};
    case Role::router_score_bias:
    case Role::router_bias:
      return vector_of(e.n);
    case Role::experts_gate_bias:
    case Role::experts_up_bias:
      return {e.n, e.n_ff, true};
    case Role::experts_down_bias:
      return {e.n, c.n_embd, true};
    case Role::experts_gate:
    case Role::experts_up:
      return {e.n * e.n_ff, c.n_embd, false, e.n, false, e.n_ff};
    case Role::experts_down:
      return {e.n * c.n_embd, e.n_ff, false, e.n, false, c.n_embd};
    case Role::shared_gate:
    case Role::shared_up:
      return {e.n_ff_shared, c.n_embd};
    case Role::shared_down:
      return {c.n_embd, e.n_ff_shared};
    default:
      return vector_of(c.n_embd);
  }
}

}  // namespace

RoleShape role_shape(Role role, const ModelConfig& c, const LayerSpec& s) noexcept {
  if (!is_layer_role(role)) return model_shape(role, c);
  if (role >= Role::attn_post_norm) return feed_forward_shape(role, c, s);
  return s.latent.rank > 0 ? latent_shape(role, c, s) : attention_shape(role, c, s);
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
  if (info.n_dims > std::max(want.n_dims(), 2) ||
      (want.n_stacked > 0 && info.shape[0] != want.n_stacked) || want.rows == 0 || want.cols == 0 ||
      info.rows() != want.rows || info.cols() != want.cols) {
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
    if (into[row.role].data != nullptr) return;  // a second row for another name at Hugging Face
    const TensorInfo* info = file_.find(name);
    if (info == nullptr) {
      if (row.required) {
        fail(ErrorCode::bad_file, "{}: tensor {}: expected one, got none", file_.path(), name);
      }
      return;
    }
    const RoleShape shape = role_shape(row.role, config_, spec);
    Matrix matrix = checked_matrix(file_, *info, shape);
    out_.n_params += matrix.rows * matrix.cols;
    if (matrix.packed && shape.part_rows % kGroupRows != 0) {
      fail(ErrorCode::bad_file, "{}: tensor {}: expected no packed type, its parts have {} rows",
           file_.path(), name, shape.part_rows);
    }
    if (shape.is_vector) {
      matrix = {copy_vector(matrix), DType::F32, matrix.rows, matrix.cols};
    } else if (row.role > Role::position_embd) {  // of tables a token reads one row
      const int64_t bytes = matrix.rows * row_bytes(matrix.type, matrix.cols);
      const bool chosen = row.role >= Role::experts_gate && row.role <= Role::experts_down;
      out_.matrix_bytes += chosen ? bytes / shape.n_stacked * spec.experts.n_used : bytes;
    }
    into.matrix[static_cast<size_t>(row.role)] = matrix;
    bound_.push_back(info);
  }

  /// One of the two: what is fused, or its parts.
  void check_complete(const Arch& arch, size_t layer) const {
    const LayerWeights& w = out_.layers[layer];
    const auto require = [&](Role role) {
      if (w[role].data != nullptr) return;
      for (const TensorName& row : arch.tensors) {
        if (row.role != role) continue;
        fail(ErrorCode::bad_file, "{}: tensor {}: expected one, got none", file_.path(),
             layer_name(row.name, static_cast<int64_t>(layer)));
      }
    };
    const NormPlacement norms = config_.layers[layer].norms;
    const bool enters = norms == NormPlacement::before || norms == NormPlacement::both;
    if (enters && w[Role::attn_norm].data == nullptr) require(Role::ffn_norm);
    if (norms != NormPlacement::before) {
      for (const Role role : {Role::attn_post_norm, Role::ffn_post_norm}) require(role);
    }
    require(Role::attn_output);
    const LatentSpec& latent = config_.layers[layer].latent;
    if (latent.rank_q > 0) {
      for (const Role role : {Role::attn_q_a, Role::attn_q_a_norm, Role::attn_q_b}) require(role);
    } else if (latent.rank > 0) {
      require(Role::attn_q);
    } else if (w[Role::attn_qkv].data == nullptr) {
      for (const Role role : {Role::attn_q, Role::attn_k, Role::attn_v}) require(role);
    }
    const ExpertSpec& e = config_.layers[layer].experts;
    if (e.n == 0) {
      for (const Role role : {Role::ffn_gate, Role::ffn_up, Role::ffn_down}) {
        const bool gate = config_.layers[layer].feed_forward == FeedForward::gated;
        if (gate || role != Role::ffn_gate) require(role);
      }
      return;
    }
    for (const Role role :
         {Role::router, Role::experts_gate, Role::experts_up, Role::experts_down}) {
      require(role);
    }
    if (e.n_ff_shared == 0) return;
    for (const Role role : {Role::shared_gate, Role::shared_up, Role::shared_down}) require(role);
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
    const int64_t n = m.rows * m.cols;
    std::unique_ptr<float[]> floats(new (std::nothrow) float[static_cast<size_t>(n)]);
    if (!floats) fail(ErrorCode::out_of_memory, "{}: no memory for {} floats", file_.path(), n);
    for (int64_t r = 0; r < m.rows; ++r) {
      if (m.packed) {
        const PackedLayout layout = packed_layout(m.type, m.rows, m.cols, m.form);
        dequantize_packed(m.type, layout, m.data, r, 0, m.cols, floats.get() + r * m.cols);
      } else {
        const int64_t stride = row_bytes(m.type, m.cols);
        dequantize_row(m.type, static_cast<const std::byte*>(m.data) + r * stride, m.cols,
                       floats.get() + r * m.cols);
      }
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
  if (s.experts.n_used > s.experts.n) {
    fail(ErrorCode::bad_file, "{}: layer {}: expected at most {} experts used, got {}", file.path(),
         i, s.experts.n, s.experts.n_used);
  }
  if (s.experts.n % s.experts.n_groups != 0 ||
      s.experts.n / s.experts.n_groups * s.experts.n_groups_used < s.experts.n_used) {
    fail(ErrorCode::bad_file,
         "{}: layer {}: expected at least {} experts in {} of {} equal groups, got {} in all",
         file.path(), i, s.experts.n_used, s.experts.n_groups_used, s.experts.n_groups,
         s.experts.n);
  }
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
  for (size_t i = 0; i < config.layers.size(); ++i) binder.check_complete(arch, i);
  binder.refuse_unused(arch);
  Matrix& output = weights.model.matrix[static_cast<size_t>(Role::output)];
  if (output.data == nullptr) {
    output = weights.model[Role::token_embd];
    weights.matrix_bytes += output.rows * row_bytes(output.type, output.cols);
  }
  return weights;
}

}  // namespace nibble
