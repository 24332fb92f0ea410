// A Hugging Face folder to a plan: the architecture's row says which class it is, what its keys and
// tensors are called and what changes; nothing here knows an architecture.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "formats/hf_folder.h"
#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "runtime/convert/expert_rows.h"
#include "runtime/convert/import_plan.h"
#include "runtime/convert/import_tokenizer.h"
#include "runtime/convert/weight_rows.h"
#include "runtime/convert/weight_schemes.h"
#include "runtime/model/arch.h"
#include "runtime/model/hf_config.h"
#include "runtime/model/weights.h"

namespace nibble {
namespace {

const Arch& arch_of(const HfConfig& config) {
  const std::string_view name =
      config.class_name().empty() ? config.model_type() : config.class_name();
  std::string known;
  for (const Arch* arch : all_archs()) {
    if (arch->hf == nullptr) continue;
    for (const std::string_view row : arch->hf->classes) {
      if (row == name) return *arch;
      if (row.find("For") != std::string_view::npos) {
        known += fmt::format("{}{}", known.empty() ? "" : ", ", row);
      }
    }
  }
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: architectures: expected one that nibble converts, got {}",
                          config.file(), quoted(name)),
              fmt::format("known: {}", known));
}

void import_keys(const HfConfig& config, const HfNames& names, HfModel& model) {
  for (const HfKey& key : names.keys) {
    const bool optional = key.otherwise >= 0;
    if (key.kind == HfKey::Kind::real) {
      model.set_real(key.gguf, optional ? config.number_or(key.hf, key.otherwise, 0, 1e9)
                                        : config.number(key.hf, 0, 1e9));
      continue;
    }
    constexpr int64_t kMost = HParams::kMaxContext;
    const auto otherwise = static_cast<int64_t>(key.otherwise);
    model.set_whole(key.gguf, optional ? config.integer_or(key.hf, otherwise, 0, kMost)
                                       : config.integer(key.hf, 0, kMost));
  }
  names.more(config, model);
}

bool is_of_experts(HfTransform transform) {
  return transform == HfTransform::expert_gates || transform == HfTransform::expert_ups ||
         transform == HfTransform::expert_downs;
}

/// What the runtime will read from the header, so that shapes are checked before anything is
/// written.
ModelConfig config_of(const GgufHeader& header, const Arch& arch, const std::string& file) {
  const GgufLayout layout = header.layout();
  const TensorFile parsed = open_tensor_memory(layout.header, file);
  ModelConfig config = arch.read_config(HParams(parsed.meta(), arch.name));
  return config;
}

class TensorImport {
 public:
  TensorImport(const HfFolder& folder, const Arch& arch, const HfConfig& config, ImportPlan& plan)
      : folder_(folder), arch_(arch), config_(config), plan_(plan) {
    for (const SafetensorsFile& file : folder.shards()) {
      for (const SafeTensor& tensor : file.tensors()) add_name(tensor.name);
    }
    scheme_ = find_scheme(config);
  }

  void run(const HfModel& model) {
    ModelConfig shapes = config_of(plan_.header, arch_, config_.file());
    n_before_positions_ = model.n_before_positions;
    shapes.n_vocab = config_.integer_or("vocab_size", 0, 0, 1 << 29);
    for (const TensorName& row : arch_.tensors) {
      const FolderTensor found =
          row.role == Role::token_embd ? named(std::string(row.hf)) : FolderTensor();
      if (found && !found.tensor->shape.empty()) shapes.n_vocab = found.tensor->shape[0];
    }
    const bool tied = config_.boolean_or("tie_word_embeddings", arch_.hf->tied_by_default);
    const LayerSpec none;
    for (const TensorName& row : arch_.tensors) {
      for (const auto& [role, factors] : {std::pair(Role::rope_freqs, &model.rope_freqs),
                                          std::pair(Role::rope_short, &model.rope_short),
                                          std::pair(Role::rope_long, &model.rope_long)}) {
        if (row.role != role || factors->empty()) continue;
        const auto n = static_cast<int64_t>(factors->size());
        add({std::string(row.name), memory_rows(config_.file() + ": rope", *factors, 1, n)});
      }
      if (row.hf.empty()) continue;
      if (row.role == Role::output && tied) {
        leave_tied_output(row);
      } else if (!is_layer_role(row.role)) {
        bind(row, std::string(row.name), std::string(row.hf), none, shapes,
             row.required || row.role == Role::output);
      } else {
        for (size_t i = 0; i < shapes.layers.size(); ++i) {
          const auto layer = static_cast<int64_t>(i);
          bind(row, layer_name(row.name, layer), layer_name(row.hf, layer), shapes.layers[i],
               shapes, row.required);
        }
      }
    }
    for (int64_t i = 0; i < model.n_layers_left_out; ++i) {
      const auto layer = static_cast<int64_t>(shapes.layers.size()) + i;
      leave_layer(fmt::format("model.layers.{}.", layer));
    }
    refuse_unused();
  }

 private:
  void leave_layer(const std::string& prefix) {
    int64_t n = 0;
    for (const auto& names : stored_names_) {
      if (names.first.starts_with(prefix) && used_.insert(names.first).second) ++n;
    }
    if (n > 0) plan_.notes.push_back(fmt::format("{} tensors are left out: {}*", n, prefix));
  }

  // Files of models that also see or hear put another name in front, in one of two places.
  void add_name(const std::string& name) {
    constexpr std::string_view kPrefix = "language_model.";
    std::string plain = name;
    const size_t at = plain.find(kPrefix);
    if (at == 0 || (at != std::string::npos && plain[at - 1] == '.')) {
      plain.erase(at, kPrefix.size());
    }
    for (std::string_view rest = arch_.hf->prefix; !rest.empty();) {
      const std::string_view prefix = rest.substr(0, rest.find('|'));
      rest.remove_prefix(std::min(prefix.size() + 1, rest.size()));
      if (!plain.starts_with(prefix)) continue;
      plain.erase(0, prefix.size());
      break;
    }
    const auto [old, fresh] = stored_names_.emplace(plain, name);
    if (!fresh) {
      fail(ErrorCode::bad_file, "{}: tensor {}: expected one, got {} and {}", folder_.path(),
           quoted(plain), quoted(old->second), quoted(name));
    }
  }

  FolderTensor named(const std::string& plain) const {
    const auto at = stored_names_.find(plain);
    return at == stored_names_.end() ? FolderTensor() : folder_.find(at->second);
  }

  /// Those of a second "{}" stacked.
  std::optional<WeightRows> rows_of(const std::string& hf, const RoleShape& shape,
                                    HfTransform transform) {
    if (hf.find("{}") == std::string::npos) return rows_of(hf, transform);
    std::vector<WeightRows> parts;
    for (int64_t i = 0; i < (shape.is_vector ? shape.rows : shape.n_stacked); ++i) {
      std::optional<WeightRows> part = rows_of(layer_name(hf, i), transform);
      if (!part) return std::nullopt;
      if (!parts.empty() && (part->shape != parts[0].shape || part->type != parts[0].type)) {
        fail(ErrorCode::bad_file, "{}: expected the shape and type of its neighbours", part->name);
      }
      parts.push_back(std::move(*part));
    }
    if (parts.empty()) return std::nullopt;
    return stacked_rows(std::move(parts));
  }

  std::optional<WeightRows> rows_of(const std::string& hf, HfTransform transform) {
    const FolderTensors tensors = [this](const std::string& name) {
      const FolderTensor found = named(name);
      if (found) used_.insert(name);
      return found;
    };
    if (scheme_ != nullptr) {
      if (auto rows = scheme_->open(tensors, hf, config_)) return rows;
    }
    const FolderTensor found = tensors(hf);
    if (!found) return std::nullopt;
    const bool experts = found.tensor->shape.size() == 3 && is_of_experts(transform);
    if (experts) return expert_rows(*found.file, *found.tensor);
    if (transform == HfTransform::transposed) return transposed_rows(*found.file, *found.tensor);
    return float_rows(*found.file, *found.tensor);
  }

  void bind(const TensorName& row, const std::string& name, const std::string& hf,
            const LayerSpec& layer, const ModelConfig& shapes, bool required) {
    const RoleShape want = role_shape(row.role, shapes, layer);
    std::optional<WeightRows> rows = rows_of(hf, want, row.transform);
    if (!rows) {
      if (!required) return;
      fail(ErrorCode::bad_file, "{}: tensor {}: expected one, got none", folder_.path(), hf);
    }
    if (row.role == Role::position_embd) rows = rows_behind(std::move(*rows), n_before_positions_);
    if (row.transform == HfTransform::latent_keys) {
      rows = latent_keys(std::move(*rows), layer.n_head, layer.latent.n_plain);
    } else if (row.transform == HfTransform::latent_values) {
      rows = latent_values(std::move(*rows), layer.n_head, layer.latent.n_plain);
    } else if (row.transform == HfTransform::expert_gates && rows->shape.size() >= 2) {
      rows = every_second(std::move(*rows), 0);
    } else if (row.transform == HfTransform::expert_ups && rows->shape.size() >= 2) {
      rows = every_second(std::move(*rows), 1);
    }
    const auto n_dims = static_cast<size_t>(want.n_dims());
    if (n_dims == 1 && rows->shape.size() == 2 && rows->rows == 1)
      rows->shape.erase(rows->shape.begin());
    if (rows->shape.size() != n_dims || rows->rows != want.rows || rows->cols != want.cols) {
      const std::string wanted = n_dims == 1 ? fmt::format("[{}]", want.cols)
                                             : fmt::format("[{}, {}]", want.rows, want.cols);
      fail(ErrorCode::bad_file, "{}: expected {}, got [{}]", rows->name, wanted,
           fmt::join(rows->shape, ", "));
    }
    ImportedTensor tensor{name, std::move(*rows), row.transform};
    tensor.stays_float = want.is_vector || want.stays_float;
    if (row.transform == HfTransform::qkv_groups) {
      tensor.heads = layer.n_head;
      tensor.kv_heads = layer.n_head_kv;
    }
    if (row.transform == HfTransform::rope_rows) {
      tensor.heads = role_heads(row.role, layer);
      if (layer.head_dim_k % 2 != 0) {
        config_.refuse("head_dim", "an even number", fmt::format("{}", layer.head_dim_k));
      }
    }
    add(std::move(tensor));
  }

  void add(ImportedTensor tensor) { plan_.tensors.push_back(std::move(tensor)); }

  void leave_tied_output(const TensorName& row) {
    const std::string hf(row.hf);
    if (!named(hf)) return;
    used_.insert(hf);
    plan_.notes.push_back(hf + " is left out: config.json ties it to the embedding");
  }

  void refuse_unused() {
    std::map<std::string_view, int64_t> left_out;
    for (const auto& names : stored_names_) {
      const std::string& stored = names.second;
      if (used_.count(names.first) != 0) continue;
      const auto part =
          std::find_if(arch_.hf->left_out.begin(), arch_.hf->left_out.end(),
                       [&](std::string_view p) { return stored.find(p) != std::string::npos; });
      if (part == arch_.hf->left_out.end()) {
        fail(ErrorCode::unsupported, "{}: tensor {}: expected one that {} models have, got another",
             folder_.find(stored).file->path(), quoted(stored), arch_.name);
      }
      ++left_out[*part];
    }
    for (const auto& [part, n] : left_out) {
      plan_.notes.push_back(fmt::format("{} tensors are left out: *{}*", n, part));
    }
  }

  const HfFolder& folder_;
  const Arch& arch_;
  const HfConfig& config_;
  ImportPlan& plan_;
  const WeightScheme* scheme_ = nullptr;
  int64_t n_before_positions_ = 0;
  std::map<std::string, std::string> stored_names_;  // without "language_model." -> as stored
  std::set<std::string> used_;
};

/// What generation_config.json recommends, in the keys of general.sampling.
void import_sampling(const HfFolder& folder, GgufHeader& header) {
  const JsonValue config = folder.generation_config();
  if (config.find("do_sample").boolean() != true) return;
  constexpr std::pair<const char*, const char*> kKeys[] = {
      {"temperature", "temp"},
      {"top_p", "top_p"},
      {"min_p", "min_p"},
      {"repetition_penalty", "penalty_repeat"}};
  for (const auto& [hf, gguf] : kKeys) {
    const auto value = config.find(hf).number();
    if (!value || !(*value >= 0 && *value <= 1e6)) continue;
    header.set(std::string("general.sampling.") + gguf, static_cast<float>(*value));
  }
  const auto top_k = config.find("top_k").integer();
  if (top_k && *top_k >= 0 && *top_k <= 1 << 29) {
    header.set("general.sampling.top_k", static_cast<int32_t>(*top_k));
  }
}

struct PoolingMode {
  std::string_view key;  // of 1_Pooling/config.json
  int32_t type;          // <arch>.pooling_type, as the ecosystem numbers them; -1: not supported
};
constexpr PoolingMode kPoolingModes[] = {
    {"pooling_mode_mean_tokens", 1},
    {"pooling_mode_cls_token", 2},
    {"pooling_mode_lasttoken", 3},
    {"pooling_mode_max_tokens", -1},
    {"pooling_mode_mean_sqrt_len_tokens", -1},
    {"pooling_mode_weightedmean_tokens", -1},
};

/// How sentence-transformers makes one vector of a text's hidden states. What nibble has no step
/// for is refused.
void import_pooling(const HfFolder& folder, const HfConfig& config, const HfModel& model) {
  for (auto i = folder.modules().walk(); i.next();) {
    const std::string_view type = i.value().find("type").text().value_or("");
    const std::string_view last = type.substr(type.rfind('.') + 1);
    if (last == "Transformer" || last == "Pooling" || last == "Normalize") continue;
    config.refuse("modules.json: type", "Transformer, Pooling or Normalize", quoted(type));
  }
  int n = 0;
  for (const PoolingMode& mode : kPoolingModes) {
    if (folder.pooling().find(mode.key).boolean() != true) continue;
    if (mode.type < 0 || ++n > 1) {
      config.refuse("1_Pooling/config.json", "one of the modes mean, cls and lasttoken",
                    quoted(mode.key));
    }
    model.set_whole("pooling_type", mode.type);
  }
}

}  // namespace

ImportPlan plan_hf(const std::string& path) {
  const auto folder = std::make_shared<const HfFolder>(HfFolder::open(path));
  const HfConfig config(folder->config(), folder->config_path());
  const Arch& arch = arch_of(config);
  ImportPlan plan;
  plan.inputs = folder->files();
  plan.owner = folder;
  plan.require_unchanged = [folder] { folder->require_unchanged(); };
  plan.header.set_string("general.architecture", arch.name);
  plan.header.set_string("general.type", "model");
  if (const std::string name = folder->name(); !name.empty()) {
    plan.header.set_string("general.name", name);
  }
  import_sampling(*folder, plan.header);
  HfModel model{plan.header, arch.name};
  for (const TensorName& row : arch.tensors) {
    model.takes_rope_freqs = model.takes_rope_freqs || row.role == Role::rope_freqs;
    model.takes_longrope = model.takes_longrope || row.role == Role::rope_long;
  }
  import_keys(config, *arch.hf, model);
  import_pooling(*folder, config, model);

  TensorImport tensors(*folder, arch, config, plan);
  tensors.run(model);
  const auto embedding =
      std::find_if(plan.tensors.begin(), plan.tensors.end(),
                   [](const ImportedTensor& t) { return t.name == "token_embd.weight"; });
  import_tokenizer(TokenizerFiles::of(*folder), config, embedding->rows.rows, plan.header,
                   plan.notes);
  return plan;
}

}  // namespace nibble
