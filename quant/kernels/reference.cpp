// The slow twin: every entry of the kernel table in double precision, one obvious loop each.
// It is the oracle of all other tables, and a table itself, so any model runs end to end on it
// (--isa reference). Activations stay float32 and weights are decoded exactly, so its only rounding
// is that of the results.
#include <algorithm>
#include <bit>
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
constexpr int64_t kLanes = 8;  // partial sums of a product, so that one need not await the last

// Columns [col, col + n) of row r, packed or not.
void decode(const Matrix& w, int64_t r, int64_t col, int64_t n, float* out) {
  if (w.packed) {
    const PackedLayout layout = packed_layout(w.type, w.rows, w.cols, w.form);
    return dequantize_packed(w.type, layout, w.data, r, col, n, out);
  }
  const auto* row = static_cast<const uint8_t*>(w.data) + r * row_bytes(w.type, w.cols);
  nibble::dequantize_row(w.type, row + row_bytes(w.type, col), n, out);
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

// sums [kLanes] += w [n] * x [n], number i to sum i % kLanes.
void add_products(const double* w, const float* x, int64_t n, double* sums) {
  double held[kLanes];
  std::copy_n(sums, kLanes, held);
  for (int64_t i = 0; i + kLanes <= n; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) {
      held[j] += w[i + j] * static_cast<double>(x[i + j]);
    }
  }
  for (int64_t i = n / kLanes * kLanes; i < n; ++i) {
    held[i % kLanes] += w[i] * static_cast<double>(x[i]);
  }
  std::copy_n(held, kLanes, sums);
}

// One weight row against `tokens` <= kTile input rows, beginning with token t0.
void matmul_row(const MatmulArgs& a, int64_t r, int64_t t0, int64_t tokens) {
  float decoded[kChunk];
  double weight[kChunk];
  double sums[kTile][kLanes] = {};
  const auto* act = static_cast<const uint8_t*>(a.act);
  const int64_t stride = stride_of(a.w.cols);
  for (int64_t c = 0; c < a.w.cols; c += kChunk) {
    const int64_t n = a.w.cols - c < kChunk ? a.w.cols - c : kChunk;
    decode(a.w, r, c, n, decoded);
    std::copy_n(decoded, n, weight);
    for (int64_t t = 0; t < tokens; ++t) {
      const float* x = reinterpret_cast<const float*>(act + (t0 + t) * stride) + c;
      add_products(weight, x, n, sums[t]);
    }
  }
  for (int64_t t = 0; t < tokens; ++t) {
    double sum = 0;
    for (const double part : sums[t]) sum += part;
    a.out[(t0 + t) * a.out_stride + r] = static_cast<float>(sum);
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

void layer_norm(const float* x, const float* weight, const float* bias, int64_t n, float eps,
                float* out) noexcept {
  double mean = 0;
  for (int64_t i = 0; i < n; ++i) mean += static_cast<double>(x[i]) / static_cast<double>(n);
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double v = static_cast<double>(x[i]) - mean;
    squares += v * v;
  }
  const double inverse =
      1.0 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(eps));
  for (int64_t i = 0; i < n; ++i) {
    const double w = weight == nullptr ? 1.0 : static_cast<double>(weight[i]);
    const double b = bias == nullptr ? 0.0 : static_cast<double>(bias[i]);
    out[i] = static_cast<float>((static_cast<double>(x[i]) - mean) * inverse * w + b);
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

constexpr double kSwishLimit = 7.0;

double activated(Activation kind, double x) {
  constexpr double kSqrt2OverPi = 0.79788456080286535588;
  constexpr double kSqrtHalf = 0.70710678118654752440;
  switch (kind) {
    case Activation::silu:
      return x / (1.0 + std::exp(-x));
    case Activation::gelu_tanh:
      // x/2 (1 + tanh(u)) = x / (1 + e^-2u), without the cancellation left of zero.
      return x / (1.0 + std::exp(-2.0 * kSqrt2OverPi * (x + 0.044715 * x * x * x)));
    case Activation::gelu:
      return 0.5 * x * std::erfc(-x * kSqrtHalf);
    case Activation::gelu_quick:
      return x / (1.0 + std::exp(-1.702 * x));
    case Activation::relu:
      return x < 0 ? 0.0 : x;
    case Activation::relu_squared:
      return x < 0 ? 0.0 : x * x;
    case Activation::clamped_swish:
      x = std::fmin(x, kSwishLimit);
      return x / (1.0 + std::exp(-1.702 * x));
  }
  return x;
}

void activate(Activation kind, const float* x, int64_t n, float* out) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    out[i] = static_cast<float>(activated(kind, static_cast<double>(x[i])));
  }
}

void glu(Activation kind, const float* gate, const float* up, int64_t n, float* out) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    auto by = static_cast<double>(up[i]);
    if (kind == Activation::clamped_swish) {
      by = 1.0 + std::fmax(-kSwishLimit, std::fmin(by, kSwishLimit));
    }
    out[i] = static_cast<float>(activated(kind, static_cast<double>(gate[i])) * by);
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

// Parts of a head times H / sqrt(n), H[i][j] = -1 or 1 as the number of bits that i and j share is
// odd or even.
void rotate(float* x, int64_t heads, int64_t head_dim) noexcept {
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t rest = head_dim; rest > 0;) {
      const int64_t n = kv_rotated_part(rest);
      double sum[kKvBlock] = {};
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          const auto v = static_cast<double>(x[j]);
          sum[i] += std::popcount(static_cast<uint64_t>(i & j)) % 2 == 0 ? v : -v;
        }
      }
      for (int64_t i = 0; i < n; ++i) {
        x[i] = static_cast<float>(sum[i] / std::sqrt(static_cast<double>(n)));
      }
      x += n;
      rest -= n;
    }
  }
}

// One position's dimensions in a slab: codes `step` apart from `first` on.
struct Place {
  bool key;
  KvType type;
  int64_t n;
  int64_t slot;
  int64_t first;
  int64_t step;

  static Place of_key(KvType type, int64_t n, int64_t slot) {
    return {true, type, n, slot, slot, kKvPageLen};
  }
  static Place of_value(KvType type, int64_t n, int64_t slot) {
    return {false, type, n, slot, slot * (type == KvType::q4 ? kv_nibble_row(n) : n), 1};
  }
  int64_t element(int64_t i) const { return first + i * step; }
  /// Of dimension i's block.
  int64_t block(int64_t i) const { return i / kKvBlock * kKvPageLen + slot; }
  template <class T>
  T* factors(uint8_t* slab) const {
    return reinterpret_cast<T*>(slab + kv_codes_bytes(type, n));
  }
  template <class T>
  const T* factors(const uint8_t* slab) const {
    return reinterpret_cast<const T*>(slab + kv_codes_bytes(type, n));
  }
};

constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: rounds to the nearest, ties to even
int32_t rounded(float x) {
  return static_cast<int32_t>(block::float_bits(x + kRounder) - block::float_bits(kRounder));
}

// The largest |x|, infinity and NaN above all; below 2^-100 nothing.
float peak_of(const float* x, int64_t n) {
  uint32_t bits = 0;
  for (int64_t i = 0; i < n; ++i) bits = std::max(bits, block::float_bits(x[i]) & 0x7fffffff);
  return bits < 27u << 23 ? 0.0f : block::float_from_bits(bits);
}

float inverse_of(float x) {
  return x == 0.0f ? 0.0f : 1.0f / x;
}

// Half precision ends at 65504; what is finite stays finite.
uint16_t finite_half(float x) {
  return block::float_to_half(std::isfinite(x) ? std::clamp(x, -65504.0f, 65504.0f) : x);
}

void store_key_q8(const float* x, uint8_t* slab, const Place& at) {
  for (int64_t b = 0; b < at.n; b += kKvBlock) {
    const int64_t end = std::min(at.n, b + kKvBlock);
    const uint16_t scale = finite_half(peak_of(x + b, end - b) / 127.0f);
    at.factors<uint16_t>(slab)[at.block(b)] = scale;
    const float inverse = inverse_of(block::half_to_float(scale));
    for (int64_t i = b; i < end; ++i) {
      const float code = std::min(127.0f, std::max(-127.0f, x[i] * inverse));
      slab[at.element(i)] = static_cast<uint8_t>(rounded(code));
    }
  }
}

void store_value_q8(const float* x, uint8_t* slab, const Place& at) {
  const float peak = peak_of(x, at.n);
  const float inverse = peak == 0.0f ? 0.0f : 127.0f / peak;
  for (int64_t i = 0; i < at.n; ++i) {
    slab[at.element(i)] = static_cast<uint8_t>(rounded(x[i] * inverse));
  }
  at.factors<float>(slab)[at.slot] = peak / 127.0f;
}

void store_q4(const float* x, uint8_t* slab, const Place& at) {
  const int64_t n = at.n;
  uint16_t* scales = at.factors<uint16_t>(slab);
  uint16_t* offsets = scales + kv_blocks(n) * kKvPageLen;
  for (int64_t i = 0; i < kv_nibble_row(n); ++i) slab[at.element(i)] = 0;
  for (int64_t b = 0; b < n; b += kKvBlock) {
    const int64_t end = std::min(n, b + kKvBlock);
    const auto [low, high] = std::minmax_element(x + b, x + end);
    const uint16_t scale = finite_half((*high * 0.5f - *low * 0.5f + 0.0f) / 7.5f);
    const uint16_t offset = finite_half(*low + 0.0f);
    const float inverse = inverse_of(block::half_to_float(scale));
    for (int64_t i = b; i < (end + 15) / 16 * 16; ++i) {
      const float v = (x[std::min(i, n - 1)] - block::half_to_float(offset)) * inverse;
      const int32_t code = rounded(std::min(15.0f, std::max(0.0f, v)));
      uint8_t& byte = slab[at.element(i / 16 * 8 + i % 8)];
      byte = static_cast<uint8_t>(byte | code << (i % 16 < 8 ? 0 : 4));
    }
    scales[at.block(b)] = scale;
    offsets[at.block(b)] = offset;
  }
}

void store_head(const float* x, void* slab, const Place& at) {
  auto* bytes = static_cast<uint8_t*>(slab);
  switch (at.type) {
    case KvType::f32:
      for (int64_t i = 0; i < at.n; ++i) static_cast<float*>(slab)[at.element(i)] = x[i];
      break;
    case KvType::f16:
      for (int64_t i = 0; i < at.n; ++i) {
        static_cast<uint16_t*>(slab)[at.element(i)] = finite_half(x[i]);
      }
      break;
    case KvType::q8:
      return at.key ? store_key_q8(x, bytes, at) : store_value_q8(x, bytes, at);
    case KvType::q4:
      return store_q4(x, bytes, at);
  }
}

void store_key(KvType type, const float* x, int64_t n, void* slab, int64_t slot) noexcept {
  store_head(x, slab, Place::of_key(type, n, slot));
}

void store_value(KvType type, const float* x, int64_t n, void* slab, int64_t slot) noexcept {
  store_head(x, slab, Place::of_value(type, n, slot));
}

double load_q8(const uint8_t* slab, const Place& at, int64_t i) {
  const float scale = at.key ? block::half_to_float(at.factors<uint16_t>(slab)[at.block(i)])
                             : at.factors<float>(slab)[at.slot];
  return static_cast<double>(scale) * static_cast<int8_t>(slab[at.element(i)]);
}

double load_q4(const uint8_t* slab, const Place& at, int64_t i) {
  const uint16_t* scale = at.factors<uint16_t>(slab) + at.block(i);
  const int byte = slab[at.element(i / 16 * 8 + i % 8)];
  const int code = i % 16 < 8 ? byte & 15 : byte >> 4;
  return static_cast<double>(block::half_to_float(*scale)) * code +
         static_cast<double>(block::half_to_float(scale[kv_blocks(at.n) * kKvPageLen]));
}

// Dimension i of what is stored at a place.
double load_item(const void* page, int64_t offset, const Place& at, int64_t i) {
  const auto* slab = static_cast<const uint8_t*>(page) + offset;
  float x = 0;
  switch (at.type) {
    case KvType::q8:
      return load_q8(slab, at, i);
    case KvType::q4:
      return load_q4(slab, at, i);
    case KvType::f16:
      x = block::half_to_float(reinterpret_cast<const uint16_t*>(slab)[at.element(i)]);
      break;
    case KvType::f32:
      x = reinterpret_cast<const float*>(slab)[at.element(i)];
      break;
  }
  return static_cast<double>(x);
}

double key_item(const AttendArgs& a, int64_t pos, int64_t d) {
  return load_item(a.pages[pos / kKvPageLen], a.k_offset,
                   Place::of_key(a.kv_type, a.head_dim_k, pos % kKvPageLen), d);
}

double value_item(const AttendArgs& a, int64_t pos, int64_t d) {
  return load_item(a.pages[pos / kKvPageLen], a.v_offset,
                   Place::of_value(a.kv_type, a.head_dim_v, pos % kKvPageLen), d);
}

// One row's head: its own position, and the positions [begin, end) that it attends to.
struct Query {
  const float* q;  // [head_dim_k]
  int64_t head;
  int64_t own;
  int64_t begin;
  int64_t end;
};

double score(const AttendArgs& a, const Query& query, int64_t pos) {
  double sum = 0;
  for (int64_t d = 0; d < a.head_dim_k; ++d) {
    sum += static_cast<double>(query.q[d]) * key_item(a, pos, d);
  }
  const double slope = a.slopes == nullptr ? 0.0 : static_cast<double>(a.slopes[query.head]);
  return capped(sum * static_cast<double>(a.scale), a.softcap) +
         slope * static_cast<double>(pos - query.own);
}

// Values d0 .. d0 + n of one head, n <= kValueTile: a page of scores at a time, with a running
// maximum.
void attend_values(const AttendArgs& a, const Query& query, int64_t d0, int64_t n, float* out) {
  int64_t begin = query.begin;
  const int64_t end = query.end;
  const float* sink = a.sinks == nullptr ? nullptr : a.sinks + query.head;
  double peak = sink == nullptr ? -HUGE_VAL : static_cast<double>(*sink);
  double total = sink == nullptr ? 0 : 1;
  double sum[kValueTile] = {};
  while (begin < end) {
    const int64_t stop = begin / kKvPageLen * kKvPageLen + kKvPageLen < end
                             ? (begin / kKvPageLen + 1) * kKvPageLen
                             : end;
    double scores[kKvPageLen];
    double highest = peak;
    for (int64_t p = begin; p < stop; ++p) {
      scores[p - begin] = score(a, query, p);
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
        sum[i] += weight * value_item(a, p, d0 + i);
      }
    }
    begin = stop;
  }
  for (int64_t i = 0; i < n; ++i) out[d0 + i] = static_cast<float>(sum[i] / total);
}

void attend(const AttendArgs& a, float*) noexcept {
  for (int64_t row = 0; row < a.rows; ++row) {
    const int64_t own = a.pos + row;
    const int64_t end = a.seen > 0 ? a.seen : own + 1;
    const int64_t begin = a.window > 0 && end > a.window ? end - a.window : 0;
    for (int64_t g = 0; g < a.group; ++g) {
      const Query query = {a.q + row * a.q_stride + g * a.head_dim_k, g, own, begin, end};
      float* out = a.out + row * a.out_stride + g * a.head_dim_v;
      for (int64_t d = 0; d < a.head_dim_v; d += kValueTile) {
        const int64_t n = a.head_dim_v - d < kValueTile ? a.head_dim_v - d : kValueTile;
        attend_values(a, query, d, n, out);
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
    .layer_norm = layer_norm,
    .rope = rope,
    .glu = glu,
    .activate = activate,
    .add = add,
    .scale = scale,
    .softcap = softcap,
    .rotate = rotate,
    .store_key = store_key,
    .store_value = store_value,
    .attend = attend,
    .attend_scratch = attend_scratch,
    .attend_partial = nullptr,
    .attend_merge = nullptr,
    .int8_peak = nullptr,
};

}  // namespace nibble
