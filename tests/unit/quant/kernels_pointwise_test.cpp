// The functions of float rows, of every table, against the double-precision reference.
#include <algorithm>
#include <cmath>

#include "tests/support/catch.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/kernel_data.h"

using namespace nibble;
using namespace nibble::test;

namespace {

// Distance in units of the last place of `want`.
double ulps(float got, double want) {
  if (std::isnan(want)) return std::isnan(got) ? 0 : INFINITY;
  int exponent = 0;
  std::frexp(want, &exponent);
  const double unit = std::ldexp(1.0, std::max(exponent, -125) - 24);
  return std::fabs(static_cast<double>(got) - want) / unit;
}

// Numbers of every size and sign, dense around zero.
std::vector<float> sweep(float limit) {
  std::vector<float> out = {0.0f, -0.0f, 1e-40f, -1e-40f, 1e-20f, 0.625f, -0.625f, limit, -limit};
  Rng rng(11);
  std::uniform_real_distribution<float> wide(-limit, limit);
  std::uniform_real_distribution<float> power(-20.0f, std::log2(limit));
  for (int i = 0; i < 20000; ++i) {
    out.push_back(wide(rng));
    out.push_back((i % 2 == 0 ? 1.0f : -1.0f) * std::exp2(power(rng)));
  }
  return out;
}

constexpr int64_t kLengths[] = {1, 2, 7, 8, 9, 16, 31, 32, 33, 64, 100, 576, 640, 1537};

}  // namespace

TEST_CASE("silu is accurate to a few units in the last place", "[kernels]") {
  // x / (1 + e^-x): e^-x is right within 2 ulp (Cephes' polynomial and one reduction), the sum adds
  // half an ulp, the division and the product with `up` half each; 4 ulp of the result in all. The
  // table limits the exponent to 88.3, so results below 88 e^-88 = 5e-37 may be off by as much.
  const std::vector<float> x = sweep(100.0f);
  const std::vector<float> ones(x.size(), 1.0f);
  std::vector<float> out(x.size());
  for (const KernelTable* k : tables()) {
    k->glu(Activation::silu, x.data(), ones.data(), static_cast<int64_t>(x.size()), out.data());
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const auto v = static_cast<double>(x[i]);
      const double want = v / (1 + std::exp(-v));
      if (std::fabs(static_cast<double>(out[i]) - want) > 1e-36) {
        worst = std::max(worst, ulps(out[i], want));
      }
    }
    INFO(k->name);
    CHECK(worst <= 4);
  }
}

TEST_CASE("gelu is accurate relative to the slope of its exponent", "[kernels]") {
  // x sigmoid(2u): the argument 2u carries 3 roundings, so e^-2u is off by 3 |2u| eps relative on
  // top of silu's 4 ulp; an ulp is at least eps of the result.
  const std::vector<float> x = sweep(12.0f);
  const std::vector<float> ones(x.size(), 1.0f);
  std::vector<float> out(x.size());
  for (const KernelTable* k : tables()) {
    k->glu(Activation::gelu_tanh, x.data(), ones.data(), static_cast<int64_t>(x.size()),
           out.data());
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const auto v = static_cast<double>(x[i]);
      const double u2 = 2 * 0.79788456080286535588 * (v + 0.044715 * v * v * v);
      const double want = v / (1 + std::exp(-u2));
      if (std::fabs(static_cast<double>(out[i]) - want) > 1e-36) {
        worst = std::max(worst, ulps(out[i], want) / (5 + 4 * std::fabs(u2)));
      }
    }
    INFO(k->name);
    CHECK(worst <= 1);
  }
}

TEST_CASE("gelu with the error function is within its polynomial's error", "[kernels]") {
  // The upper tail (1 - erf(a)) / 2 of Abramowitz and Stegun 7.1.26 is off by 0.75e-7; a, t, the
  // Horner steps and e^-a^2 add at most 12 roundings of parts no larger than 1/2. So the factor of
  // x is off by at most 0.75e-7 + 12 * 2^-25, and the product is rounded once.
  const std::vector<float> x = sweep(30.0f);
  std::vector<float> out(x.size());
  for (const KernelTable* k : tables()) {
    k->activate(Activation::gelu, x.data(), static_cast<int64_t>(x.size()), out.data());
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const auto v = static_cast<double>(x[i]);
      const double want = 0.5 * v * std::erfc(-v / std::sqrt(2.0));
      const double bound = std::fabs(v) * (0.75e-7 + 13 * 0x1p-25) + 1e-44;
      worst = std::max(worst, std::fabs(static_cast<double>(out[i]) - want) / bound);
    }
    INFO(k->name);
    CHECK(worst <= 1);
  }
}

TEST_CASE("activations alone are those of the gate with ones beside it", "[kernels]") {
  const std::vector<float> x = sweep(20.0f);
  const std::vector<float> ones(x.size(), 1.0f);
  const auto n = static_cast<int64_t>(x.size());
  for (const KernelTable* k : tables()) {
    for (const Activation a :
         {Activation::silu, Activation::gelu_tanh, Activation::gelu, Activation::gelu_quick,
          Activation::relu, Activation::relu_squared}) {
      INFO(k->name << ", activation " << static_cast<int>(a));
      std::vector<float> gated(x.size()), alone = x;
      k->glu(a, x.data(), ones.data(), n, gated.data());
      k->activate(a, alone.data(), n, alone.data());
      CHECK(alone == gated);
      for (size_t i = 0; i < x.size(); ++i) {
        const auto v = static_cast<double>(x[i]);
        if (a == Activation::relu) CHECK(alone[i] == std::max(x[i], 0.0f));
        if (a == Activation::relu_squared) CHECK(alone[i] == std::max(x[i], 0.0f) * x[i]);
        // As silu, with one rounding of its argument.
        if (a == Activation::gelu_quick && std::fabs(v) < 20) {
          const double want = v / (1 + std::exp(-1.702 * v));
          CHECK(ulps(alone[i], want) <= 5 + 4 * std::fabs(1.702 * v));
        }
      }
    }
  }
}

TEST_CASE("clamped_swish is within its rounding bound, and clamped", "[kernels]") {
  // As silu with one rounding of its argument, then a sum and a product.
  const std::vector<float> gates = sweep(20.0f);
  for (const float up : {-30.0f, -7.0f, -0.5f, 0.0f, 3.25f, 7.0f, 1e30f}) {
    const std::vector<float> ups(gates.size(), up);
    const double by = 1 + std::clamp(static_cast<double>(up), -7.0, 7.0);
    for (const KernelTable* k : tables()) {
      INFO(k->name << ", up " << up);
      std::vector<float> out(gates.size());
      k->glu(Activation::clamped_swish, gates.data(), ups.data(),
             static_cast<int64_t>(gates.size()), out.data());
      double worst = 0;
      for (size_t i = 0; i < gates.size(); ++i) {
        const double y = std::min(static_cast<double>(gates[i]), 7.0);
        const double want = y / (1 + std::exp(-1.702 * y)) * by;
        const double bound = 7 + 4 * std::fabs(1.702 * y);
        worst = std::max(worst, std::fabs(ulps(out[i], want)) / bound);
      }
      CHECK(worst <= 1);
    }
  }
}

TEST_CASE("layer_norm is within its rounding bound and works in place", "[kernels]") {
  // The mean is a sum of n terms (n/8 + 6 roundings of parts that add up to at most n |x|), so each
  // difference is off by that and one more rounding; the root of their squares as in rms_norm. With
  // s the largest |x| and d the deviation: (n/8 + 16) eps s / d, then products and a sum.
  Rng rng(17);
  for (const KernelTable* k : tables()) {
    for (const int64_t n : kLengths) {
      const std::vector<float> x = normal(rng, n, 3.0f), w = normal(rng, n), b = normal(rng, n);
      double mean = 0, squares = 0, largest = 0;
      for (const float v : x) mean += static_cast<double>(v) / static_cast<double>(n);
      for (const float v : x) {
        squares += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean);
        largest = std::max(largest, std::fabs(static_cast<double>(v)));
      }
      const double inverse = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-2);
      std::vector<float> out(x.size()), plain = x;
      k->layer_norm(x.data(), w.data(), b.data(), n, 1e-2f, out.data());
      k->layer_norm(plain.data(), nullptr, nullptr, n, 1e-2f, plain.data());
      const double eps = 0x1p-23 * (static_cast<double>(n) / 8 + 16);
      for (size_t i = 0; i < x.size(); ++i) {
        const double want = (static_cast<double>(x[i]) - mean) * inverse;
        const double bound = eps * (largest * inverse) * (1 + std::fabs(want));
        CHECK(std::fabs(static_cast<double>(plain[i]) - want) <= bound);
        const double weight = static_cast<double>(w[i]), bias = static_cast<double>(b[i]);
        CHECK(std::fabs(static_cast<double>(out[i]) - (want * weight + bias)) <=
              bound * std::fabs(weight) + 0x1p-23 * (std::fabs(want * weight) + std::fabs(bias)));
      }
    }
  }
}

TEST_CASE("softcap is a tanh within a few units in the last place", "[kernels]") {
  // tanh is right within 3 ulp; the quotient x / cap adds half an ulp of its argument (tanh's
  // relative slope is at most 1), the product half an ulp. A quotient below the smallest normal
  // float is rounded more coarsely: off by cap * 2^-150 at most, which the 1e-36 cover.
  for (const float cap : {1.0f, 30.0f, 50.0f}) {
    const std::vector<float> x = sweep(20.0f * cap);
    for (const KernelTable* k : tables()) {
      std::vector<float> out = x;
      k->softcap(out.data(), static_cast<int64_t>(x.size()), cap);
      double worst = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const auto c = static_cast<double>(cap);
        const double want = c * std::tanh(static_cast<double>(x[i]) / c);
        if (std::fabs(static_cast<double>(out[i]) - want) > 1e-36) {
          worst = std::max(worst, ulps(out[i], want));
        }
      }
      INFO(k->name << " cap " << cap);
      CHECK(worst <= 4.5);
    }
  }
}

TEST_CASE("activations keep NaN and saturate at infinity", "[kernels]") {
  for (const KernelTable* k : tables()) {
    const float x[3] = {NAN, INFINITY, 200.0f};
    const float ones[3] = {1.0f, 1.0f, 1.0f};
    float out[3];
    for (const Activation a : {Activation::silu, Activation::gelu_tanh}) {
      k->glu(a, x, ones, 3, out);
      CHECK(std::isnan(out[0]));
      CHECK(std::isinf(out[1]));
      CHECK(out[2] == 200.0f);
    }
    float capped[3] = {NAN, INFINITY, -INFINITY};
    k->softcap(capped, 3, 30.0f);
    CHECK(std::isnan(capped[0]));
    CHECK(capped[1] == 30.0f);
    CHECK(capped[2] == -30.0f);
  }
}

TEST_CASE("rms_norm is within its rounding bound and works in place", "[kernels]") {
  // The sum of squares takes at most n/8 + 6 roundings a term, all terms positive: relative error
  // (n/8 + 6) eps, halved by the root; then division, root and two products: 4 eps more.
  Rng rng(12);
  for (const KernelTable* k : tables()) {
    for (const int64_t n : kLengths) {
      for (const float size : {1e-3f, 1.0f, 1e4f}) {
        const std::vector<float> x = normal(rng, n, size);
        const std::vector<float> w = normal(rng, n);
        double sum = 0;
        for (const float v : x) sum += static_cast<double>(v) * static_cast<double>(v);
        const double inverse = 1 / std::sqrt(sum / static_cast<double>(n) + 1e-5);
        std::vector<float> out(x.size());
        std::vector<float> plain = x;
        k->rms_norm(x.data(), w.data(), n, 1e-5f, out.data());
        k->rms_norm(plain.data(), nullptr, n, 1e-5f, plain.data());
        const double bound = 0x1p-24 * (static_cast<double>(n) / 16 + 8);
        for (size_t i = 0; i < x.size(); ++i) {
          const double want = static_cast<double>(x[i]) * inverse;
          CHECK(std::fabs(static_cast<double>(plain[i]) - want) <= bound * std::fabs(want));
          const double scaled = want * static_cast<double>(w[i]);
          CHECK(std::fabs(static_cast<double>(out[i]) - scaled) <= bound * std::fabs(scaled));
        }
      }
    }
  }
}

TEST_CASE("rope rotates the pairs of its kind and leaves the rest", "[kernels]") {
  Rng rng(13);
  for (const KernelTable* k : tables()) {
    for (const RopeKind kind : {RopeKind::adjacent, RopeKind::halves}) {
      const int64_t heads = 3;
      const int64_t dim = 20;
      const int64_t rope_dim = 12;
      const std::vector<float> x = normal(rng, heads * dim);
      std::vector<float> cos_sin;
      for (int64_t i = 0; i < rope_dim / 2; ++i) {
        cos_sin.push_back(std::cos(static_cast<float>(i)));
        cos_sin.push_back(std::sin(static_cast<float>(i)));
      }
      std::vector<float> out = x;
      k->rope(out.data(), heads, dim, rope_dim, cos_sin.data(), kind);
      for (int64_t h = 0; h < heads; ++h) {
        const float* from = x.data() + h * dim;
        const float* to = out.data() + h * dim;
        for (int64_t i = rope_dim; i < dim; ++i) CHECK(to[i] == from[i]);
        for (int64_t i = 0; i < rope_dim / 2; ++i) {
          const int64_t a = kind == RopeKind::adjacent ? 2 * i : i;
          const int64_t b = kind == RopeKind::adjacent ? 2 * i + 1 : i + rope_dim / 2;
          const auto c = static_cast<double>(cos_sin[static_cast<size_t>(2 * i)]);
          const auto s = static_cast<double>(cos_sin[static_cast<size_t>(2 * i + 1)]);
          const auto xa = static_cast<double>(from[a]);
          const auto xb = static_cast<double>(from[b]);
          // Two products and a sum, each rounded once.
          const double bound = 0x1p-23 * (std::fabs(xa) + std::fabs(xb));
          CHECK(std::fabs(static_cast<double>(to[a]) - (xa * c - xb * s)) <= bound);
          CHECK(std::fabs(static_cast<double>(to[b]) - (xa * s + xb * c)) <= bound);
        }
      }
    }
  }
}

TEST_CASE("add and scale round once", "[kernels]") {
  Rng rng(14);
  for (const KernelTable* k : tables()) {
    for (const int64_t n : kLengths) {
      const std::vector<float> x = normal(rng, n);
      const std::vector<float> y = normal(rng, n);
      std::vector<float> sum = x;
      std::vector<float> scaled = x;
      k->add(sum.data(), y.data(), n);
      k->scale(scaled.data(), n, 0.3f);
      for (size_t i = 0; i < x.size(); ++i) {
        CHECK(sum[i] == x[i] + y[i]);
        CHECK(scaled[i] == x[i] * 0.3f);
      }
    }
  }
}

TEST_CASE("stored halves are those of the codec, to the bit, and finite where x is", "[kernels]") {
  Rng rng(15);
  std::vector<float> x = {0.0f,          -0.0f,          65504.0f,      65519.0f,  65520.0f,
                          1e30f,         -1e30f,         INFINITY,      -INFINITY, 0x1p-24f,
                          0x1p-25f,      0x1.8p-25f,     0x1p-14f,      1e-45f,    0x1.ffcp-15f,
                          1.0009765625f, 1.00048828125f, 1.00146484375f};
  for (int i = 0; i < 20000; ++i) {
    const auto bits = static_cast<uint32_t>(rng());
    float v;
    std::memcpy(&v, &bits, sizeof(v));
    if (!std::isnan(v)) x.push_back(v);
  }
  for (const KernelTable* k : tables()) {
    std::vector<uint16_t> out(x.size());
    k->store_value(KvType::f16, x.data(), static_cast<int64_t>(x.size()), out.data(), 0);
    size_t wrong = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const float stored = std::isfinite(x[i]) ? std::clamp(x[i], -65504.0f, 65504.0f) : x[i];
      wrong += out[i] != block::float_to_half(stored) ? 1 : 0;
    }
    INFO(k->name);
    CHECK(wrong == 0);
    // A key is spread: one element every kKvPageLen.
    std::vector<uint16_t> slab(x.size() * static_cast<size_t>(kKvPageLen));
    k->store_key(KvType::f16, x.data(), static_cast<int64_t>(x.size()), slab.data(), 5);
    for (size_t i = 0; i < x.size(); ++i) {
      wrong += slab[i * static_cast<size_t>(kKvPageLen) + 5] != out[i] ? 1 : 0;
    }
    CHECK(wrong == 0);
    std::vector<float> copy(x.size());
    k->store_value(KvType::f32, x.data(), static_cast<int64_t>(x.size()), copy.data(), 0);
    CHECK(same_bits(copy, x));
  }
}

TEST_CASE("functions of float rows touch nothing beyond them", "[kernels]") {
  Rng rng(16);
  for (const KernelTable* k : tables()) {
    for (const int64_t n : kLengths) {
      for (const Flush flush : {Flush::begin, Flush::end}) {
        GuardedBuffer x(n * 4, flush);
        GuardedBuffer y(n * 4, flush);
        GuardedBuffer out(n * 4, flush);
        GuardedBuffer half(n * 2, flush);
        const auto values = normal(rng, n);
        std::memcpy(x.data(), values.data(), values.size() * 4);
        std::memcpy(y.data(), values.data(), values.size() * 4);
        k->rms_norm(x.as<float>(), y.as<float>(), n, 1e-6f, out.as<float>());
        k->layer_norm(x.as<float>(), y.as<float>(), y.as<float>(), n, 1e-6f, out.as<float>());
        k->activate(Activation::gelu, x.as<float>(), n, out.as<float>());
        k->glu(Activation::silu, x.as<float>(), y.as<float>(), n, out.as<float>());
        k->glu(Activation::gelu_tanh, x.as<float>(), y.as<float>(), n, x.as<float>());
        k->add(x.as<float>(), y.as<float>(), n);
        k->scale(x.as<float>(), n, 2.0f);
        k->softcap(x.as<float>(), n, 5.0f);
        k->store_value(KvType::f16, x.as<float>(), n, half.data(), 0);
        k->store_value(KvType::f32, x.as<float>(), n, out.data(), 0);
        GuardedBuffer keys(n * kKvPageLen * 2, flush);
        k->store_key(KvType::f16, x.as<float>(), n, keys.data(), kKvPageLen - 1);
        CHECK(std::memcmp(out.data(), x.data(), static_cast<size_t>(n) * 4) == 0);
      }
    }
  }
}
