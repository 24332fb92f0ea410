#pragma once
// Functions of single floats and rows of floats. exp is right within 2 units in the last place,
// tanh within 3. Reductions run over 8 lanes in a fixed order.
#include "quant/kernels/kernels.h"

namespace nibble {
namespace {

using simd::kLanes;
using simd::vf;
using simd::vi;

// The first n < 8 floats of a row; the other lanes are zero.
inline vf load_some(const float* p, int64_t n) {
  float padded[kLanes] = {};
  std::memcpy(padded, p, static_cast<size_t>(n) * sizeof(float));
  return simd::load(padded);
}

inline void store_some(float* p, vf v, int64_t n) {
  float padded[kLanes];
  simd::store(padded, v);
  std::memcpy(p, padded, static_cast<size_t>(n) * sizeof(float));
}

// out[i] = f(x[i], y[i]) for vectors of 8 and the rest.
template <class F>
inline void map(const float* x, const float* y, int64_t n, float* out, F f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    simd::store(out + i, f(simd::load(x + i), simd::load(y + i)));
  if (i < n) store_some(out + i, f(load_some(x + i, n - i), load_some(y + i, n - i)), n - i);
}

// The lanes added as ((0+1)+(2+3)) + ((4+5)+(6+7)).
inline float sum_lanes(vf v) {
  float x[kLanes];
  simd::store(x, v);
  return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

inline float highest_lane(vf v) {
  float x[kLanes];
  simd::store(x, v);
  for (int64_t n = kLanes / 2; n > 0; n /= 2) {
    for (int64_t i = 0; i < n; ++i) x[i] = x[i] > x[i + n] ? x[i] : x[i + n];
  }
  return x[0];
}

// e^x for -87.3 <= x <= 88.3, which x is limited to; 0 below. Cody-Waite reduction to |r| <=
// ln(2)/2 and the polynomial of the Cephes library (S. Moshier), e^x = 2^n e^r.
inline vf exp(vf x) {
  const vf lowest = simd::broadcast(-87.3f);
  const vf limited = simd::min(simd::broadcast(88.3f), simd::max(lowest, x));
  // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
  const vf shift = simd::broadcast(12582912.0f);
  const vf shifted = simd::fma(limited, simd::broadcast(1.44269504088896341f), shift);
  const vf n = shifted - shift;
  vf r = simd::fma(n, simd::broadcast(-0.693359375f), limited);  // exact: 9 bits of ln(2)
  r = simd::fma(n, simd::broadcast(2.12194440e-4f), r);
  vf p = simd::broadcast(1.9875691500e-4f);
  p = simd::fma(p, r, simd::broadcast(1.3981999507e-3f));
  p = simd::fma(p, r, simd::broadcast(8.3334519073e-3f));
  p = simd::fma(p, r, simd::broadcast(4.1665795894e-2f));
  p = simd::fma(p, r, simd::broadcast(1.6666665459e-1f));
  p = simd::fma(p, r, simd::broadcast(5.0000001201e-1f));
  p = simd::fma(p, r * r, r) + simd::broadcast(1.0f);
  const vi exponent =
      simd::shift_left32(simd::sub32(simd::as_int(shifted), simd::as_int(shift)), 23);
  const vf power = simd::as_float(simd::add32(exponent, simd::as_int(simd::broadcast(1.0f))));
  return simd::if_less(x, lowest, simd::zero(), p * power);
}

inline float exp_of(float x) {
  float lanes[kLanes];
  simd::store(lanes, exp(simd::broadcast(x)));
  return lanes[0];
}

// Cephes: an odd polynomial near zero, 1 - 2 / (e^2|x| + 1) with x's sign elsewhere.
inline vf tanh(vf x) {
  const vi sign_bit = simd::broadcast32(INT32_MIN);
  const vi sign = simd::bit_and(simd::as_int(x), sign_bit);
  const vf size = simd::as_float(simd::bit_and(simd::as_int(x), simd::broadcast32(INT32_MAX)));
  const vf one = simd::broadcast(1.0f);
  const vf far = one - simd::broadcast(2.0f) / (exp(size + size) + one);
  const vf z = x * x;
  vf p = simd::broadcast(-5.70498872745e-3f);
  p = simd::fma(p, z, simd::broadcast(2.06390887954e-2f));
  p = simd::fma(p, z, simd::broadcast(-5.37397155531e-2f));
  p = simd::fma(p, z, simd::broadcast(1.33314422036e-1f));
  p = simd::fma(p, z, simd::broadcast(-3.33332819422e-1f));
  const vf near = simd::fma(p * z, x, x);
  const vf signed_far = simd::as_float(simd::bit_or(simd::as_int(far), sign));
  return simd::if_less(size, simd::broadcast(0.625f), near, signed_far);
}

inline vf sigmoid(vf x) {
  const vf one = simd::broadcast(1.0f);
  return one / (one + exp(simd::zero() - x));
}

// ---- table entries ----

void rms_norm(const float* x, const float* weight, int64_t n, float eps, float* out) noexcept {
  vf sums[4] = {simd::zero(), simd::zero(), simd::zero(), simd::zero()};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (int64_t j = 0; j < 4; ++j) {
      const vf v = simd::load(x + i + j * kLanes);
      sums[j] = simd::fma(v, v, sums[j]);
    }
  }
  for (; i + kLanes <= n; i += kLanes) {
    const vf v = simd::load(x + i);
    sums[0] = simd::fma(v, v, sums[0]);
  }
  if (i < n) {
    const vf v = load_some(x + i, n - i);
    sums[1] = simd::fma(v, v, sums[1]);
  }
  const float sum = sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
  const float root = __builtin_sqrtf(sum / static_cast<float>(n) + eps);
  const vf inverse = simd::broadcast(1.0f / root);
  if (weight == nullptr) {
    map(x, x, n, out, [=](vf v, vf) { return v * inverse; });
  } else {
    map(x, weight, n, out, [=](vf v, vf w) { return v * inverse * w; });
  }
}

// Sum over all x of f(x), which is 0 at `neutral`.
template <class F>
inline float sum_over(const float* x, int64_t n, float neutral, F f) {
  vf sums[4] = {simd::zero(), simd::zero(), simd::zero(), simd::zero()};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (int64_t j = 0; j < 4; ++j) sums[j] = sums[j] + f(simd::load(x + i + j * kLanes));
  }
  for (; i + kLanes <= n; i += kLanes) sums[0] = sums[0] + f(simd::load(x + i));
  if (i < n) {
    float padded[kLanes];
    simd::store(padded, simd::broadcast(neutral));
    std::memcpy(padded, x + i, static_cast<size_t>(n - i) * sizeof(float));
    sums[1] = sums[1] + f(simd::load(padded));
  }
  return sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

void layer_norm(const float* x, const float* weight, const float* bias, int64_t n, float eps,
                float* out) noexcept {
  const float count = static_cast<float>(n);
  const float mean = sum_over(x, n, 0.0f, [](vf v) { return v; }) / count;
  const vf middle = simd::broadcast(mean);
  const float squares = sum_over(x, n, mean, [=](vf v) { return (v - middle) * (v - middle); });
  const vf inverse = simd::broadcast(1.0f / __builtin_sqrtf(squares / count + eps));
  map(x, x, n, out, [=](vf v, vf) { return (v - middle) * inverse; });
  if (weight != nullptr) map(out, weight, n, out, [](vf v, vf w) { return v * w; });
  if (bias != nullptr) map(out, bias, n, out, [](vf v, vf b) { return v + b; });
}

void rope(float* x, int64_t heads, int64_t head_dim, int64_t rope_dim, const float* cos_sin,
          RopeKind kind) noexcept {
  const int64_t half = rope_dim / 2;
  const int64_t step = kind == RopeKind::adjacent ? 2 : 1;
  const int64_t apart = kind == RopeKind::adjacent ? 1 : half;
  for (int64_t h = 0; h < heads; ++h) {
    float* head = x + h * head_dim;
    for (int64_t i = 0; i < half; ++i) {
      const float c = cos_sin[2 * i];
      const float s = cos_sin[2 * i + 1];
      const float a = head[i * step];
      const float b = head[i * step + apart];
      head[i * step] = a * c - b * s;
      head[i * step + apart] = a * s + b * c;
    }
  }
}

// gelu_tanh(x) = x/2 (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3): written so
// that the small values left of zero keep their precision.
inline vf gelu_tanh(vf x) {
  const vf cubic = simd::fma(x * x, simd::broadcast(0.044715f), simd::broadcast(1.0f)) * x;
  return x * sigmoid(cubic * simd::broadcast(1.5957691216057308f));
}

// x P(x), P the normal distribution, whose upper tail is (1 - erf(a)) / 2, a = |x| / sqrt(2):
// Abramowitz and Stegun 7.1.26, within 1.5e-7 of erf.
inline vf gelu(vf x) {
  const vf one = simd::broadcast(1.0f);
  const vf size = simd::as_float(simd::bit_and(simd::as_int(x), simd::broadcast32(INT32_MAX)));
  const vf a = size * simd::broadcast(0.70710678118654752f);
  const vf t = one / simd::fma(a, simd::broadcast(0.3275911f), one);
  vf p = simd::broadcast(0.5f * 1.061405429f);
  p = simd::fma(p, t, simd::broadcast(0.5f * -1.453152027f));
  p = simd::fma(p, t, simd::broadcast(0.5f * 1.421413741f));
  p = simd::fma(p, t, simd::broadcast(0.5f * -0.284496736f));
  p = simd::fma(p, t, simd::broadcast(0.5f * 0.254829592f));
  const vf tail = p * t * exp(simd::zero() - a * a);
  return x * simd::if_less(x, simd::zero(), tail, one - tail);
}

constexpr float kSwishLimit = 7.0f;

inline vf clamped_swish(vf x) {
  const vf y = simd::min(x, simd::broadcast(kSwishLimit));
  return y * sigmoid(y * simd::broadcast(1.702f));
}

// Calls f with the function of one vector.
template <class F>
inline void with_activation(Activation kind, F f) {
  const auto relu = [](vf x) { return simd::if_less(x, simd::zero(), simd::zero(), x); };
  switch (kind) {
    case Activation::silu:
      return f([](vf x) { return x * sigmoid(x); });
    case Activation::gelu_tanh:
      return f([](vf x) { return gelu_tanh(x); });
    case Activation::gelu:
      return f([](vf x) { return gelu(x); });
    case Activation::gelu_quick:
      return f([](vf x) { return x * sigmoid(x * simd::broadcast(1.702f)); });
    case Activation::relu:
      return f(relu);
    case Activation::relu_squared:
      return f([=](vf x) { return relu(x) * relu(x); });
    case Activation::clamped_swish:
      return f([](vf x) { return clamped_swish(x); });
  }
}

void glu(Activation kind, const float* gate, const float* up, int64_t n, float* out) noexcept {
  if (kind == Activation::clamped_swish) {
    const vf most = simd::broadcast(kSwishLimit), least = simd::broadcast(-kSwishLimit);
    return map(gate, up, n, out, [=](vf g, vf u) {
      return clamped_swish(g) * (simd::max(least, simd::min(most, u)) + simd::broadcast(1.0f));
    });
  }
  with_activation(kind,
                  [=](auto act) { map(gate, up, n, out, [=](vf g, vf u) { return act(g) * u; }); });
}

void activate(Activation kind, const float* x, int64_t n, float* out) noexcept {
  with_activation(kind, [=](auto act) { map(x, x, n, out, [=](vf v, vf) { return act(v); }); });
}

void add(float* x, const float* y, int64_t n) noexcept {
  map(x, y, n, x, [](vf a, vf b) { return a + b; });
}

void scale(float* x, int64_t n, float s) noexcept {
  const vf factor = simd::broadcast(s);
  map(x, x, n, x, [=](vf a, vf) { return a * factor; });
}

inline vf capped(vf x, float cap) {
  const vf limit = simd::broadcast(cap);
  return tanh(x / limit) * limit;
}

void softcap(float* x, int64_t n, float cap) noexcept {
  map(x, x, n, x, [=](vf a, vf) { return capped(a, cap); });
}

}  // namespace
}  // namespace nibble
