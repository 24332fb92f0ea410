// Types of a planned conversion, and its writing.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>

#include "formats/io/error.h"
#include "quant/codec.h"
#include "runtime/convert/import_plan.h"
#include "runtime/model/buffer.h"
#include "runtime/threads/team.h"

namespace nibble {
namespace {

constexpr int64_t kPiece = 4 << 20;  // bytes written between two looks at the cancel token

/// general.file_type, the ecosystem's number for "mostly this type".
uint32_t file_type_of(DType type) {
  switch (type) {
    case DType::F32:
      return 0;
    case DType::F16:
      return 1;
    case DType::Q4_0:
      return 2;
    case DType::Q4_1:
      return 3;
    case DType::Q8_0:
      return 7;
    case DType::Q5_0:
      return 8;
    case DType::Q5_1:
      return 9;
    case DType::Q2_K:
      return 10;
    case DType::Q3_K:
      return 12;
    case DType::Q4_K:
      return 15;
    case DType::Q5_K:
      return 17;
    case DType::Q6_K:
      return 18;
    case DType::IQ4_NL:
      return 25;
    case DType::IQ4_XS:
      return 30;
    case DType::BF16:
      return 32;
    default:
      return 1024;  // "guessed": no number of the ecosystem
  }
}

bool is_float_type(DType type) {
  return type == DType::F32 || type == DType::F16 || type == DType::BF16;
}

/// The most bytes among the matrices.
DType main_type(const ImportPlan& plan) {
  std::vector<std::pair<DType, int64_t>> sums;
  for (const PlannedTensor& t : plan.tensors) {
    if (t.rows.shape.size() < 2) continue;
    auto it = std::find_if(sums.begin(), sums.end(),
                           [&](const auto& sum) { return sum.first == t.type; });
    if (it == sums.end()) it = sums.insert(sums.end(), {t.type, 0});
    it->second += t.rows.rows * row_bytes(t.type, t.rows.cols);
  }
  const auto most = std::max_element(
      sums.begin(), sums.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == sums.end() ? DType::F32 : most->first;
}

DType type_for(const PlannedTensor& tensor, std::optional<DType> wanted, bool allow_requantize,
               int64_t& n_fallen_back) {
  const WeightRows& rows = tensor.rows;
  if (rows.shape.size() < 2) return DType::F32;
  if (!wanted) return rows.type;
  DType type = *wanted;
  if (rows.cols % dtype_info(type).block_len != 0) {
    ++n_fallen_back;
    type = DType::F16;
  }
  if (rows.was_quantized && type != rows.type && type != DType::F32 && !allow_requantize) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: expected a type that holds it without loss ({} or F32), got {}",
                            rows.name, dtype_info(rows.type).name, dtype_info(type).name),
                "--allow-requantize rounds it a second time; leave the type away to keep it");
  }
  return type;
}

void check_cancel(const CancelToken* cancel) {
  if (cancel != nullptr && cancel->requested()) fail(ErrorCode::cancelled, "cancelled");
}

/// The row that becomes row `out`.
int64_t source_row(const PlannedTensor& tensor, int64_t out) {
  // A bias has its heads in the columns; see move_columns().
  if (tensor.transform != HfTransform::rope_rows || tensor.rows.shape.size() < 2) return out;
  const int64_t dim = tensor.rows.rows / tensor.heads;
  const int64_t in_head = out % dim;
  return out - in_head + in_head / 2 + in_head % 2 * (dim / 2);
}

/// rope_rows of a bias: element i of each head. from, to [heads * dim]
void move_columns(const float* from, int64_t cols, int64_t heads, float* to) {
  const int64_t dim = cols / heads;
  for (int64_t i = 0; i < cols; ++i) {
    const int64_t in_head = i % dim;
    to[i] = from[i - in_head + in_head / 2 + in_head % 2 * (dim / 2)];
  }
}

/// Infinity where a number is not finite.
float largest(const float* row, int64_t cols) {
  float most = 0;
  for (int64_t i = 0; i < cols; ++i) {
    const float magnitude = std::fabs(row[i]);
    if (!(magnitude <= most)) most = magnitude;  // NaN too
    if (!(most < std::numeric_limits<float>::infinity())) {
      return std::numeric_limits<float>::infinity();
    }
  }
  return most;
}

constexpr float kMostHalf = 65504;  // beyond, a half or a block's scale may be infinite

class PlanWriter {
 public:
  PlanWriter(const ImportPlan& plan, const std::string& out, const ConvertOptions& options)
      : plan_(plan),
        options_(options),
        team_(options.n_threads > 0 ? options.n_threads : default_threads()),
        writer_(out, plan.header, {.inputs = plan.inputs}) {}

  void tensor(const PlannedTensor& tensor) {
    const WeightRows& rows = tensor.rows;
    const int64_t stride = row_bytes(tensor.type, rows.cols);
    const int64_t step = std::clamp<int64_t>(kPiece / std::max<int64_t>(stride, 1), 1,
                                             std::max<int64_t>(rows.rows, 1));
    buffer_.reserve(step * stride);
    // For each thread a row as it was and a row as it will be.
    floats_.resize(2 * static_cast<size_t>(team_.size()) * static_cast<size_t>(rows.cols));
    for (int64_t first = 0; first < rows.rows; first += step) {
      check_cancel(options_.cancel);
      const int64_t n = std::min(step, rows.rows - first);
      encode(tensor, first, n, stride);
      writer_.write({buffer_.data(), static_cast<size_t>(n * stride)});
      done_ += static_cast<uint64_t>(n * stride);
      if (options_.on_progress) options_.on_progress(done_, writer_.file_bytes());
    }
    if (rows.give_back) rows.give_back(0, rows.rows);
  }

  uint64_t finish() {
    check_cancel(options_.cancel);
    writer_.finish();
    return writer_.file_bytes();
  }

 private:
  void encode(const PlannedTensor& tensor, int64_t first, int64_t n, int64_t stride) {
    TileCounter next;
    std::atomic<int64_t> bad{std::numeric_limits<int64_t>::max()};
    team_.run([&](int thread, Team&) {
      float* floats = floats_.data() + 2 * thread * tensor.rows.cols;
      for (int64_t i = next.next(); i < n; i = next.next()) {
        if (encode_row(tensor, source_row(tensor, first + i), floats,
                       buffer_.data() + i * stride)) {
          continue;
        }
        int64_t seen = bad.load();
        while (first + i < seen && !bad.compare_exchange_weak(seen, first + i)) {
        }
      }
    });
    if (bad != std::numeric_limits<int64_t>::max()) {
      throw Error(
          ErrorCode::bad_file,
          fmt::format("{}: row {}: expected numbers that {} holds, got one that is "
                      "infinite, no number or too large",
                      tensor.rows.name, source_row(tensor, bad), dtype_info(tensor.type).name),
          "the checkpoint may be damaged; BF16 holds what is only too large");
    }
  }

  // floats [2 * cols]. False: a number is not finite, or would not be.
  static bool encode_row(const PlannedTensor& tensor, int64_t row, float* floats, std::byte* to) {
    const WeightRows& rows = tensor.rows;
    const bool is_matrix = rows.shape.size() == 2;
    rows.floats(row, floats);
    const float most = largest(floats, rows.cols);
    if (std::isinf(most)) return false;
    if (tensor.type == rows.type && tensor.transform != HfTransform::plus_one && is_matrix) {
      rows.bytes(row, to);
      return true;
    }
    float* changed = floats + rows.cols;
    if (tensor.transform == HfTransform::plus_one) {
      for (int64_t i = 0; i < rows.cols; ++i) changed[i] = 1.0f + floats[i];
    } else if (tensor.transform == HfTransform::rope_rows && !is_matrix) {
      move_columns(floats, rows.cols, tensor.heads, changed);
    } else {
      changed = floats;
    }
    quantize_row(tensor.type, changed, rows.cols, to);
    if (most <= kMostHalf || tensor.type == DType::F32) return true;
    dequantize_row(tensor.type, to, rows.cols, floats);
    return !std::isinf(largest(floats, rows.cols));
  }

  const ImportPlan& plan_;
  const ConvertOptions& options_;
  Team team_;
  GgufWriter writer_;
  Buffer<std::byte> buffer_;
  std::vector<float> floats_;
  uint64_t done_ = 0;
};

}  // namespace

void finish_plan(ImportPlan& plan, std::optional<DType> type, bool allow_requantize) {
  if (type && !can_quantize(*type)) {
    fail(ErrorCode::bad_argument, "type {}: expected one that can be written",
         dtype_info(*type).name);
  }
  int64_t n_fallen_back = 0;
  for (PlannedTensor& tensor : plan.tensors) {
    tensor.type = type_for(tensor, type, allow_requantize, n_fallen_back);
  }
  if (n_fallen_back > 0) {
    plan.notes.push_back(fmt::format("{} tensors are F16: their rows are no multiple of {} long",
                                     n_fallen_back, dtype_info(*type).block_len));
  }
  const DType main = main_type(plan);
  plan.header.set("general.file_type", file_type_of(main));
  if (!is_float_type(main)) plan.header.set("general.quantization_version", uint32_t{2});
  for (const PlannedTensor& tensor : plan.tensors) {
    TensorInfo info;
    info.name = tensor.name;
    info.type_id = static_cast<uint32_t>(tensor.type);
    info.n_dims = static_cast<int>(tensor.rows.shape.size());
    std::copy(tensor.rows.shape.begin(), tensor.rows.shape.end(), info.shape);
    plan.header.add_tensor(info);
  }
}

ConvertResult write_plan(const ImportPlan& plan, const std::string& out,
                         const ConvertOptions& options) {
  ConvertResult result;
  result.notes = plan.notes;
  result.n_tensors = static_cast<int64_t>(plan.tensors.size());
  for (const PlannedTensor& tensor : plan.tensors) {
    auto it = std::find_if(result.types.begin(), result.types.end(),
                           [&](const auto& row) { return row.type == tensor.type; });
    if (it == result.types.end()) it = result.types.insert(result.types.end(), {tensor.type, 0});
    ++it->n_tensors;
  }
  if (options.dry_run) {
    result.bytes = plan.header.layout().file_bytes;
    return result;
  }
  PlanWriter writer(plan, out, options);
  for (const PlannedTensor& tensor : plan.tensors) writer.tensor(tensor);
  result.bytes = writer.finish();
  return result;
}

}  // namespace nibble
