#include "runtime/convert/verify_file.h"

#include <algorithm>
#include <numeric>

#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "formats/io/stream_hash.h"
#include "quant/kernels/kernels.h"
#include "quant/stored_type.h"
#include "runtime/convert/bad_row.h"
#include "runtime/model/buffer.h"
#include "runtime/threads/float_environment.h"
#include "runtime/threads/team.h"

namespace nibble {
namespace {

constexpr uint64_t kPiece = 1 << 20;  // hashed, then decoded out of the cache

class Verifier {
 public:
  Verifier(const TensorFile& file, const VerifyFileOptions& options)
      : file_(file),
        options_(options),
        team_(options.n_threads > 0 ? options.n_threads : default_threads(), options.thread_source),
        hashes_(read_tensor_hashes(file)),
        computed_(file.tensors().size()),
        bad_rows_(file.tensors().size()),
        streams_(static_cast<size_t>(team_.size())) {
    int64_t cols = 0;
    for (const TensorInfo& info : file.tensors()) {
      total_ += info.bytes;
      if (find_stored_type(info.type_id)) cols = std::max(cols, info.cols());
    }
    stride_ = (cols + 15) / 16 * 16;
    rows_.reserve(team_.size() * stride_);
  }

  VerifyResult run() {
    // The largest first, or one thread would be left with it at the end.
    std::vector<size_t> order(file_.tensors().size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return file_.tensors()[a].bytes > file_.tensors()[b].bytes;
    });
    TileCounter next;
    team_.run([&](int thread, Team&) {
      const DefaultFloatEnvironment as_compiled;
      for (auto i = static_cast<size_t>(next.next()); i < order.size();
           i = static_cast<size_t>(next.next())) {
        if (cancelled()) return;
        check(thread, order[i]);
      }
    });
    if (cancelled()) fail(ErrorCode::cancelled, "cancelled");
    file_.require_unchanged();
    return result();
  }

 private:
  void check(int thread, size_t tensor) noexcept {
    const TensorInfo& info = file_.tensors()[tensor];
    const std::optional<StoredType> type = find_stored_type(info.type_id);
    const std::span<const std::byte> data = file_.data(info);
    StreamHash& hash = streams_[static_cast<size_t>(thread)];
    hash.reset();
    // A row of a packed matrix lies all over a group of rows: those come after the bytes.
    const bool packed = type && type->packed;
    const bool by_rows = type && !packed && info.bytes > 0;
    const uint64_t row = by_rows ? info.bytes / static_cast<uint64_t>(info.rows()) : 1;
    const uint64_t piece = std::max<uint64_t>(kPiece / row, 1) * row;
    for (uint64_t at = 0; at < data.size(); at += piece) {
      if (cancelled()) return;
      const uint64_t n = std::min(piece, data.size() - at);
      hash.add(data.subspan(at, n));
      const auto first = static_cast<int64_t>(at / row);
      if (by_rows) decode(thread, tensor, *type, first, first + static_cast<int64_t>(n / row));
      if (!packed) give_back(info.offset + at, n);
      report(thread, n);
    }
    if (packed) {
      decode(thread, tensor, *type, 0, info.rows());
      give_back(info.offset, info.bytes);
    }
    computed_[tensor] = hash.value();
  }

  void decode(int thread, size_t tensor, const StoredType& type, int64_t begin,
              int64_t end) noexcept {
    const TensorInfo& info = file_.tensors()[tensor];
    const Matrix matrix = {
        file_.data(info).data(), type.type, info.rows(), info.cols(), type.packed, type.form};
    float* x = rows_.data() + thread * stride_;  // [cols]
    for (int64_t r = begin; r < end && !cancelled(); ++r) {
      kernels_.dequantize_row(matrix, r, x);
      if (!all_finite(x, info.cols())) return bad_rows_[tensor].found(r);
    }
  }

  VerifyResult result() const {
    VerifyResult out;
    out.bytes = total_;
    out.hashes = hashes_.state;
    for (size_t i = 0; i < file_.tensors().size(); ++i) {
      const TensorInfo& info = file_.tensors()[i];
      ++out.n_tensors;
      if (!find_stored_type(info.type_id)) ++out.n_unknown;
      TensorDamage damage{info.name};
      damage.hash_differs = !hashes_.values.empty() && hashes_.values[i] != computed_[i];
      if (bad_rows_[i].any()) damage.bad_row = bad_rows_[i].row();
      if (damage.hash_differs || damage.bad_row >= 0) out.damages.push_back(std::move(damage));
    }
    return out;
  }

  void give_back(uint64_t offset, uint64_t bytes) const noexcept {
    if (file_.map() != nullptr) file_.map()->dont_need(offset, bytes);
  }

  void report(int thread, uint64_t bytes) noexcept {
    const uint64_t done = done_.fetch_add(bytes) + bytes;
    if (thread == 0 && options_.on_progress) options_.on_progress(done, total_);
  }

  bool cancelled() const noexcept {
    return options_.cancel != nullptr && options_.cancel->requested();
  }

  const TensorFile& file_;
  const VerifyFileOptions& options_;
  const KernelTable& kernels_ = *best_kernels();
  Team team_;
  TensorHashes hashes_;
  std::vector<uint64_t> computed_;     // [tensors]
  std::vector<FirstBadRow> bad_rows_;  // [tensors]
  std::vector<StreamHash> streams_;    // [threads]
  Buffer<float> rows_;                 // [threads, stride]
  int64_t stride_ = 0;
  uint64_t total_ = 0;
  std::atomic<uint64_t> done_{0};
};

}  // namespace

VerifyResult verify_file(const TensorFile& file, const VerifyFileOptions& options) {
  return Verifier(file, options).run();
}

}  // namespace nibble
