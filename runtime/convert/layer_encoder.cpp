#include "runtime/convert/layer_encoder.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <optional>

#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "quant/block_codes.h"
#include "quant/codec.h"
#include "quant/search.h"
#include "runtime/convert/activation_scales.h"
#include "runtime/convert/calibratable.h"
#include "runtime/convert/gptq.h"
#include "runtime/convert/input_taker.h"
#include "runtime/model/arch.h"
#include "runtime/model/forward.h"
#include "runtime/text/tokenizer.h"
#include "runtime/threads/float_environment.h"

namespace nibble {
namespace {

constexpr int64_t kSampleRows = 96;  // of a matrix, for the search of column scales

bool is_float(DType type) {
  return type == DType::F32 || type == DType::F16 || type == DType::BF16;
}

}  // namespace

struct LayerEncoder::Impl {
  /// One of Arch::shared_inputs in the layer at hand.
  struct Group {
    const SharedInput* shared = nullptr;
    std::vector<Role> users;  // those that the layer has
    int64_t n = 0;            // their columns
    Hessian hessian;
    Buffer<float> inputs;       // [n, chunk]
    std::vector<float> scales;  // [n] or empty
  };

  Impl(const TensorFile& file, const QuantizePlan& quantize_plan, LayerEncoderOptions o)
      : in(file),
        plan(quantize_plan),
        options(std::move(o)),
        model(load_model(file)),
        arch(*find_arch(model.config.arch)),
        team(options.n_threads > 0 ? options.n_threads : default_threads(), options.thread_source),
        gptq(kernels, team, options.cancel),
        awq(kernels, team, options.cancel),
        taker(options.chunk_size) {
    check_calibratable(in.path(), arch, model.config, options.method, options.chunk_size);
    for (size_t i = 0; i < plan.tensors.size(); ++i) {
      index_of[plan.tensors[i].source.name] = static_cast<int64_t>(i);
    }
    find_layers();
    tokenize();
    options.text = {};
  }

  // ---- what is where ----

  bool has_gptq() const {
    return options.method == QuantizeMethod::gptq || options.method == QuantizeMethod::gptq_awq;
  }
  bool has_awq() const {
    return options.method == QuantizeMethod::awq || options.method == QuantizeMethod::gptq_awq;
  }
  int64_t n_layers() const { return static_cast<int64_t>(model.config.layers.size()); }

  /// In the plan; -1: the file has none.
  int64_t tensor_of(int64_t layer, Role role) const {
    for (const TensorName& row : arch.tensors) {
      if (row.role != role) continue;
      const auto at =
          index_of.find(is_layer_role(role) ? layer_name(row.name, layer) : std::string(row.name));
      if (at != index_of.end()) return at->second;
    }
    return -1;
  }
  const PlannedTensor& planned(int64_t tensor) const {
    return plan.tensors[static_cast<size_t>(tensor)];
  }
  DType type_of(int64_t tensor) const { return static_cast<DType>(planned(tensor).type_id); }

  /// layer_of: the tensors that take() gives, and their layers.
  void find_layers() {
    for (int64_t layer = 0; layer < n_layers(); ++layer) {
      for (const SharedInput& shared : arch.shared_inputs) {
        for (const Role role : shared.users) note(layer, role);
        if (has_awq() && shared.producer != Role::count) note(layer, shared.producer);
      }
    }
  }
  void note(int64_t layer, Role role) {
    const int64_t tensor = tensor_of(layer, role);
    if (tensor >= 0 && (has_awq() || planned(tensor).changes())) layer_of[tensor] = layer;
  }

  // ---- the text ----

  void tokenize() {
    const auto tokenizer = Tokenizer::from_metadata(in.meta(), options.cancel);
    const std::vector<int32_t> all = tokenizer->encode(options.text, true, false);
    const auto n_all = static_cast<int64_t>(all.size());
    n_chunks = n_all / options.chunk_size;
    if (options.most_chunks > 0) n_chunks = std::min(n_chunks, options.most_chunks);
    if (n_chunks == 0 || n_chunks * options.chunk_size > std::numeric_limits<int32_t>::max()) {
      throw Error(ErrorCode::bad_argument,
                  fmt::format("calibration text: expected at least {} tokens, one chunk, got {}",
                              options.chunk_size, n_all),
                  "give a longer text");
    }
    tokens.assign(all.begin(), all.begin() + static_cast<ptrdiff_t>(n_tokens()));
    for (int64_t i = 0; i < n_chunks && tokenizer->adds_bos(); ++i) {
      tokens[static_cast<size_t>(i * options.chunk_size)] = tokenizer->bos();
    }
    const int64_t n_vocab = model.config.n_vocab;
    for (const int32_t token : tokens) {
      if (token >= n_vocab) {
        fail(ErrorCode::bad_file, "{}: tokenizer: expected ids below {}, got {}", in.path(),
             n_vocab, token);
      }
    }
  }
  int64_t n_tokens() const { return n_chunks * options.chunk_size; }

  /// hidden = the embeddings of the text, as the new file has them.
  void embed() {
    const int64_t n = model.config.n_embd;
    hidden.reserve(n_tokens() * n);
    const int64_t tensor = tensor_of(0, Role::token_embd);
    const Matrix& table = model.weights.model[Role::token_embd];
    const std::vector<float> importance = importance_of(tensor);
    team.run([&](int thread, Team& t) {
      const DefaultFloatEnvironment as_compiled;
      std::vector<std::byte> row(static_cast<size_t>(row_bytes(type_of(tensor), n)));
      for (int64_t i = n_tokens() * thread / t.size(); i < n_tokens() * (thread + 1) / t.size();
           ++i) {
        float* to = hidden.data() + i * n;
        kernels.dequantize_row(table, tokens[static_cast<size_t>(i)], to);
        if (!planned(tensor).changes()) continue;
        search_row(type_of(tensor), to, importance.empty() ? nullptr : importance.data(), n,
                   row.data());
        kernels.dequantize_row({row.data(), type_of(tensor), 1, n}, 0, to);
      }
    });
    // A model without layers: what stands between the table and the first layer.
    Model none;
    none.config = model.config;
    none.config.layers.clear();
    none.weights.model = model.weights.model;
    run_text(none, nullptr);
  }

  // ---- a layer as a model ----

  /// Its "vocabulary" is the text, its embedding the residual stream.
  Model layer_model(int64_t layer) const {
    Model one;
    one.config = model.config;
    one.config.layers = {model.config.layers[static_cast<size_t>(layer)]};
    one.config.embed_scale = 1.0f;
    for (const Role role :
         {Role::output_norm, Role::rope_freqs, Role::rope_short, Role::rope_long}) {
      one.weights.model.matrix[static_cast<size_t>(role)] = model.weights.model[role];
    }
    one.weights.layers = {model.weights.layers[static_cast<size_t>(layer)]};
    return one;
  }

  /// hidden becomes what the model makes of it; of_layer: each chunk's inputs go to the groups of
  /// this layer, and hidden stays.
  void run_text(Model& one, std::vector<Group>* of_layer) {
    const int64_t n = model.config.n_embd;
    const Matrix stream = {hidden.data(), DType::F32, n_tokens(), n};
    one.config.n_vocab = n_tokens();
    one.weights.model.matrix[static_cast<size_t>(Role::token_embd)] = stream;
    one.weights.model.matrix[static_cast<size_t>(Role::output)] = stream;
    workspace.observer = of_layer != nullptr ? &taker : nullptr;
    workspace.reserve(one, kernels, team.size(), options.chunk_size, 0, 0);
    const auto layout =
        std::make_shared<const KvLayout>(KvLayout::of(one.config, kernels.default_kv));
    for (int64_t chunk = 0; chunk < n_chunks; ++chunk) {
      SequenceState sequence(layout);
      if (!one.config.layers.empty()) sequence.reserve(options.chunk_size);
      std::vector<Row> rows;
      for (int64_t i = 0; i < options.chunk_size; ++i) {
        const auto id = static_cast<int32_t>(chunk * options.chunk_size + i);
        rows.push_back({id, i, &sequence, RowOutput::none});
      }
      if (forward(one, kernels, team, workspace, rows, options.cancel) ==
          ForwardStatus::cancelled) {
        fail(ErrorCode::cancelled, "cancelled");
      }
      if (of_layer == nullptr) {
        std::copy_n(workspace.x.data(), options.chunk_size * n,
                    hidden.data() + chunk * options.chunk_size * n);
      } else {
        for (Group& g : *of_layer) gptq.add(g.hessian, g.inputs.data(), options.chunk_size);
      }
      if (!one.config.layers.empty()) report(1);
    }
  }

  // ---- encoding a layer ----

  void encode_layer() {
    if (next_layer == 0) embed();
    const int64_t layer = next_layer;
    Model one = layer_model(layer);
    std::vector<Group> groups = groups_of(layer, one);
    if (groups.empty()) {
      report(2 * n_chunks);
    } else {
      run_text(one, &groups);
      for (const Group& g : groups) check_inputs(layer, g);
      if (has_awq()) {
        for (Group& g : groups) find_scales(layer, one, g);
      }
      for (Group& g : groups) encode_group(layer, groups, g);
      if (has_awq()) scale_norms(layer, one, groups);
      report(n_chunks);
    }
    for (const auto& [tensor, of] : layer_of) {
      if (of == layer && done.count(tensor) == 0) copy_source(tensor);
    }
    if (layer + 1 < n_layers()) {
      use_encoded(layer, one.weights.layers[0]);
      run_text(one, nullptr);
    }
    ++next_layer;
  }

  /// Those of which a matrix changes.
  std::vector<Group> groups_of(int64_t layer, const Model& one) {
    std::vector<Group> groups;
    taker.clear();
    const LayerWeights& w = one.weights.layers[0];
    for (const SharedInput& shared : arch.shared_inputs) {
      Group g;
      g.shared = &shared;
      bool changes = false;
      for (const Role role : shared.users) {
        const int64_t tensor = tensor_of(layer, role);
        if (tensor < 0 || w[role].data == nullptr) continue;
        g.users.push_back(role);
        g.n = w[role].cols;
        changes = changes || planned(tensor).changes();
      }
      if (!changes) continue;
      g.inputs.reserve(g.n * options.chunk_size);
      g.hessian.reset(g.n);
      taker.want(w[g.users[0]], g.inputs.data());
      groups.push_back(std::move(g));
    }
    return groups;
  }

  void check_inputs(int64_t layer, const Group& g) const {
    for (int64_t i = 0; i < g.n; ++i) {
      if (std::isfinite(g.hessian.at(i, i))) continue;
      fail(ErrorCode::bad_file, "{}: tensor {}: its inputs are not finite", in.path(),
           quoted(planned(tensor_of(layer, g.users[0])).source.name));
    }
  }

  /// Can a producer take the scales up, and the users' types hold scaled weights?
  bool can_scale(int64_t layer, const LayerWeights& w, const Group& g) const {
    const auto holds = [&](int64_t tensor) {
      return tensor >= 0 && (planned(tensor).changes() || is_float(type_of(tensor)));
    };
    for (const Role role : g.users) {
      if (!holds(tensor_of(layer, role))) return false;
    }
    const SharedInput& shared = *g.shared;
    if (shared.producer == Role::count) return false;
    if (shared.producer_bias != Role::count && w.vector(shared.producer_bias) != nullptr) {
      return false;
    }
    if (w[shared.producer].data == nullptr || !holds(tensor_of(layer, shared.producer))) {
      return false;
    }
    const Matrix& from = w[shared.producer];
    return (is_vector(layer, shared.producer) ? from.cols : from.rows) == g.n;
  }

  void find_scales(int64_t layer, const Model& one, Group& g) {
    if (!can_scale(layer, one.weights.layers[0], g)) return;
    std::vector<std::vector<float>> samples;
    std::vector<std::vector<float>> importances;
    std::vector<ScaledUser> users;
    for (const Role role : g.users) {
      const int64_t tensor = tensor_of(layer, role);
      const Matrix& w = one.weights.layers[0][role];
      const int64_t rows = std::min(w.rows, kSampleRows);
      samples.emplace_back(static_cast<size_t>(rows * g.n));
      for (int64_t r = 0; r < rows; ++r) {
        kernels.dequantize_row(w, r * w.rows / rows, samples.back().data() + r * g.n);
      }
      importances.push_back(importance_of(tensor));
      users.push_back({type_of(tensor), samples.back().data(), rows,
                       importances.back().empty() ? nullptr : importances.back().data()});
    }
    g.scales = awq.search(g.hessian, users).values;
    if (!g.scales.empty()) unscale(g.hessian, g.scales);
  }

  /// What row r of a role's matrix is divided by: the scales of the group that it makes.
  static const std::vector<float>* row_scales(const std::vector<Group>& groups, Role role) {
    for (const Group& g : groups) {
      if (g.shared->producer == role && !g.scales.empty()) return &g.scales;
    }
    return nullptr;
  }

  void encode_group(int64_t layer, const std::vector<Group>& groups, const Group& g) {
    HessianFactor factor;
    for (const Role role : g.users) {
      const int64_t tensor = tensor_of(layer, role);
      const std::vector<float>* divisors = row_scales(groups, role);
      if (!planned(tensor).changes() && g.scales.empty() && divisors == nullptr) continue;
      load(tensor);
      scale_weights(planned(tensor).source, g.scales, divisors);
      const DType type = type_of(tensor);
      EncodedTensor& out = done[tensor];
      const int64_t rows = planned(tensor).source.rows();
      out.bytes.resize(static_cast<size_t>(rows * row_bytes(type, g.n)));
      if (has_gptq() && code_levels(type) != nullptr) {
        const int64_t len = dtype_info(type).block_len;
        if (factor.block_len != len) gptq.factor(g.hessian, len, factor);
        gptq.encode(factor, type, weights.data(), rows, out.bytes.data());
      } else {
        encode_rows(tensor, g.scales, out.bytes.data());
      }
      out.error = error_of(tensor, out.bytes.data());
    }
  }

  /// weights = the tensor [rows, cols].
  void load(int64_t tensor) {
    const TensorInfo& info = planned(tensor).source;
    const Matrix w = {in.data(info).data(), static_cast<DType>(info.type_id), info.rows(),
                      info.cols()};
    weights.reserve(w.rows * w.cols);
    std::atomic<int64_t> bad{w.rows};
    for_rows(w.rows, [&](int64_t r) {
      float* row = weights.data() + r * w.cols;
      kernels.dequantize_row(w, r, row);
      float sum = 0;
      for (int64_t i = 0; i < w.cols; ++i) sum += row[i] - row[i];
      if (sum == 0) return;
      int64_t seen = bad.load();
      while (r < seen && !bad.compare_exchange_weak(seen, r)) {
      }
    });
    if (bad == w.rows) return;
    throw Error(ErrorCode::bad_file,
                fmt::format("{}: tensor {}: row {}: expected finite values, got an infinite one or "
                            "NaN",
                            in.path(), quoted(info.name), bad.load()),
                "the file is damaged or its training failed; get it again");
  }

  void scale_weights(const TensorInfo& info, const std::vector<float>& columns,
                     const std::vector<float>* rows) {
    if (columns.empty() && rows == nullptr) return;
    const int64_t n = info.cols();
    for_rows(info.rows(), [&](int64_t r) {
      float* w = weights.data() + r * n;
      const float divisor = rows != nullptr ? (*rows)[static_cast<size_t>(r)] : 1.0f;
      for (int64_t i = 0; i < n; ++i) {
        w[i] *= (columns.empty() ? 1.0f : columns[static_cast<size_t>(i)]) / divisor;
      }
    });
  }

  /// Each row for itself, out of weights.
  void encode_rows(int64_t tensor, const std::vector<float>& scales, std::byte* out) {
    std::vector<float> importance = importance_of(tensor);
    for (size_t i = 0; i < importance.size() && !scales.empty(); ++i) {
      importance[i] /= scales[i] * scales[i];
    }
    const TensorInfo& info = planned(tensor).source;
    const int64_t n = info.cols();
    for_rows(info.rows(), [&](int64_t r) {
      search_row(type_of(tensor), weights.data() + r * n,
                 importance.empty() ? nullptr : importance.data(), n,
                 out + r * row_bytes(type_of(tensor), n));
    });
  }

  float error_of(int64_t tensor, const std::byte* bytes) {
    const TensorInfo& info = planned(tensor).source;
    const Matrix encoded = {bytes, type_of(tensor), info.rows(), info.cols()};
    std::vector<double> difference(static_cast<size_t>(info.rows()));
    std::vector<double> square(difference.size());
    std::atomic<bool> finite{true};
    for_rows(info.rows(), [&](int64_t r) {
      std::vector<float> y(static_cast<size_t>(info.cols()));
      kernels.dequantize_row(encoded, r, y.data());
      const float* x = weights.data() + r * info.cols();
      double d = 0, s = 0;
      for (size_t i = 0; i < y.size(); ++i) {
        const double e = static_cast<double>(x[i]) - static_cast<double>(y[i]);
        d += e * e;
        s += static_cast<double>(x[i]) * static_cast<double>(x[i]);
      }
      if (!std::isfinite(d)) finite = false;
      difference[static_cast<size_t>(r)] = d;
      square[static_cast<size_t>(r)] = s;
    });
    if (!finite) {
      throw Error(ErrorCode::bad_argument,
                  fmt::format("{}: tensor {}: expected values that {} can hold, got larger ones",
                              in.path(), quoted(info.name), dtype_info(type_of(tensor)).name),
                  "keep this tensor: --tensor-type NAME=F32");
    }
    double d = 0, s = 0;
    for (size_t r = 0; r < square.size(); ++r) {
      d += difference[r];
      s += square[r];
    }
    return s > 0 ? static_cast<float>(std::sqrt(d / s)) : 0.0f;
  }

  /// The norms that take scales up; the layer at hand uses the new ones.
  void scale_norms(int64_t layer, Model& one, const std::vector<Group>& groups) {
    for (const Group& g : groups) {
      const Role role = g.shared->producer;
      if (g.scales.empty() || !is_vector(layer, role)) continue;
      const int64_t tensor = tensor_of(layer, role);
      auto norm = std::make_unique<float[]>(static_cast<size_t>(g.n));
      const float* old = one.weights.layers[0].vector(role);
      for (int64_t i = 0; i < g.n; ++i)
        norm[static_cast<size_t>(i)] = old[i] / g.scales[static_cast<size_t>(i)];
      EncodedTensor& out = done[tensor];
      out.bytes.resize(static_cast<size_t>(row_bytes(type_of(tensor), g.n)));
      quantize_row(type_of(tensor), norm.get(), g.n, out.bytes.data());
      dequantize_row(type_of(tensor), out.bytes.data(), g.n, norm.get());
      one.weights.layers[0].matrix[static_cast<size_t>(role)].data = norm.get();
      one.weights.vectors.push_back(std::move(norm));
    }
  }

  void copy_source(int64_t tensor) {
    const std::span<const std::byte> data = in.data(planned(tensor).source);
    done[tensor].bytes.assign(data.begin(), data.end());
  }

  void use_encoded(int64_t layer, LayerWeights& w) const {
    for (const SharedInput& shared : arch.shared_inputs) {
      for (const Role role : shared.users) {
        const int64_t tensor = tensor_of(layer, role);
        const auto at = done.find(tensor);
        if (tensor < 0 || at == done.end()) continue;
        const TensorInfo& info = planned(tensor).source;
        w.matrix[static_cast<size_t>(role)] = {at->second.bytes.data(), type_of(tensor),
                                               info.rows(), info.cols()};
      }
    }
  }

  // ---- small things ----

  bool is_vector(int64_t layer, Role role) const {
    return role_shape(role, model.config, model.config.layers[static_cast<size_t>(layer)])
        .is_vector;
  }

  /// Bytes of encoded tensors that wait for their turn in the file, at most.
  int64_t most_kept() const {
    std::map<int64_t, int64_t> of_layer;
    for (const auto& [tensor, layer] : layer_of) {
      of_layer[layer] += static_cast<int64_t>(planned(tensor).bytes);
    }
    int64_t kept = 0, most = 0, encoded = 0;
    for (const auto& [tensor, layer] : layer_of) {  // in the order of the file
      while (encoded <= layer) kept += of_layer[encoded++];
      most = std::max(most, kept);
      kept -= static_cast<int64_t>(planned(tensor).bytes);
    }
    return most;
  }

  /// [cols], or empty.
  std::vector<float> importance_of(int64_t tensor) const {
    const ImatrixEntry* entry = planned(tensor).importance;
    if (entry == nullptr) return {};
    std::vector<float> out(static_cast<size_t>(entry->cols));
    column_importance(*entry, 0, out.data());
    return out;
  }

  template <typename F>
  void for_rows(int64_t rows, F&& f) {
    TileCounter next;
    team.run([&](int, Team&) {
      const DefaultFloatEnvironment as_compiled;
      for (int64_t r = next.next(); r < rows; r = next.next()) {
        if (options.cancel != nullptr && options.cancel->requested()) return;
        f(r);
      }
    });
    if (options.cancel != nullptr && options.cancel->requested()) {
      fail(ErrorCode::cancelled, "cancelled");
    }
  }

  void report(int64_t chunks) {
    progress += chunks;
    if (options.on_progress) {
      options.on_progress(progress, n_layers() * n_chunks * 3 - n_chunks);
    }
  }

  const TensorFile& in;
  const QuantizePlan& plan;
  LayerEncoderOptions options;
  Model model;
  const Arch& arch;
  const KernelTable& kernels = *best_kernels();
  Team team;
  Gptq gptq;
  ActivationScales awq;
  InputTaker taker;
  Workspace workspace;
  std::map<std::string, int64_t, std::less<>> index_of;  // in the plan, by name
  std::map<int64_t, int64_t> layer_of;                   // of the tensors that take() gives
  std::vector<int32_t> tokens;                           // [chunks, chunk_size]
  int64_t n_chunks = 0;
  int64_t next_layer = 0;
  int64_t progress = 0;
  Buffer<float> hidden;                   // [tokens, n_embd]
  Buffer<float> weights;                  // the matrix at hand
  std::map<int64_t, EncodedTensor> done;  // not yet taken
};

LayerEncoder::LayerEncoder(const TensorFile& in, const QuantizePlan& plan,
                           LayerEncoderOptions options)
    : impl_(std::make_unique<Impl>(in, plan, std::move(options))) {}
LayerEncoder::~LayerEncoder() = default;

bool LayerEncoder::encodes(int64_t tensor) const noexcept {
  return impl_->layer_of.count(tensor) > 0;
}

EncodedTensor LayerEncoder::take(int64_t tensor) {
  const int64_t layer = impl_->layer_of.at(tensor);
  while (impl_->next_layer <= layer) impl_->encode_layer();
  const auto at = impl_->done.find(tensor);
  EncodedTensor out = std::move(at->second);
  impl_->done.erase(at);
  return out;
}

int64_t LayerEncoder::n_tokens() const noexcept {
  return impl_->n_tokens();
}

int64_t LayerEncoder::memory_bytes() const noexcept {
  const Impl& m = *impl_;
  const int n_threads = m.team.size();
  const int64_t chunk = m.options.chunk_size;
  int64_t most = 0;
  for (int64_t layer = 0; layer < m.n_layers(); ++layer) {
    const LayerWeights& w = m.model.weights.layers[static_cast<size_t>(layer)];
    int64_t sums = 0, widest = 0, largest = 0;
    for (const SharedInput& shared : m.arch.shared_inputs) {
      int64_t n = 0;
      for (const Role role : shared.users) {
        const int64_t tensor = m.tensor_of(layer, role);
        if (tensor < 0) continue;
        n = w[role].cols;
        largest = std::max(largest, w[role].rows * n);
      }
      sums += n * n + n * chunk;
      widest = std::max(widest, n);
    }
    const int64_t floats = static_cast<int64_t>(sizeof(float));
    most = std::max(most, floats * (sums + widest * (widest + chunk) + largest) +
                              Gptq::scratch_bytes(widest, n_threads));
  }
  const Model one = m.layer_model(0);
  return most + m.most_kept() +
         static_cast<int64_t>(sizeof(float)) * m.n_tokens() * m.model.config.n_embd +
         Workspace::bytes(one, m.kernels, n_threads, chunk, 0) +
         static_cast<int64_t>(sizeof(float)) * chunk * m.workspace.row_stride;
}

}  // namespace nibble
