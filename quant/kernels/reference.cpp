// The slow twin: every entry of the kernel table in double precision, one obvious loop each.
// It is the oracle of all other tables, and a table itself, so any model runs end to end on it
// (--isa reference). Activations stay float32 and weights are decoded exactly, so its only rounding
// is that of the results.
#include <cmath>
#include <cstring>

#include "quant/block/half.h"
#include "quant/codec.h"
#include "quant/kernels/tables.h"

namespace nibble {
namespace {

constexpr int64_t kChunk = 1024;  // columns decoded at a time; a multiple of every block length
constexpr int64_t kTile = 32;     // tokens that share a decoded chunk
constexpr int64_t kValueTile = 256;

// Columns [col, col + n) of row r, packed or not.
void decode(const Matrix& w, int64_t r, int64_t col, int64_t n, float* out) {
  if (w.packed) {
    const PackedLayout layout = packed_layout(w.type, w.rows, w.cols, w.form);
    return dequantize_packed(w.type, layout, w.data, r, col, n, out);
  }
  const auto* row = static_cast<const uint8_t*>(w.data) + r * row_bytes(w.type, w.cols);
  dequantize_row(w.type, row + row_bytes(w.type, col), n, out);
}

ActLayout act_layout(DType) noexcept {
  return ActLayout::f32;
}

int64_t stride_of(int64_t k) {
  return (k * 4 + 63) / 64 * 64;
}

int64_t act_bytes(ActLayout, int64_t k, int64_t tokens) noexcept {
  return tokens * stride_of(k);
}

void prepare_act(ActLayout, const float* x, int64_t k, void* act, int64_t t, int64_t) noexcept {
  std::memcpy(static_cast<uint8_t*>(act) + t * stride_of(k), x,
              static_cast<size_t>(k) * sizeof(float));
}

// One weight row against `tokens` <= kTile input rows, beginning with token t0.
void matmul_row(const MatmulArgs& a, int64_t r, int64_t t0, int64_t tokens) {
  float weight[kChunk];
  double sum[kTile] = {};
  const auto* act = static_cast<const uint8_t*>(a.act);
  const int64_t stride = stride_of(a.w.cols);
  for (int64_t c = 0; c < a.w.cols; c += kChunk) {
    const int64_t n = a.w.cols - c < kChunk ? a.w.cols - c : kChunk;
    decode(a.w, r, c, n, weight);
    for (int64_t t = 0; t < tokens; ++t) {
      const float* x = reinterpret_cast<const float*>(act + (t0 + t) * stride) + c;
      for (int64_t i = 0; i < n; ++i) {
        sum[t] += static_cast<double>(weight[i]) * static_cast<double>(x[i]);
      }
    }
  }
  for (int64_t t = 0; t < tokens; ++t) {
    a.out[(t0 + t) * a.out_stride + r] = static_cast<float>(sum[t]);
  }
}

void matmul(const MatmulArgs& a) noexcept {
  const int64_t end = a.token_end < a.tokens ? a.token_end : a.tokens;
  for (int64_t r = a.row_begin; r < a.row_end; ++r) {
    for (int64_t t = a.token_begin; t < end; t += kTile) {
      matmul_row(a, r, t, end - t < kTile ? end - t : kTile);
    }
  }
}

void rms_norm(const float* x, const float* weight, int64_t n, float eps, float* out) noexcept {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  const double inverse = 1.0 / std::sqrt(sum / static_cast<double>(n) + static_cast<double>(eps));
  for (int64_t i = 0; i < n; ++i) {
    const double w = weight == nullptr ? 1.0 : static_cast<double>(weight[i]);
    out[i] = static_cast<float>(static_cast<double>(x[i]) * inverse * w);
  }
}

void rope(float* x, int64_t heads, int64_t head_dim, int64_t rope_dim, const float* cos_sin,
          RopeKind kind) noexcept {
  const int64_t half = rope_dim / 2;
  const int64_t step = kind == RopeKind::adjacent ? 2 : 1;
  const int64_t apart = kind == RopeKind::adjacent ? 1 : half;
  for (int64_t h = 0; h < heads; ++h) {
    float* head = x + h * head_dim;
    for (int64_t i = 0; i < half; ++i) {
      const auto c = static_cast<double>(cos_sin[2 * i]);
      const auto s = static_cast<double>(cos_sin[2 * i + 1]);
      const auto a = static_cast<double>(head[i * step]);
      const auto b = static_cast<double>(head[i * step + apart]);
      head[i * step] = static_cast<float>(a * c - b * s);
      head[i * step + apart] = static_cast<float>(a * s + b * c);
    }
  }
}

double activate(Activation kind, double x) {
  if (kind == Activation::silu) return x / (1.0 + std::exp(-x));
  constexpr double kSqrt2OverPi = 0.79788456080286535588;
  // x/2 (1 + tanh(u)) = x / (1 + e^-2u), without the cancellation left of zero.
  return x / (1.0 + std::exp(-2.0 * kSqrt2OverPi * (x + 0.044715 * x * x * x)));
}

void glu(Activation kind, const float* gate, const float* up, int64_t n, float* out) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    out[i] = static_cast<float>(activate(kind, static_cast<double>(gate[i])) *
                                static_cast<double>(up[i]));
  }
}

void add(float* x, const float* y, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) x[i] += y[i];
}

void scale(float* x, int64_t n, float s) noexcept {
  for (int64_t i = 0; i < n; ++i) x[i] *= s;
}

double capped(double x, float cap) {
  return cap > 0 ? static_cast<double>(cap) * std::tanh(x / static_cast<double>(cap)) : x;
}

void softcap(float* x, int64_t n, float cap) noexcept {
  for (int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(capped(static_cast<double>(x[i]), cap));
}

void store_item(KvType type, float x, void* slab, int64_t at) {
  if (type == KvType::f32) {
    static_cast<float*>(slab)[at] = x;
  } else {
    quantize_row(DType::F16, &x, 1, static_cast<uint16_t*>(slab) + at);
  }
}

void store_key(KvType type, const float* x, int64_t n, void* slab, int64_t slot) noexcept {
  for (int64_t i = 0; i < n; ++i) store_item(type, x[i], slab, i * kKvPageLen + slot);
}

void store_value(KvType type, const float* x, int64_t n, void* slab, int64_t slot) noexcept {
  for (int64_t i = 0; i < n; ++i) store_item(type, x[i], slab, slot * n + i);
}

// Element `at` of the slab of the page that holds pos.
double load_item(const AttendArgs& a, int64_t pos, int64_t slab, int64_t at) {
  const auto* p = static_cast<const uint8_t*>(a.pages[pos / kKvPageLen]) + slab;
  const float x = a.kv_type == KvType::f32
                      ? reinterpret_cast<const float*>(p)[at]
                      : block::half_to_float(reinterpret_cast<const uint16_t*>(p)[at]);
  return static_cast<double>(x);
}

double score(const AttendArgs& a, const float* q, int64_t pos) {
  double sum = 0;
  for (int64_t d = 0; d < a.head_dim_k; ++d) {
    sum += static_cast<double>(q[d]) *
           load_item(a, pos, a.k_offset, d * kKvPageLen + pos % kKvPageLen);
  }
  return capped(sum * static_cast<double>(a.scale), a.softcap);
}

// Values d0 .. d0 + n of one head, n <= kValueTile: a page of scores at a time, with a running
// maximum.
void attend_values(const AttendArgs& a, const float* q, int64_t begin, int64_t end, int64_t d0,
                   int64_t n, float* out) {
  double peak = -HUGE_VAL;
  double total = 0;
  double sum[kValueTile] = {};
  while (begin < end) {
    const int64_t stop = begin / kKvPageLen * kKvPageLen + kKvPageLen < end
                             ? (begin / kKvPageLen + 1) * kKvPageLen
                             : end;
    double scores[kKvPageLen];
    double highest = peak;
    for (int64_t p = begin; p < stop; ++p) {
      scores[p - begin] = score(a, q, p);
      highest = std::fmax(highest, scores[p - begin]);
    }
    const double correction = std::exp(peak - highest);
    peak = highest;
    total *= correction;
    for (int64_t i = 0; i < n; ++i) sum[i] *= correction;
    for (int64_t p = begin; p < stop; ++p) {
      const double weight = std::exp(scores[p - begin] - peak);
      total += weight;
      for (int64_t i = 0; i < n; ++i) {
        sum[i] += weight * load_item(a, p, a.v_offset, p % kKvPageLen * a.head_dim_v + d0 + i);
      }
    }
    begin = stop;
  }
  for (int64_t i = 0; i < n; ++i) out[d0 + i] = static_cast<float>(sum[i] / total);
}

void attend(const AttendArgs& a, float*) noexcept {
  for (int64_t row = 0; row < a.rows; ++row) {
    const int64_t end = a.pos + row + 1;
    const int64_t begin = a.window > 0 && end > a.window ? end - a.window : 0;
    for (int64_t g = 0; g < a.group; ++g) {
      const float* q = a.q + row * a.q_stride + g * a.head_dim_k;
      float* out = a.out + row * a.out_stride + g * a.head_dim_v;
      for (int64_t d = 0; d < a.head_dim_v; d += kValueTile) {
        const int64_t n = a.head_dim_v - d < kValueTile ? a.head_dim_v - d : kValueTile;
        attend_values(a, q, begin, end, d, n, out);
      }
    }
  }
}

int64_t attend_scratch(int64_t, int64_t, int64_t, int64_t) noexcept {
  return 0;
}

// Its oracle is the loss that it reports nowhere and the tests compute: search_test.cpp.
void search_row(DType type, const float* x, const float* importance, int64_t cols,
                void* out) noexcept {
  kernels_baseline.search_row(type, x, importance, cols, out);
}

}  // namespace

void dequantize_matrix_row(const Matrix& w, int64_t r, float* out) noexcept {
  decode(w, r, 0, w.cols, out);
}

constinit const KernelTable kernels_reference = {
    .name = "reference",
    .description = "double precision, slow: the oracle of the others",
    .supported = cpu_runs_anything,
    .proof = Proof::silicon,
    .default_kv = KvType::f32,
    .takes_packed = false,
    .act_layout = act_layout,
    .act_bytes = act_bytes,
    .prepare_act = prepare_act,
    .matmul = matmul,
    .head_bounds = nullptr,
    .dequantize_row = dequantize_matrix_row,
    .search_row = search_row,
    .rms_norm = rms_norm,
    .rope = rope,
    .glu = glu,
    .add = add,
    .scale = scale,
    .softcap = softcap,
    .store_key = store_key,
    .store_value = store_value,
    .attend = attend,
    .attend_scratch = attend_scratch,
    .attend_partial = nullptr,
    .attend_merge = nullptr,
    .int8_peak = nullptr,
};

}  // namespace nibble
