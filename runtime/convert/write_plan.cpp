// Types of a planned conversion, and its writing.
#include <algorithm>

#include "formats/io/error.h"
#include "quant/codec.h"
#include "runtime/convert/encode_rows.h"
#include "runtime/convert/import_plan.h"
#include "runtime/convert/quant_mix.h"

namespace nibble {
namespace {

/// general.file_type: the number of the mix that is mostly this type, as quantize gives it.
uint32_t file_type_of(DType type) {
  constexpr uint32_t kGuessed = 1024;  // no number of the ecosystem
  const QuantMix* mix = find_mix(std::string_view(dtype_info(type).name));
  return mix == nullptr ? kGuessed : mix->file_type;
}

bool is_float_type(DType type) {
  return type == DType::F32 || type == DType::F16 || type == DType::BF16;
}

/// The most bytes among the matrices.
DType main_type(const ImportPlan& plan) {
  std::vector<std::pair<DType, int64_t>> sums;
  for (const ImportedTensor& t : plan.tensors) {
    if (t.rows.shape.size() < 2 || t.stays_float) continue;
    auto it = std::find_if(sums.begin(), sums.end(),
                           [&](const auto& sum) { return sum.first == t.type; });
    if (it == sums.end()) it = sums.insert(sums.end(), {t.type, 0});
    it->second += t.rows.rows * row_bytes(t.type, t.rows.cols);
  }
  const auto most = std::max_element(
      sums.begin(), sums.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == sums.end() ? DType::F32 : most->first;
}

DType type_for(const ImportedTensor& tensor, std::optional<DType> wanted, bool allow_requantize,
               int64_t& n_fallen_back) {
  const WeightRows& rows = tensor.rows;
  if (rows.shape.size() < 2 || tensor.stays_float) return DType::F32;
  if (!wanted && rows.was_quantized && rows.type == DType::F32) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: no type but F32 holds its numbers without loss", rows.name),
                "give F32 to keep every bit, or another type with --allow-requantize");
  }
  if (!wanted) return rows.type;
  DType type = *wanted;
  if (rows.cols % dtype_info(type).block_len != 0) {
    ++n_fallen_back;
    type = DType::F16;
  }
  if (rows.was_quantized && type != rows.type && type != DType::F32 && !allow_requantize) {
    throw Error(
        ErrorCode::unsupported,
        fmt::format(
            "{}: expected a type that holds it without loss ({}F32), got {}", rows.name,
            rows.type == DType::F32 ? "" : fmt::format("{} or ", dtype_info(rows.type).name),
            dtype_info(type).name),
        "--allow-requantize rounds it a second time; leave the type away to keep it");
  }
  return type;
}

}  // namespace

void finish_plan(ImportPlan& plan, std::optional<DType> type, bool allow_requantize) {
  if (type && !can_quantize(*type)) {
    fail(ErrorCode::bad_argument, "type {}: expected one that can be written",
         dtype_info(*type).name);
  }
  int64_t n_fallen_back = 0;
  for (ImportedTensor& tensor : plan.tensors) {
    tensor.type = type_for(tensor, type, allow_requantize, n_fallen_back);
  }
  if (n_fallen_back > 0) {
    plan.notes.push_back(fmt::format("{} tensors are F16: their rows are no multiple of {} long",
                                     n_fallen_back, dtype_info(*type).block_len));
  }
  const DType main = main_type(plan);
  plan.header.set("general.file_type", file_type_of(main));
  plan.header.want_hashes();
  if (!is_float_type(main)) plan.header.set("general.quantization_version", uint32_t{2});
  for (const ImportedTensor& tensor : plan.tensors) {
    TensorInfo info;
    info.name = tensor.name;
    info.type_id = static_cast<uint32_t>(tensor.type);
    info.n_dims = static_cast<int>(tensor.rows.shape.size());
    std::copy(tensor.rows.shape.begin(), tensor.rows.shape.end(), info.shape);
    plan.header.add_tensor(info);
  }
}

void count_types(std::span<const ImportedTensor> tensors, ConvertResult& result) {
  result.n_tensors = static_cast<int64_t>(tensors.size());
  for (const ImportedTensor& tensor : tensors) {
    auto it = std::find_if(result.types.begin(), result.types.end(),
                           [&](const auto& row) { return row.type == tensor.type; });
    if (it == result.types.end()) it = result.types.insert(result.types.end(), {tensor.type, 0});
    ++it->n_tensors;
  }
}

ConvertResult write_plan(const ImportPlan& plan, const std::string& out,
                         const ConvertOptions& options) {
  ConvertResult result;
  result.notes = plan.notes;
  count_types(plan.tensors, result);
  if (options.dry_run) {
    result.bytes = plan.header.layout().file_bytes;
    return result;
  }
  GgufWriter writer(out, plan.header, {.inputs = plan.inputs});
  RowEncoder encoder(options.n_threads, options.cancel, options.thread_source);
  uint64_t done = 0;
  for (const ImportedTensor& tensor : plan.tensors) {
    encoder.run(tensor, [&](std::span<const std::byte> bytes) {
      writer.write(bytes);
      done += bytes.size();
      if (options.on_progress) options.on_progress(done, writer.file_bytes());
    });
  }
  plan.require_unchanged();
  writer.finish();
  result.bytes = writer.file_bytes();
  return result;
}

}  // namespace nibble
