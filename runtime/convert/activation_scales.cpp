#include "runtime/convert/activation_scales.h"

#include <algorithm>
#include <cmath>

#include "formats/io/error.h"
#include "quant/search.h"
#include "runtime/threads/float_environment.h"

namespace nibble {
namespace {

constexpr int kSteps = 10;  // of alpha
constexpr int64_t kRows = 16;

/// What one thread needs for kRows rows.
struct Scratch {
  Buffer<float> error;   // [kRows, n]
  Buffer<float> scaled;  // [n]
  Buffer<float> weight;  // [n]: importance of the scaled columns
  Buffer<std::byte> row;
  Buffer<std::byte> act;
  Buffer<float> product;  // [kRows, n]: error H
};

std::vector<float> scales_of(const Hessian& h, double alpha) {
  std::vector<float> s(static_cast<size_t>(h.n));
  double mean = 0;
  for (int64_t i = 0; i < h.n; ++i) mean += static_cast<double>(h.at(i, i));
  mean = mean > 0 ? mean / static_cast<double>(h.n) : 1.0;
  double least = 1e30, most = 0;
  for (int64_t i = 0; i < h.n; ++i) {
    // Columns that are hardly used are not made smaller without end.
    const double square = std::max(static_cast<double>(h.at(i, i)) / mean, 1e-4);
    const double value = std::pow(square, alpha / 2);
    s[static_cast<size_t>(i)] = static_cast<float>(value);
    least = std::min(least, value);
    most = std::max(most, value);
  }
  const double middle = std::sqrt(least * most);
  for (float& value : s) value = static_cast<float>(static_cast<double>(value) / middle);
  return s;
}

}  // namespace

double ActivationScales::loss(std::span<const ScaledUser> users, const std::vector<float>& scales) {
  const auto n = static_cast<int64_t>(scales.size());
  std::vector<Scratch> scratch(static_cast<size_t>(team_.size()));
  int64_t most_bytes = 0;
  for (const ScaledUser& user : users) most_bytes = std::max(most_bytes, row_bytes(user.type, n));
  for (Scratch& s : scratch) {
    s.error.reserve(kRows * n);
    s.scaled.reserve(n);
    s.weight.reserve(n);
    s.row.reserve(most_bytes);
    s.act.reserve(kernels_.act_bytes(ActLayout::f32, n, kRows));
    s.product.reserve(kRows * n);
  }
  double total = 0;
  for (const ScaledUser& user : users) {
    std::vector<double> of_rows(static_cast<size_t>(user.rows));
    TileCounter next;
    team_.run([&](int thread, Team&) {
      const DefaultFloatEnvironment as_compiled;
      Scratch& s = scratch[static_cast<size_t>(thread)];
      const float* importance = user.importance != nullptr ? s.weight.data() : nullptr;
      for (int64_t i = 0; i < n && importance != nullptr; ++i) {
        const float scale = scales[static_cast<size_t>(i)];
        s.weight.data()[i] = user.importance[i] / (scale * scale);
      }
      while (true) {
        const int64_t first = next.next() * kRows;
        if (first >= user.rows || (cancel_ != nullptr && cancel_->requested())) return;
        const int64_t rows = std::min(kRows, user.rows - first);
        for (int64_t r = 0; r < rows; ++r) {
          const float* w = user.sample + (first + r) * n;
          float* error = s.error.data() + r * n;
          for (int64_t i = 0; i < n; ++i) {
            s.scaled.data()[i] = w[i] * scales[static_cast<size_t>(i)];
          }
          search_row(user.type, s.scaled.data(), importance, n, s.row.data());
          kernels_.dequantize_row({s.row.data(), user.type, 1, n}, 0, error);
          for (int64_t i = 0; i < n; ++i) {
            error[i] = error[i] / scales[static_cast<size_t>(i)] - w[i];
          }
          kernels_.prepare_act(ActLayout::f32, error, n, s.act.data(), r, rows);
        }
        MatmulArgs args;
        args.w = {whole_.data(), DType::F32, n, n};
        args.act = s.act.data();
        args.tokens = rows;
        args.row_begin = 0;
        args.row_end = n;
        args.out = s.product.data();
        args.out_stride = n;
        kernels_.matmul(args);
        for (int64_t r = 0; r < rows; ++r) {
          double sum = 0;
          for (int64_t i = 0; i < n; ++i) {
            sum += static_cast<double>(s.error.data()[r * n + i]) *
                   static_cast<double>(s.product.data()[r * n + i]);
          }
          of_rows[static_cast<size_t>(first + r)] = sum;
        }
      }
    });
    if (cancel_ != nullptr && cancel_->requested()) fail(ErrorCode::cancelled, "cancelled");
    for (const double row : of_rows) total += row;
  }
  return total;
}

ColumnScales ActivationScales::search(const Hessian& h, std::span<const ScaledUser> users) {
  whole_.reserve(h.n * h.n);
  for (int64_t i = 0; i < h.n; ++i) {
    for (int64_t j = 0; j < h.n; ++j) whole_.data()[i * h.n + j] = h.at(i, j);
  }
  ColumnScales best;
  double least = 0, without = 0;
  for (int step = 0; step <= kSteps; ++step) {
    const double alpha = static_cast<double>(step) / kSteps;
    std::vector<float> scales = scales_of(h, alpha);
    const double lost = loss(users, scales);
    if (step == 0) without = least = lost;
    if (!(lost < least)) continue;
    least = lost;
    best.values = std::move(scales);
    best.alpha = alpha;
  }
  best.gain = least > 0 ? without / least : 1;
  return best;
}

void unscale(Hessian& h, const std::vector<float>& scales) noexcept {
  for (int64_t i = 0; i < h.n; ++i) {
    float* row = h.sums.data() + i * h.n;
    for (int64_t j = i; j < h.n; ++j) {
      row[j] /= scales[static_cast<size_t>(i)] * scales[static_cast<size_t>(j)];
    }
  }
}

}  // namespace nibble
