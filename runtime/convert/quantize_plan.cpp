#define PCRE2_CODE_UNIT_WIDTH 8
#include "runtime/convert/quantize_plan.h"

#include <pcre2.h>

#include <algorithm>
#include <memory>
#include <set>

#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "quant/codec.h"
#include "quant/stored_type.h"
#include "runtime/convert/pack_file.h"

namespace nibble {
namespace {

constexpr uint32_t kQuantizationVersion = 2;  // of the ecosystem's block layouts

bool is_float_type(uint32_t id) {
  return id == static_cast<uint32_t>(DType::F32) || id == static_cast<uint32_t>(DType::F16) ||
         id == static_cast<uint32_t>(DType::BF16);
}

std::string type_name(uint32_t id) {
  const char* name = dtype_ecosystem_name(id);
  return name != nullptr ? name : fmt::format("number {}", id);
}

/// A compiled pattern of an override.
class NamePattern {
 public:
  explicit NamePattern(const std::string& text) : text_(text) {
    int error = 0;
    PCRE2_SIZE at = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, &error,
                              &at, nullptr));
    if (code_ == nullptr) {
      PCRE2_UCHAR message[128] = {};
      pcre2_get_error_message(error, message, sizeof message);
      fail(ErrorCode::bad_argument, "pattern {}: {} at character {}", quoted(text),
           reinterpret_cast<const char*>(message), at);
    }
    match_.reset(pcre2_match_data_create(1, nullptr));
    if (match_ == nullptr) throw std::bad_alloc();
  }

  bool is_in(std::string_view name) const {
    const int rc = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(),
                               0, 0, match_.get(), nullptr);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
      fail(ErrorCode::bad_argument, "pattern {}: gave up on {} (PCRE2 error {})", quoted(text_),
           quoted(name), rc);
    }
    return rc >= 0;
  }

 private:
  struct Free {
    void operator()(pcre2_code* code) const noexcept { pcre2_code_free(code); }
    void operator()(pcre2_match_data* match) const noexcept { pcre2_match_data_free(match); }
  };
  std::string text_;
  std::unique_ptr<pcre2_code, Free> code_;
  std::unique_ptr<pcre2_match_data, Free> match_;
};

/// The number after "blk."; -1 if there is none.
int64_t layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return -1;
  int64_t layer = -1;
  for (const char c : name.substr(kPrefix.size())) {
    if (c < '0' || c > '9' || layer > 1'000'000) break;
    layer = std::max<int64_t>(layer, 0) * 10 + (c - '0');
  }
  return layer;
}

int64_t first_int(const Metadata& meta, const std::string& key) {
  const MetaValue* value = meta.find(key);
  if (value == nullptr) return 0;
  if (value->type != MetaType::array) return meta.get_int(key).value_or(0);
  const auto items = meta.get_ints(key);  // one a layer
  return items && !items->empty() ? *std::max_element(items->begin(), items->end()) : 0;
}

MixModel model_of(const TensorFile& in, bool has_imatrix) {
  const Metadata& meta = in.meta();
  const std::string arch(meta.get_string("general.architecture").value_or(""));
  MixModel model;
  model.n_layer = first_int(meta, arch + ".block_count");
  model.n_expert = first_int(meta, arch + ".expert_count");
  const int64_t heads = first_int(meta, arch + ".attention.head_count");
  const int64_t shared = first_int(meta, arch + ".attention.head_count_kv");
  model.heads_per_value = heads > 0 && shared > 0 ? heads / shared : 1;
  model.tied = in.find("output.weight") == nullptr;
  model.has_imatrix = has_imatrix;
  return model;
}

class Planner {
 public:
  Planner(const TensorFile& in, const QuantizeChoices& choices)
      : in_(in), choices_(choices), model_(model_of(in, choices.imatrix != nullptr)) {
    for (const TypeOverride& row : choices.overrides) patterns_.emplace_back(row.pattern);
    for (const TensorInfo& info : in.tensors()) {
      if (may_quantize(info.name, info.n_dims)) {
        layers_[static_cast<size_t>(part_of(info.name, model_))].insert(layer_of(info.name));
      }
    }
  }

  PlannedTensor plan(const TensorInfo& info) const {
    PlannedTensor out;
    out.source = info;
    out.type_id = info.type_id;
    out.bytes = info.bytes;
    if (!may_quantize(info.name, info.n_dims)) {
      out.why = info.n_dims < 2 ? "kept: 1 dimension" : "kept: small and sensitive";
      return out;
    }
    DType wanted = DType::F32;
    choose(info, wanted, out.why);
    const DTypeInfo& wide = dtype_info(wanted);
    if (info.cols() % wide.block_len != 0) {
      fall_back(info, wanted, out);
    }
    out.type_id = static_cast<uint32_t>(wanted);
    check_source(info, wanted);
    if (out.changes()) {
      if (!can_quantize(wanted)) {
        fail(ErrorCode::unsupported, "tensor {}: expected a type that nibble writes, got {}",
             quoted(info.name), dtype_info(wanted).name);
      }
      out.bytes = static_cast<uint64_t>(info.rows()) *
                  static_cast<uint64_t>(row_bytes(wanted, info.cols()));
      out.importance = importance_of(info);
    } else {
      out.why += ", is so already";
    }
    return out;
  }

 private:
  void choose(const TensorInfo& info, DType& type, std::string& why) const {
    const TensorPart part = part_of(info.name, model_);
    const bool is_embedding = info.name == "token_embd.weight";
    if (choices_.embedding_type && is_embedding) {
      type = *choices_.embedding_type;
      why = "--token-embedding-type";
      return;
    }
    if (choices_.output_type && part == TensorPart::output) {
      type = *choices_.output_type;
      why = "--output-tensor-type";
      return;
    }
    for (size_t i = 0; i < patterns_.size(); ++i) {
      if (!patterns_[i].is_in(info.name)) continue;
      type = choices_.overrides[i].type;
      why = "--tensor-type " + choices_.overrides[i].pattern;
      return;
    }
    type = choices_.mix->base;
    why = choices_.mix->name;
    if (choices_.pure) return;
    if (choices_.mix->of_experts && holds_experts(info.name)) {
      type = *choices_.mix->of_experts;
      return;
    }
    const std::set<int64_t>& layers = layers_[static_cast<size_t>(part)];
    const auto rank = std::distance(layers.begin(), layers.find(layer_of(info.name)));
    type = type_in_mix(*choices_.mix, model_, part, rank, static_cast<int64_t>(layers.size()));
  }

  void fall_back(const TensorInfo& info, DType& type, PlannedTensor& out) const {
    const DType other = fallback_type(type, info.cols());
    if (choices_.strict) {
      throw Error(ErrorCode::bad_argument,
                  fmt::format("tensor {}: expected rows of a multiple of {} columns for {}, got {}",
                              quoted(info.name), dtype_info(type).block_len, dtype_info(type).name,
                              info.cols()),
                  fmt::format("without --strict it becomes {}", dtype_info(other).name));
    }
    out.fallback = true;
    out.why += fmt::format(": {} wants rows of a multiple of {}, these have {}",
                           dtype_info(type).name, dtype_info(type).block_len, info.cols());
    type = other;
  }

  void check_source(const TensorInfo& info, DType wanted) const {
    if (info.type_id == static_cast<uint32_t>(wanted)) return;
    if (find_dtype(info.type_id) == nullptr) {
      throw Error(ErrorCode::unsupported,
                  fmt::format("{}: tensor {}: expected a type that nibble reads, got {}",
                              in_.path(), quoted(info.name), type_name(info.type_id)),
                  dtype_advice(info.type_id));
    }
    if (!is_float_type(info.type_id) && !choices_.allow_requantize) {
      throw Error(ErrorCode::bad_argument,
                  fmt::format("{}: tensor {}: expected F32, F16 or BF16 to quantize, got {}",
                              in_.path(), quoted(info.name), type_name(info.type_id)),
                  "quantize the original file, or accept what is lost twice: --allow-requantize");
    }
  }

  const ImatrixEntry* importance_of(const TensorInfo& info) const {
    if (choices_.imatrix == nullptr) return nullptr;
    const ImatrixEntry* entry = choices_.imatrix->find(info.name);
    if (entry == nullptr) return nullptr;
    // [experts, rows, cols]: one matrix of the entry for each expert.
    const int64_t n = info.n_dims >= 3 ? info.rows() / info.shape[info.n_dims - 2] : 1;
    if (entry->cols != info.cols() || (entry->n_matrices() != n && entry->n_matrices() != 1)) {
      throw Error(ErrorCode::bad_argument,
                  fmt::format("importance matrix {}: expected {} x {} columns for tensor {}, got "
                              "{} x {}",
                              choices_.imatrix_name, n, info.cols(), quoted(info.name),
                              entry->n_matrices(), entry->cols),
                  "it was made from another model");
    }
    return entry;
  }

  const TensorFile& in_;
  const QuantizeChoices& choices_;
  MixModel model_;
  std::vector<NamePattern> patterns_;
  /// The layers that have a tensor of a part.
  std::set<int64_t> layers_[static_cast<size_t>(TensorPart::other) + 1];
};

void refuse(const TensorFile& in) {
  for (const TensorInfo& info : in.tensors()) {
    if (find_packed_type(info.type_id) == nullptr) continue;
    throw Error(ErrorCode::bad_argument,
                fmt::format("{}: expected a file that is not packed, got tensor {} in {}",
                            in.path(), quoted(info.name), type_name(info.type_id)),
                "unpack it first: nibble pack --undo");
  }
  const int64_t parts = in.meta().get_int("split.count").value_or(0);
  if (parts > 1) {
    throw Error(ErrorCode::bad_argument,
                fmt::format("{}: expected a whole model, got one of {} parts", in.path(), parts),
                "merge the parts into one file first");
  }
}

void fill_header(const TensorFile& in, const QuantizeChoices& choices, QuantizePlan& plan) {
  GgufHeader& header = plan.header;
  header.copy_metadata(in.meta());
  header.remove(kSourceAlignmentKey);
  header.want_hashes();
  header.set("general.file_type", choices.mix->file_type);
  header.set("general.quantization_version", kQuantizationVersion);
  if (choices.imatrix != nullptr) {
    header.set_string("quantize.imatrix.file", choices.imatrix_name);
    if (!choices.imatrix->datasets.empty()) {
      header.set_string("quantize.imatrix.dataset", choices.imatrix->datasets[0]);
    }
    header.set("quantize.imatrix.entries_count",
               static_cast<int32_t>(choices.imatrix->entries.size()));
    header.set("quantize.imatrix.chunks_count", static_cast<int32_t>(choices.imatrix->chunk_count));
  }
  for (const PlannedTensor& tensor : plan.tensors) {
    TensorInfo info = tensor.source;
    info.type_id = tensor.type_id;
    if (tensor.changes()) info.bytes = tensor.bytes;
    header.add_tensor(info);
  }
  plan.file_bytes = header.layout().file_bytes;
}

}  // namespace

QuantizePlan plan_quantize(const TensorFile& in, const QuantizeChoices& choices) {
  refuse(in);
  const Planner planner(in, choices);
  QuantizePlan plan;
  for (const TensorInfo& info : in.tensors()) {
    plan.tensors.push_back(planner.plan(info));
    const PlannedTensor& tensor = plan.tensors.back();
    plan.source_bytes += info.bytes;
    plan.bytes += tensor.bytes;
    plan.n_elements += info.rows() * info.cols();
    plan.n_fallbacks += tensor.fallback ? 1 : 0;
  }
  fill_header(in, choices, plan);
  return plan;
}

const QuantMix* best_mix_within(const TensorFile& in, const QuantizeChoices& choices,
                                uint64_t most_bytes) {
  const QuantMix* best = nullptr;
  for (const QuantMix& mix : all_mixes()) {
    QuantizeChoices with = choices;
    with.mix = &mix;
    const QuantizePlan plan = plan_quantize(in, with);
    // Another float type of the same size, or a larger one, wins nothing.
    const bool gains = plan.bytes < plan.source_bytes ||
                       std::none_of(plan.tensors.begin(), plan.tensors.end(),
                                    [](const PlannedTensor& t) { return t.changes(); });
    if (gains && plan.file_bytes <= most_bytes) best = &mix;
  }
  return best;
}

}  // namespace nibble
