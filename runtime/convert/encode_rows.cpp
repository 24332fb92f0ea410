#include "runtime/convert/encode_rows.h"

#include <algorithm>
#include <cmath>

#include "formats/io/error.h"
#include "quant/codec.h"
#include "runtime/convert/bad_row.h"
#include "runtime/convert/row_error.h"

namespace nibble {
namespace {

constexpr int64_t kPiece = 4 << 20;  // bytes handed on between two looks at the cancel token

/// Where element `out` of a head's `dim` comes from, counted over all heads.
int64_t rope_source(int64_t out, int64_t dim, bool inverse) {
  const int64_t in_head = out % dim;
  const int64_t half = dim / 2;
  const int64_t source =
      inverse ? in_head % half * 2 + in_head / half : in_head / 2 + in_head % 2 * half;
  return out - in_head + source;
}

/// The same of rows in groups of `group` queries, a key and a value; dim elements a head.
int64_t group_source(int64_t out, int64_t dim, int64_t group, int64_t kv_heads, bool inverse) {
  const int64_t head = out / dim, in_head = out % dim;
  int64_t source = 0;
  if (inverse) {
    const int64_t kv = head / (group + 2), place = head % (group + 2);
    source = place < group ? kv * group + place : place * kv_heads + kv;
  } else if (head < group * kv_heads) {
    source = head / group * (group + 2) + head % group;
  } else {
    const int64_t rest = head - group * kv_heads;  // keys, then values
    source = rest % kv_heads * (group + 2) + group + rest / kv_heads;
  }
  return source * dim + in_head;
}

/// What becomes number `out` of the n rows of a matrix, or elements of a bias.
int64_t source_of(const ImportedTensor& tensor, int64_t out, int64_t n) {
  if (tensor.transform == HfTransform::rope_rows) {
    return rope_source(out, n / tensor.heads, tensor.inverse);
  }
  if (tensor.transform == HfTransform::qkv_groups) {
    const int64_t dim = n / (tensor.heads + 2 * tensor.kv_heads);
    return group_source(out, dim, tensor.heads / tensor.kv_heads, tensor.kv_heads, tensor.inverse);
  }
  return out;
}

/// The row that becomes row `out`; a bias has its heads in the columns.
int64_t source_row(const ImportedTensor& tensor, int64_t out) {
  return tensor.rows.shape.size() < 2 ? out : source_of(tensor, out, tensor.rows.rows);
}

/// The same of a bias. from, to [cols]
void move_columns(const ImportedTensor& tensor, const float* from, float* to) {
  const int64_t cols = tensor.rows.cols;
  for (int64_t i = 0; i < cols; ++i) to[i] = from[source_of(tensor, i, cols)];
}

constexpr float kMostHalf = 65504;  // beyond, a half or a block's scale may be infinite

// floats [2 * cols]. False: a number is not finite, or would not be.
bool encode_row(const ImportedTensor& tensor, int64_t row, float* floats, std::byte* to) {
  const WeightRows& rows = tensor.rows;
  const bool is_matrix = rows.shape.size() >= 2;
  rows.floats(row, floats);
  const float most = largest_magnitude(floats, rows.cols);
  if (std::isinf(most)) return false;
  if (tensor.type == rows.type && tensor.transform != HfTransform::plus_one && is_matrix) {
    rows.bytes(row, to);
    return true;
  }
  float* changed = floats + rows.cols;
  if (tensor.transform == HfTransform::plus_one) {
    const float one = tensor.inverse ? -1.0f : 1.0f;
    for (int64_t i = 0; i < rows.cols; ++i) changed[i] = floats[i] + one;
  } else if (!is_matrix) {
    move_columns(tensor, floats, changed);
  } else {
    changed = floats;
  }
  quantize_row(tensor.type, changed, rows.cols, to);
  if (most <= kMostHalf || tensor.type == DType::F32) return true;
  dequantize_row(tensor.type, to, rows.cols, floats);
  return !std::isinf(largest_magnitude(floats, rows.cols));
}

}  // namespace

RowEncoder::RowEncoder(int n_threads, const CancelToken* cancel, const ThreadSource& source)
    : team_(n_threads > 0 ? n_threads : default_threads(), source), cancel_(cancel) {}

void RowEncoder::run(const ImportedTensor& tensor,
                     FunctionRef<void(std::span<const std::byte>)> sink) {
  const WeightRows& rows = tensor.rows;
  const int64_t stride = row_bytes(tensor.type, rows.cols);
  const int64_t step = std::clamp<int64_t>(kPiece / std::max<int64_t>(stride, 1), 1,
                                           std::max<int64_t>(rows.rows, 1));
  buffer_.reserve(step * stride);
  // For each thread a row as it was and a row as it will be.
  floats_.resize(2 * static_cast<size_t>(team_.size()) * static_cast<size_t>(rows.cols));
  for (int64_t first = 0; first < rows.rows; first += step) {
    if (cancel_ != nullptr && cancel_->requested()) fail(ErrorCode::cancelled, "cancelled");
    const int64_t n = std::min(step, rows.rows - first);
    encode(tensor, first, n, stride);
    sink({buffer_.data(), static_cast<size_t>(n * stride)});
  }
  if (rows.give_back) rows.give_back(0, rows.rows);
}

void RowEncoder::encode(const ImportedTensor& tensor, int64_t first, int64_t n, int64_t stride) {
  TileCounter next;
  FirstBadRow bad;
  team_.run([&](int thread, Team&) {
    float* floats = floats_.data() + 2 * thread * tensor.rows.cols;
    for (int64_t i = next.next(); i < n; i = next.next()) {
      std::byte* to = buffer_.data() + i * stride;
      if (encode_row(tensor, source_row(tensor, first + i), floats, to)) continue;
      bad.found(first + i);
    }
  });
  if (!bad.any()) return;
  throw Error(
      ErrorCode::bad_file,
      fmt::format("{}: row {}: expected numbers that {} holds, got one that is infinite, no "
                  "number or too large",
                  tensor.rows.name, source_row(tensor, bad.row()), dtype_info(tensor.type).name),
      "the checkpoint may be damaged; BF16 holds what is only too large");
}

}  // namespace nibble
