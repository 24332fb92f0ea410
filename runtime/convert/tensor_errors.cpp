#include "runtime/convert/tensor_errors.h"

#include <algorithm>
#include <cmath>

#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "quant/dtype.h"
#include "quant/kernels/kernels.h"
#include "runtime/convert/row_error.h"
#include "runtime/model/buffer.h"
#include "runtime/threads/team.h"

namespace nibble {
namespace {

class Differ {
 public:
  Differ(const TensorFile& file, const TensorFile& other, int n_threads, const CancelToken* cancel)
      : file_(file),
        other_(other),
        team_(n_threads > 0 ? n_threads : default_threads()),
        cancel_(cancel) {}

  double error(const TensorInfo& a, const TensorInfo& b) {
    const int64_t cols = a.cols();
    sums_.assign(static_cast<size_t>(a.rows()), {});
    rows_.reserve(team_.size() * 2 * cols);
    TileCounter next;
    team_.run([&](int thread, Team&) {
      float* x = rows_.data() + thread * 2 * cols;
      for (int64_t r = next.next(); r < a.rows(); r = next.next()) {
        if (cancel_ != nullptr && cancel_->requested()) return;
        decode(file_, a, r, x);
        decode(other_, b, r, x + cols);
        sums_[static_cast<size_t>(r)] = row_error(x, x + cols, cols);
      }
    });
    if (cancel_ != nullptr && cancel_->requested()) fail(ErrorCode::cancelled, "cancelled");
    RowError all;
    for (const RowError& row : sums_) all.add(row);
    give_back(file_, a);
    give_back(other_, b);
    return all.square > 0 ? std::sqrt(all.difference / all.square) : std::sqrt(all.difference);
  }

 private:
  void decode(const TensorFile& file, const TensorInfo& info, int64_t row, float* out) noexcept {
    const auto type = static_cast<DType>(info.type_id);
    kernels_.dequantize_row({file.data(info).data(), type, info.rows(), info.cols()}, row, out);
  }
  static void give_back(const TensorFile& file, const TensorInfo& info) {
    if (file.map() != nullptr) file.map()->dont_need(info.offset, info.bytes);
  }

  const TensorFile& file_;
  const TensorFile& other_;
  const KernelTable& kernels_ = *best_kernels();
  Team team_;
  const CancelToken* cancel_;
  Buffer<float> rows_;  // [threads, 2, cols]
  std::vector<RowError> sums_;
};

}  // namespace

std::vector<TensorError> tensor_errors(const TensorFile& file, const TensorFile& other,
                                       int n_threads, const CancelToken* cancel) {
  Differ differ(file, other, n_threads, cancel);
  std::vector<TensorError> out;
  for (const TensorInfo& b : other.tensors()) {
    const TensorInfo* a = file.find(b.name);
    if (a == nullptr || find_dtype(a->type_id) == nullptr || find_dtype(b.type_id) == nullptr ||
        a->bytes == 0 || b.bytes == 0 || !std::equal(a->shape, a->shape + 4, b.shape)) {
      continue;
    }
    out.push_back({b.name, b.type_id, differ.error(*a, b)});
  }
  file.require_unchanged();
  other.require_unchanged();
  return out;
}

}  // namespace nibble
