// GGUF to safetensors: the rows of the architecture read backwards.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "formats/safetensors_write.h"
#include "formats/tensor_file.h"
#include "quant/codec.h"
#include "quant/stored_type.h"
#include "runtime/convert/encode_rows.h"
#include "runtime/convert/import_plan.h"
#include "runtime/model/arch.h"

namespace nibble {
namespace {

SafeType safe_type_of(DType type) {
  return type == DType::F32 ? SafeType::f32 : type == DType::BF16 ? SafeType::bf16 : SafeType::f16;
}

bool is_float_type(DType type) {
  return type == DType::F32 || type == DType::F16 || type == DType::BF16;
}

/// What each of the file's tensors becomes, by its name in GGUF.
struct Target {
  std::string name;
  HfTransform transform = HfTransform::none;
  int64_t heads = 1;
  int64_t kv_heads = 1;
};

std::unordered_map<std::string, Target> targets(const TensorFile& file, const Arch* arch) {
  std::unordered_map<std::string, Target> out;
  if (arch == nullptr || arch->hf == nullptr) return out;
  const ModelConfig config = arch->read_config(HParams(file.meta(), arch->name));
  const std::string prefix(arch->hf->prefix.substr(0, arch->hf->prefix.find('|')));
  for (const TensorName& row : arch->tensors) {
    if (row.hf.empty() || file.find(is_layer_role(row.role) ? layer_name(row.name, 0)
                                                            : std::string(row.name)) == nullptr) {
      continue;
    }
    const bool stacked = row.hf.find("{}") != row.hf.rfind("{}");
    const bool changed =
        row.transform == HfTransform::transposed || row.transform >= HfTransform::latent_keys;
    if (changed || stacked) {
      fail(ErrorCode::unsupported,
           "{}: tensor {}: expected one that goes back as it is, got one that was {}", file.path(),
           row.name, stacked ? "stacked" : "transposed");
    }
    // The head of the output is in front of the model that the prefix names.
    const std::string hf = (row.role == Role::output ? "" : prefix) + std::string(row.hf);
    if (!is_layer_role(row.role)) {
      out.try_emplace(std::string(row.name), Target{hf, row.transform});
      continue;
    }
    for (size_t i = 0; i < config.layers.size(); ++i) {
      const auto layer = static_cast<int64_t>(i);
      const LayerSpec& spec = config.layers[i];
      out.try_emplace(
          layer_name(row.name, layer),
          Target{layer_name(hf, layer), row.transform, role_heads(row.role, spec), spec.n_head_kv});
    }
  }
  return out;
}

WeightRows rows_of(const TensorFile& file, const TensorInfo& info) {
  const auto stored = find_stored_type(info.type_id);
  if (!stored || stored->packed) {
    const char* name = dtype_ecosystem_name(info.type_id);
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: tensor {}: expected a type that nibble decodes, got {}",
                            file.path(), info.name, name != nullptr ? name : "another"),
                stored ? "unpack it first: nibble pack --undo" : dtype_advice(info.type_id));
  }
  WeightRows rows;
  rows.name = file.path() + ": tensor " + info.name;
  rows.shape.assign(info.shape, info.shape + std::max(info.n_dims, 1));
  rows.rows = info.rows();
  rows.cols = info.cols();
  rows.type = stored->type;
  const std::byte* data = file.data(info).data();
  const int64_t stride = row_bytes(rows.type, rows.cols);
  rows.bytes = [data, stride](int64_t row, void* to) {
    std::copy_n(data + row * stride, stride, static_cast<std::byte*>(to));
  };
  rows.floats = [data, stride, type = rows.type, cols = rows.cols](int64_t row, float* to) {
    dequantize_row(type, data + row * stride, cols, to);
  };
  rows.give_back = [&file, offset = info.offset, stride](int64_t first, int64_t n) {
    if (file.map() == nullptr) return;
    file.map()->dont_need(offset + static_cast<uint64_t>(first * stride),
                          static_cast<uint64_t>(n * stride));
  };
  return rows;
}

DType target_type(const WeightRows& rows, std::optional<DType> wanted) {
  if (rows.shape.size() < 2) return DType::F32;
  if (wanted) return *wanted;
  return is_float_type(rows.type) ? rows.type : DType::F16;
}

}  // namespace

ConvertResult export_safetensors(const std::string& in, const std::string& out,
                                 const ConvertOptions& options) {
  if (options.type && !is_float_type(*options.type)) {
    fail(ErrorCode::bad_argument, "type {}: expected one that safetensors has: F32, F16 or BF16",
         dtype_info(*options.type).name);
  }
  const TensorFile file = open_tensor_file(in);
  const std::string arch(file.meta().get_string("general.architecture").value_or(""));
  const auto names = targets(file, find_arch(arch));
  ConvertResult result;
  std::vector<ImportedTensor> plan;
  std::vector<SafeTensor> table;
  for (const TensorInfo& info : file.tensors()) {
    const auto at = names.find(info.name);
    if (at == names.end() && !names.empty()) {
      result.notes.push_back(info.name + " is left out: Hugging Face has no such tensor");
      continue;
    }
    const Target target = at == names.end() ? Target{info.name} : at->second;
    ImportedTensor tensor{target.name, rows_of(file, info), target.transform};
    tensor.heads = target.heads;
    tensor.kv_heads = target.kv_heads;
    tensor.inverse = true;
    tensor.type = target_type(tensor.rows, options.type);
    table.push_back({tensor.name, safe_type_of(tensor.type), tensor.rows.shape});
    plan.push_back(std::move(tensor));
  }
  if (names.empty()) {
    result.notes.push_back("architecture '" + arch + "' is not known: tensors keep their names");
  }
  result.notes.push_back("metadata and tokenizer are left out: safetensors has weights only");
  count_types(plan, result);
  result.bytes = safetensors_file_bytes(table);
  if (options.dry_run) return result;
  SafetensorsWriter writer(out, table, {.inputs = {in}});
  RowEncoder encoder(options.n_threads, options.cancel, options.thread_source);
  uint64_t done = 0;
  for (const ImportedTensor& tensor : plan) {
    encoder.run(tensor, [&](std::span<const std::byte> bytes) {
      writer.write(bytes);
      done += bytes.size();
      if (options.on_progress) options.on_progress(done, writer.file_bytes());
    });
  }
  file.require_unchanged();
  writer.finish();
  return result;
}

}  // namespace nibble
