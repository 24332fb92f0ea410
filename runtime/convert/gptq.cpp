#include "runtime/convert/gptq.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "formats/io/error.h"
#include "quant/block_codes.h"
#include "quant/search.h"
#include "runtime/threads/float_environment.h"

namespace nibble {
namespace {

constexpr int64_t kTile = kPanelTokens;  // of products
constexpr int64_t kPanel = 256;          // columns between two products: a multiple of every block
constexpr int64_t kRows = 64;            // of weights that a thread rounds together
static_assert(kPanel % kMostBlockLen == 0 && kRows <= kPanelTokens);

int64_t tiles_of(int64_t n) {
  return (n + kTile - 1) / kTile;
}

/// One thread's memory for kRows rows of weights.
struct RowTile {
  Buffer<float> wanted;    // [n, kRows]: weights by position
  Buffer<float> error;     // [kRows, n]: weight - rounded weight; zero for what is still to come
  Buffer<std::byte> act;   // error, prepared
  Buffer<float> feedback;  // [kRows, kPanel]
  Buffer<float> sums;      // [kPanel, kRows]
  Buffer<float> lost;      // [kPanel, kRows]: error of the panel
  Buffer<float> base;      // [block_len, kRows]
  Buffer<float> unit;
  std::vector<int8_t> codes;       // [kRows, block_len]
  std::vector<float> importance;   // [block_len], by column
  std::vector<int64_t> positions;  // [n]: of each column
};

/// Rounds kRows rows at most, from the last position to the first.
class RowRounder {
 public:
  RowRounder(const KernelTable& kernels, const HessianFactor& factor, DType type, RowTile& tile,
             Gptq::Scales scales, const CancelToken* cancel)
      : kernels_(kernels),
        f_(factor),
        scales_(scales),
        cancel_(cancel),
        type_(type),
        levels_(*code_levels(type)),
        len_(dtype_info(type).block_len),
        block_bytes_(dtype_info(type).block_bytes),
        t_(tile) {}

  static void reserve(RowTile& t, const KernelTable& kernels, int64_t n, int64_t len) {
    t.wanted.reserve(n * kRows);
    t.error.reserve(n * kRows);
    t.act.reserve(kernels.act_bytes(ActLayout::f32, n, kRows));
    t.feedback.reserve(kRows * kPanel);
    t.sums.reserve(kPanel * kRows);
    t.lost.reserve(kPanel * kRows);
    t.base.reserve(len * kRows);
    t.unit.reserve(len * kRows);
    t.codes.resize(static_cast<size_t>(kRows * len));
    t.importance.resize(static_cast<size_t>(len));
    t.positions.resize(static_cast<size_t>(n));
  }

  // w [rows, n], out [rows] rows of the type
  void round(const float* w, int64_t rows, std::byte* out) noexcept {
    rows_ = rows;
    out_ = out;
    for (int64_t p = 0; p < f_.n; ++p) {
      const int64_t column = f_.order[static_cast<size_t>(p)];
      t_.positions[static_cast<size_t>(column)] = p;
      for (int64_t r = 0; r < kRows; ++r) {
        t_.wanted.data()[p * kRows + r] = r < rows ? w[r * f_.n + column] : 0.0f;
      }
    }
    std::fill_n(t_.error.data(), f_.n * kRows, 0.0f);
    for (int64_t end = f_.n; end > 0; end -= std::min(end, kPanel)) {
      if (cancel_ != nullptr && cancel_->requested()) return;
      round_panel(end - std::min(end, kPanel), end);
    }
  }

 private:
  void round_panel(int64_t begin, int64_t end) noexcept {
    begin_ = begin;
    take_feedback(end);
    for (int64_t at = end; at > begin; at -= len_) round_block(at - len_, at, end);
    for (int64_t p = begin; p < end; ++p) {
      const float* lost = t_.lost.data() + (p - begin) * kRows;
      for (int64_t r = 0; r < kRows; ++r) t_.error.data()[r * f_.n + p] = lost[r];
    }
  }

  /// sums = the feedback of all columns behind the panel.
  void take_feedback(int64_t end) noexcept {
    const int64_t n = end - begin_;
    if (end == f_.n) {
      std::fill_n(t_.sums.data(), n * kRows, 0.0f);
      return;
    }
    for (int64_t r = 0; r < kRows; ++r) {
      kernels_.prepare_act(ActLayout::f32, t_.error.data() + r * f_.n, f_.n, t_.act.data(), r,
                           kRows);
    }
    MatmulArgs args;
    args.w = {f_.u.data() + begin_ * f_.n, DType::F32, n, f_.n};
    args.act = t_.act.data();
    args.tokens = kRows;
    args.row_begin = 0;
    args.row_end = n;
    args.out = t_.feedback.data();
    args.out_stride = kPanel;
    kernels_.matmul(args);
    for (int64_t s = 0; s < n; ++s) {
      for (int64_t r = 0; r < kRows; ++r) {
        t_.sums.data()[s * kRows + r] = t_.feedback.data()[r * kPanel + s];
      }
    }
  }

  /// sums of positions [first, last) += feedback of those in [from, to), all of the panel.
  void add_feedback(int64_t first, int64_t last, int64_t from, int64_t to) noexcept {
    for (int64_t s = first; s < last; ++s) {
      float* sum = t_.sums.data() + (s - begin_) * kRows;
      const float* u = f_.u.data() + s * f_.n;
      for (int64_t t = from; t < to; ++t) {
        const float* lost = t_.lost.data() + (t - begin_) * kRows;
        const float factor = u[t];
        for (int64_t r = 0; r < kRows; ++r) sum[r] += factor * lost[r];
      }
    }
  }

  float wanted(int64_t p, int64_t r) const noexcept {
    const float u = f_.u.data()[p * f_.n + p];
    return t_.wanted.data()[p * kRows + r] + t_.sums.data()[(p - begin_) * kRows + r] / u;
  }

  /// Positions [begin, end): the columns of one block.
  void round_block(int64_t begin, int64_t end, int64_t panel_end) noexcept {
    add_feedback(begin, end, end, panel_end);
    const int64_t first_column = f_.order[static_cast<size_t>(begin)] / len_ * len_;
    take_scales(first_column);
    for (int64_t s = end; s-- > begin;) {
      add_feedback(s, s + 1, s + 1, end);
      const int64_t i = f_.order[static_cast<size_t>(s)] - first_column;
      float* lost = t_.lost.data() + (s - begin_) * kRows;
      for (int64_t r = 0; r < rows_; ++r) {
        const float base = t_.base.data()[i * kRows + r];
        const float unit = t_.unit.data()[i * kRows + r];
        const int code = nearest_code_to(levels_, base, unit, wanted(s, r));
        t_.codes[static_cast<size_t>(r * len_ + i)] = static_cast<int8_t>(code);
        lost[r] = t_.wanted.data()[s * kRows + r] - (base + unit * levels_.value(code));
      }
      for (int64_t r = rows_; r < kRows; ++r) lost[r] = 0.0f;
    }
    for (int64_t r = 0; r < rows_; ++r) {
      set_block_codes(type_, block(r, first_column), t_.codes.data() + r * len_);
    }
  }

  /// Of the block that starts at this column, for what its weights are to be by now.
  void take_scales(int64_t first_column) noexcept {
    float x[kMostBlockLen];
    float base[kMostBlockLen];
    float unit[kMostBlockLen];
    const int64_t* positions = t_.positions.data() + first_column;
    float largest = 0;
    for (int64_t i = 0; i < len_; ++i) {
      largest = std::max(largest, f_.u.data()[positions[i] * (f_.n + 1)]);
    }
    for (int64_t i = 0; i < len_; ++i) {
      const float u = f_.u.data()[positions[i] * (f_.n + 1)] / largest;
      t_.importance[static_cast<size_t>(i)] = u * u;
    }
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t i = 0; i < len_; ++i) x[i] = wanted(positions[i], r);
      if (scales_ == Gptq::Scales::search) {
        search_row(type_, x, t_.importance.data(), len_, block(r, first_column));
      }
      block_levels(type_, block(r, first_column), base, unit);
      for (int64_t i = 0; i < len_; ++i) {
        t_.base.data()[i * kRows + r] = base[i];
        t_.unit.data()[i * kRows + r] = unit[i];
      }
    }
  }

  std::byte* block(int64_t r, int64_t column) const noexcept {
    return out_ + r * row_bytes(type_, f_.n) + column / len_ * block_bytes_;
  }

  const KernelTable& kernels_;
  const HessianFactor& f_;
  Gptq::Scales scales_;
  const CancelToken* cancel_;
  DType type_;
  const CodeLevels& levels_;
  int64_t len_;
  int64_t block_bytes_;
  RowTile& t_;
  int64_t rows_ = 0;
  int64_t begin_ = 0;  // of the panel
  std::byte* out_ = nullptr;
};

/// Columns [first, first + len), the least diagonal first.
void append_sorted(const std::vector<float>& diagonal, int64_t first, int64_t len,
                   std::vector<int32_t>& out) {
  const auto begin = static_cast<ptrdiff_t>(out.size());
  for (int64_t i = 0; i < len; ++i) out.push_back(static_cast<int32_t>(first + i));
  std::stable_sort(out.begin() + begin, out.end(), [&](int32_t a, int32_t b) {
    return diagonal[static_cast<size_t>(a)] < diagonal[static_cast<size_t>(b)];
  });
}

/// The columns of a block stay together; blocks by their mean diagonal, least first.
std::vector<int32_t> order_of(const Hessian& h, int64_t len) {
  std::vector<float> diagonal(static_cast<size_t>(h.n));
  for (int64_t i = 0; i < h.n; ++i) diagonal[static_cast<size_t>(i)] = h.at(i, i);
  std::vector<double> mean(static_cast<size_t>(h.n / len));
  for (int64_t i = 0; i < h.n; ++i) {
    mean[static_cast<size_t>(i / len)] += static_cast<double>(diagonal[static_cast<size_t>(i)]);
  }
  std::vector<int32_t> blocks(mean.size());
  std::iota(blocks.begin(), blocks.end(), 0);
  std::stable_sort(blocks.begin(), blocks.end(), [&](int32_t a, int32_t b) {
    return mean[static_cast<size_t>(a)] < mean[static_cast<size_t>(b)];
  });
  std::vector<int32_t> order;
  for (const int32_t block : blocks) append_sorted(diagonal, block * len, len, order);
  return order;
}

}  // namespace

void Hessian::reset(int64_t columns) {
  sums.reserve(columns * columns);
  n = columns;
  std::fill_n(sums.data(), n * n, 0.0f);
}

void Gptq::check_cancel() const {
  if (cancel_ != nullptr && cancel_->requested()) fail(ErrorCode::cancelled, "cancelled");
}

template <typename F>
void Gptq::for_each_product(const float* x, int64_t n, int64_t k, int64_t first, F&& f) {
  const int64_t n_tiles = tiles_of(n);
  const int64_t tile_bytes = kernels_.act_bytes(ActLayout::f32, k, kTile);
  acts_.reserve(n_tiles * tile_bytes);
  tiles_.reserve(team_.size() * kTile * kTile);
  const int64_t begin = first / kTile;
  TileCounter next;
  team_.run([&](int thread, Team& team) {
    const DefaultFloatEnvironment as_compiled;
    const int64_t n_prepared = n - first;
    for (int64_t i = n_prepared * thread / team.size(); i < n_prepared * (thread + 1) / team.size();
         ++i) {
      const int64_t row = first + i;
      kernels_.prepare_act(ActLayout::f32, x + row * k, k, acts_.data() + row / kTile * tile_bytes,
                           row % kTile, std::min(kTile, n - row / kTile * kTile));
    }
    team.barrier();
    float* c = tiles_.data() + thread * kTile * kTile;
    const int64_t side = n_tiles - begin;
    for (int64_t at = next.next(); at < side * side; at = next.next()) {
      const int64_t i = begin + at / side;
      const int64_t j = begin + at % side;
      if (j < i || (cancel_ != nullptr && cancel_->requested())) continue;
      MatmulArgs args;
      args.w = {x + j * kTile * k, DType::F32, std::min(kTile, n - j * kTile), k};
      args.act = acts_.data() + i * tile_bytes;
      args.tokens = std::min(kTile, n - i * kTile);
      args.row_begin = 0;
      args.row_end = args.w.rows;
      args.out = c;
      args.out_stride = kTile;
      kernels_.matmul(args);
      f(i * kTile, args.tokens, j * kTile, args.w.rows, c);
    }
  });
  check_cancel();
}

void Gptq::add(Hessian& h, const float* x, int64_t tokens) {
  for_each_product(x, h.n, tokens, 0,
                   [&](int64_t i0, int64_t rows, int64_t j0, int64_t cols, const float* c) {
                     for (int64_t i = 0; i < rows; ++i) {
                       float* to = h.sums.data() + (i0 + i) * h.n + j0;
                       for (int64_t j = 0; j < cols; ++j) to[j] += c[i * kTile + j];
                     }
                   });
}

void Gptq::factor(const Hessian& h, int64_t block_len, HessianFactor& out) {
  out.n = h.n;
  out.block_len = block_len;
  out.order = order_of(h, block_len);
  out.u.reserve(h.n * h.n);
  double mean = 0;
  for (int64_t i = 0; i < h.n; ++i) mean += static_cast<double>(h.at(i, i));
  mean /= static_cast<double>(h.n);
  if (!std::isfinite(mean)) fail(ErrorCode::bad_argument, "inputs: expected finite numbers");
  // Inputs that are all zero: every column counts the same.
  const double unit = mean > 0 ? mean : 1.0;
  for (double damping = kDamping;; damping *= 10) {
    for (int64_t i = 0; i < h.n; ++i) {
      float* row = out.u.data() + i * h.n;
      std::fill_n(row, i, 0.0f);
      for (int64_t j = i; j < h.n; ++j) {
        row[j] = h.at(out.order[static_cast<size_t>(i)], out.order[static_cast<size_t>(j)]);
      }
      row[i] += static_cast<float>(damping * unit);
    }
    if (try_factor(out)) return;
    if (damping > 1e6) fail(ErrorCode::bad_argument, "inputs: expected finite numbers");
  }
}

/// Cholesky, right-looking, kTile rows at a time.
bool Gptq::try_factor(HessianFactor& f) {
  panel_.reserve(f.n * kTile);
  for (int64_t begin = 0; begin < f.n; begin += kTile) {
    const int64_t end = std::min(f.n, begin + kTile);
    factor_rows(f, begin, end);
    for (int64_t s = begin; s < end; ++s) {
      const float pivot = f.u.data()[s * f.n + s];
      if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    }
    if (end == f.n) break;
    const int64_t k = end - begin;
    for (int64_t t = end; t < f.n; ++t) {
      for (int64_t s = 0; s < k; ++s) panel_.data()[t * k + s] = f.u.data()[(begin + s) * f.n + t];
    }
    for_each_product(panel_.data(), f.n, k, end,
                     [&](int64_t i0, int64_t rows, int64_t j0, int64_t cols, const float* c) {
                       for (int64_t i = 0; i < rows; ++i) {
                         float* to = f.u.data() + (i0 + i) * f.n + j0;
                         for (int64_t j = 0; j < cols; ++j) {
                           if (j0 + j >= i0 + i) to[j] -= c[i * kTile + j];
                         }
                       }
                     });
  }
  return true;
}

/// Rows [begin, end), to which all rows before have been applied.
void Gptq::factor_rows(HessianFactor& f, int64_t begin, int64_t end) {
  team_.run([&](int thread, Team& team) {
    const DefaultFloatEnvironment as_compiled;
    if (thread == 0) {
      for (int64_t s = begin; s < end; ++s) {
        float* row = f.u.data() + s * f.n;
        for (int64_t m = begin; m < s; ++m) {
          const float* above = f.u.data() + m * f.n;
          for (int64_t t = s; t < end; ++t) row[t] -= above[s] * above[t];
        }
        const float pivot = std::sqrt(row[s]);
        row[s] = pivot;
        for (int64_t t = s + 1; t < end; ++t) row[t] /= pivot;
      }
    }
    team.barrier();
    const int64_t rest = f.n - end;
    const int64_t from = end + rest * thread / team.size();
    const int64_t to = end + rest * (thread + 1) / team.size();
    for (int64_t s = begin; s < end; ++s) {
      float* row = f.u.data() + s * f.n;
      for (int64_t m = begin; m < s; ++m) {
        const float* above = f.u.data() + m * f.n;
        for (int64_t t = from; t < to; ++t) row[t] -= above[s] * above[t];
      }
      for (int64_t t = from; t < to; ++t) row[t] /= row[s];
    }
  });
}

void Gptq::encode(const HessianFactor& factor, DType type, const float* w, int64_t rows,
                  std::byte* out, Scales scales) {
  const int64_t stride = row_bytes(type, factor.n);
  std::vector<RowTile> tiles(static_cast<size_t>(team_.size()));
  for (RowTile& tile : tiles) {
    RowRounder::reserve(tile, kernels_, factor.n, dtype_info(type).block_len);
  }
  TileCounter next;
  team_.run([&](int thread, Team&) {
    const DefaultFloatEnvironment as_compiled;
    RowRounder rounder(kernels_, factor, type, tiles[static_cast<size_t>(thread)], scales, cancel_);
    while (true) {
      const int64_t first = next.next() * kRows;
      if (first >= rows || (cancel_ != nullptr && cancel_->requested())) return;
      rounder.round(w + first * factor.n, std::min(kRows, rows - first), out + first * stride);
    }
  });
  check_cancel();
}

int64_t Gptq::scratch_bytes(int64_t n, int n_threads) noexcept {
  const int64_t floats = 3 * n * kRows + 4 * kPanel * kRows + kTile * kTile;
  return static_cast<int64_t>(sizeof(float)) * (n * n + 2 * n * kTile + n_threads * floats);
}

}  // namespace nibble
