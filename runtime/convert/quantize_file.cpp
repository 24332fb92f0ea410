#include "runtime/convert/quantize_file.h"

#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>

#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "formats/io/quote.h"
#include "quant/kernels/kernels.h"
#include "quant/search.h"
#include "runtime/convert/bad_row.h"
#include "runtime/convert/row_error.h"
#include "runtime/model/buffer.h"
#include "runtime/threads/float_environment.h"
#include "runtime/threads/team.h"

namespace nibble {
namespace {

constexpr int64_t kSliceElements = 4 << 20;  // decoded and encoded between two writes
constexpr int64_t kTileElements = 64 << 10;  // a thread's work between two looks at the token
constexpr double kLargestHalf = 65504;
constexpr uint64_t kPiece = 4 << 20;  // copied between two looks at it

/// What is wrong with rows: the lowest of either kind.
struct BadRows {
  FirstBadRow source;
  FirstBadRow result;
};

/// What a file that is there must have been made from to be continued: this input, this importance,
/// encoders that do the same.
uint64_t resume_key(const TensorFile& in, const QuantizePlan& plan) {
  std::vector<uint64_t> parts = {in.file_bytes().size()};
  for (const std::string& path : in.paths()) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) continue;
    parts.push_back(static_cast<uint64_t>(status.st_dev));
    parts.push_back(static_cast<uint64_t>(status.st_ino));
    parts.push_back(static_cast<uint64_t>(status.st_mtim.tv_sec));
    parts.push_back(static_cast<uint64_t>(status.st_mtim.tv_nsec));
  }
  constexpr int64_t kProbe = 256;  // a multiple of every block length
  float x[kProbe];
  for (int64_t i = 0; i < kProbe; ++i) x[i] = static_cast<float>(i * 37 % 101 - 50) / 64;
  std::byte row[kProbe * sizeof(float)];
  for (const PlannedTensor& tensor : plan.tensors) {
    if (!tensor.changes()) continue;
    const auto type = static_cast<DType>(tensor.type_id);
    search_row(type, x, nullptr, kProbe, row);
    parts.push_back(XXH3_64bits(row, static_cast<size_t>(row_bytes(type, kProbe))));
    if (tensor.importance == nullptr) continue;
    const std::vector<float>& sums = tensor.importance->sums;
    parts.push_back(XXH3_64bits(sums.data(), sums.size() * sizeof(float)));
  }
  return XXH3_64bits(parts.data(), parts.size() * sizeof(uint64_t));
}

class Quantizer {
 public:
  Quantizer(const TensorFile& in, const std::string& out, const QuantizePlan& plan,
            const QuantizeFileOptions& options)
      : in_(in),
        plan_(plan),
        options_(options),
        team_(options.n_threads > 0 ? options.n_threads : default_threads(), options.thread_source),
        writer_(out, plan.header, {.inputs = in.paths(), .resumable = options.layers == nullptr},
                resume_key(in, plan)) {
    progress_.n_tensors = static_cast<int64_t>(plan.tensors.size());
    progress_.total = plan.source_bytes;
  }

  QuantizeResult run() {
    try {
      take_over();
      write_tensors();
      finish_header();
      check_cancel();
    } catch (const Error& e) {
      const bool resumable = options_.layers == nullptr;
      if (resumable && (e.code() == ErrorCode::cancelled || measuring_)) writer_.keep();
      throw;
    }
    writer_.finish();
    result_.file_bytes = writer_.file_bytes();
    return std::move(result_);
  }

 private:
  void take_over() {
    for (const GgufCheckpoint& done : writer_.checkpoints()) {
      result_.errors.push_back(done.value);
      progress_.done += plan_.tensors[static_cast<size_t>(progress_.tensor++)].source.bytes;
    }
    result_.n_resumed = progress_.tensor;
    report(0);
  }

  void write_tensors() {
    while (progress_.tensor < progress_.n_tensors) {
      const PlannedTensor& tensor = plan_.tensors[static_cast<size_t>(progress_.tensor)];
      check_cancel();
      const float error = write_tensor(tensor);
      in_.require_unchanged();
      if (options_.layers == nullptr) writer_.checkpoint(error);
      result_.errors.push_back(error);
      ++progress_.tensor;
      report(0);
    }
  }

  float write_tensor(const PlannedTensor& tensor) {
    if (options_.layers == nullptr || !options_.layers->encodes(progress_.tensor)) {
      return tensor.changes() ? encode(tensor) : copy(tensor);
    }
    const EncodedTensor encoded = options_.layers->take(progress_.tensor);
    for (size_t i = 0; i < encoded.bytes.size(); i += kPiece) {
      put({encoded.bytes.data() + i, std::min<size_t>(kPiece, encoded.bytes.size() - i)});
    }
    give_back(tensor.source.offset, tensor.source.bytes);
    report(tensor.source.bytes);
    return encoded.error;
  }

  void finish_header() {
    if (!options_.finish_header) return;
    GgufHeader header = plan_.header;
    const std::string file = writer_.flushed_path();
    measuring_ = true;
    options_.finish_header(file, result_.errors, header);
    measuring_ = false;
    writer_.replace_header(header);
  }

  float encode(const PlannedTensor& tensor) {
    const int64_t cols = tensor.source.cols();
    const auto to = static_cast<DType>(tensor.type_id);
    const int64_t out_row = row_bytes(to, cols);
    prepare_importance(tensor);
    RowError sum;
    for_each_slice(tensor, [&](int64_t begin, int64_t end) {
      std::swap(encoded_[0], encoded_[1]);  // the slice before is written meanwhile
      encoded_[0].reserve((end - begin) * out_row);
      work_on_rows(tensor, begin, end, &sum);
      unwritten_ = {encoded_[0].data(), static_cast<size_t>((end - begin) * out_row)};
    });
    write_encoded();
    return sum.square > 0 ? static_cast<float>(std::sqrt(sum.difference / sum.square)) : 0.0f;
  }

  float copy(const PlannedTensor& tensor) {
    const std::span<const std::byte> data = in_.data(tensor.source);
    if (find_dtype(tensor.type_id) == nullptr || data.empty()) {  // nobody here can look inside
      put_pieces(tensor.source, data, 0);
      report(data.size());
      return 0;
    }
    const auto row =
        static_cast<uint64_t>(row_bytes(static_cast<DType>(tensor.type_id), tensor.source.cols()));
    for_each_slice(tensor, [&](int64_t begin, int64_t end) {
      work_on_rows(tensor, begin, end, nullptr);
      const uint64_t at = static_cast<uint64_t>(begin) * row;
      put_pieces(tensor.source, data.subspan(at, static_cast<uint64_t>(end - begin) * row), at);
    });
    return 0;
  }

  /// f(first row, row after the last), in order; the source's pages are given back after each.
  template <typename F>
  void for_each_slice(const PlannedTensor& tensor, F&& f) {
    const TensorInfo& info = tensor.source;
    const int64_t cols = std::max<int64_t>(info.cols(), 1);
    const int64_t step = std::max<int64_t>(1, kSliceElements / cols);
    const int64_t n_rows = info.bytes == 0 ? 0 : info.rows();
    for (int64_t begin = 0; begin < n_rows; begin += step) {
      const int64_t end = std::min(n_rows, begin + step);
      f(begin, end);
      const auto row = static_cast<uint64_t>(row_bytes(static_cast<DType>(info.type_id), cols));
      const uint64_t bytes = static_cast<uint64_t>(end - begin) * row;
      give_back(info.offset + static_cast<uint64_t>(begin) * row, bytes);
      report(bytes);
    }
  }

  /// Decodes rows, checks them and, where the tensor changes, encodes them into encoded_.
  void work_on_rows(const PlannedTensor& tensor, int64_t begin, int64_t end, RowError* sum) {
    const int64_t cols = tensor.source.cols();
    const int64_t tile = std::max<int64_t>(1, kTileElements / std::max<int64_t>(cols, 1));
    const int64_t stride = (cols + 15) / 16 * 16;
    rows_.reserve(team_.size() * 2 * stride);
    errors_.assign(static_cast<size_t>(end - begin), {});
    TileCounter tiles;
    BadRows bad;
    std::exception_ptr unwritable;
    team_.run([&](int thread, Team&) {
      if (thread == 0) unwritable = write_in_team();
      const DefaultFloatEnvironment as_compiled;
      float* x = rows_.data() + thread * 2 * stride;
      while (true) {
        const int64_t first = begin + tiles.next() * tile;
        if (first >= end || cancelled()) return;
        for (int64_t r = first; r < std::min(end, first + tile); ++r) {
          do_row(tensor, r, begin, x, x + stride, bad);
        }
      }
    });
    if (unwritable) std::rethrow_exception(unwritable);
    check_cancel();
    if (bad.source.any() || bad.result.any()) fail_row(tensor, bad);
    if (sum == nullptr) return;
    for (const RowError& row : errors_) sum->add(row);
  }

  // x, y [cols]: the row, and what its encoded form says.
  void do_row(const PlannedTensor& tensor, int64_t r, int64_t begin, float* x, float* y,
              BadRows& bad) noexcept {
    const TensorInfo& info = tensor.source;
    const int64_t cols = info.cols();
    const auto from = static_cast<DType>(info.type_id);
    kernels_.dequantize_row({in_.data(info).data(), from, info.rows(), cols}, r, x);
    if (!all_finite(x, cols)) return bad.source.found(r);
    if (!tensor.changes()) return;
    const auto to = static_cast<DType>(tensor.type_id);
    std::byte* out = encoded_[0].data() + (r - begin) * row_bytes(to, cols);
    search_row(to, x, importance_of(tensor, r), cols, out);
    kernels_.dequantize_row({out, to, 1, cols}, 0, y);
    const RowError error = row_error(x, y, cols);
    if (!std::isfinite(error.difference)) return bad.result.found(r);
    // Half lost, and beyond what a half-precision scale can be: it stopped at its largest.
    const bool stopped = error.square > kLargestHalf * kLargestHalf;
    if (stopped && error.difference > error.square / 2) return bad.result.found(r);
    errors_[static_cast<size_t>(r - begin)] = error;
  }

  void prepare_importance(const PlannedTensor& tensor) {
    if (tensor.importance == nullptr) return;
    const ImatrixEntry& entry = *tensor.importance;
    importance_.resize(entry.sums.size());
    for (int64_t i = 0; i < entry.n_matrices(); ++i) {
      column_importance(entry, i, importance_.data() + i * entry.cols);
    }
  }

  /// [cols], or nullptr. Rows of a tensor of experts have their own expert's.
  const float* importance_of(const PlannedTensor& tensor, int64_t row) const noexcept {
    if (tensor.importance == nullptr) return nullptr;
    const int64_t n = tensor.importance->n_matrices();
    const int64_t i = row / std::max<int64_t>(1, tensor.source.rows() / n);
    return importance_.data() + std::min(i, n - 1) * tensor.importance->cols;
  }

  [[noreturn]] void fail_row(const PlannedTensor& tensor, const BadRows& bad) const {
    const bool source = bad.source.any() && bad.source.row() <= bad.result.row();
    const std::string where =
        fmt::format("{}: tensor {}: row {}", in_.path(), quoted(tensor.source.name),
                    source ? bad.source.row() : bad.result.row());
    if (source) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("{}: expected finite values, got an infinite one or NaN", where),
                  "the file is damaged or its training failed; get it again");
    }
    throw Error(ErrorCode::bad_argument,
                fmt::format("{}: expected values that {} can hold, got larger ones", where,
                            dtype_info(static_cast<DType>(tensor.type_id)).name),
                "keep this tensor: --tensor-type NAME=F32");
  }

  void put(std::span<const std::byte> bytes) {
    check_cancel();
    writer_.write(bytes);
  }

  /// The slice encoded last.
  void write_encoded() {
    const std::span<const std::byte> bytes = unwritten_;
    unwritten_ = {};
    if (!bytes.empty()) put(bytes);
  }

  /// The same while the others encode: nothing may be thrown there.
  std::exception_ptr write_in_team() noexcept {
    try {
      write_encoded();
      return nullptr;
    } catch (...) {
      return std::current_exception();
    }
  }

  /// at: of the data in its tensor.
  void put_pieces(const TensorInfo& info, std::span<const std::byte> data, uint64_t at) {
    for (uint64_t i = 0; i < data.size(); i += kPiece) {
      const uint64_t n = std::min<uint64_t>(kPiece, data.size() - i);
      put(data.subspan(i, n));
      give_back(info.offset + at + i, n);
    }
  }

  void give_back(uint64_t offset, uint64_t bytes) {
    if (in_.map() != nullptr) in_.map()->dont_need(offset, bytes);
  }

  bool cancelled() const noexcept {
    return options_.cancel != nullptr && options_.cancel->requested();
  }
  void check_cancel() const {
    if (cancelled()) fail(ErrorCode::cancelled, "cancelled");
  }

  void report(uint64_t bytes) {
    progress_.done += bytes;
    if (options_.on_progress) options_.on_progress(progress_);
  }

  const TensorFile& in_;
  const QuantizePlan& plan_;
  const QuantizeFileOptions& options_;
  const KernelTable& kernels_ = *best_kernels();
  Team team_;
  GgufWriter writer_;
  bool measuring_ = false;  // every tensor is written and a caller looks at them
  QuantizeProgress progress_;
  QuantizeResult result_;
  Buffer<float> rows_;                        // [threads, 2, stride]
  std::array<Buffer<std::byte>, 2> encoded_;  // rows of a slice, and of the one before
  std::span<const std::byte> unwritten_;      // of encoded_
  std::vector<float> importance_;             // [matrices of the tensor, cols]
  std::vector<RowError> errors_;              // of the rows of a slice
};

}  // namespace

QuantizeResult quantize_file(const TensorFile& in, const std::string& out, const QuantizePlan& plan,
                             const QuantizeFileOptions& options) {
  return Quantizer(in, out, plan, options).run();
}

}  // namespace nibble
