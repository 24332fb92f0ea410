#include "runtime/model/rope_freqs.h"

#include <algorithm>
#include <cmath>

namespace nibble {
namespace {

constexpr double kTwoPi = 6.28318530717958647692;

/// The pair whose wave turns `turns` times over the first context.
double pair_of(const RopeSpec& rope, double turns) {
  const double context = static_cast<double>(rope.n_ctx_first);
  return static_cast<double>(rope.dim) * std::log(context / (turns * kTwoPi)) /
         (2 * std::log(rope.freq_base));
}

/// Waves that turn often are kept, those that turn seldom scaled, with a ramp between.
void apply_yarn(const RopeSpec& rope, std::vector<double>& freqs) {
  const double first = pair_of(rope, rope.beta_fast), last = pair_of(rope, rope.beta_slow);
  const double low = std::max(rope.whole_ramp ? std::floor(first) : first, 0.0);
  const double high =
      std::min(rope.whole_ramp ? std::ceil(last) : last, static_cast<double>(rope.dim - 1));
  for (size_t i = 0; i < freqs.size(); ++i) {
    const double ramp = (static_cast<double>(i) - low) / std::max(high - low, 0.001);
    const double scaled = std::clamp(ramp, 0.0, 1.0);
    freqs[i] *= rope.freq_scale * scaled + (1 - scaled);
  }
}

/// The base grows with the context, so that the longest wave covers it.
double dynamic_base(const RopeSpec& rope, int64_t n_ctx) {
  const double factor = 1 / rope.freq_scale;
  const double longer = static_cast<double>(n_ctx) / static_cast<double>(rope.n_ctx_first);
  if (longer <= 1 || rope.dim <= 2) return rope.freq_base;
  const auto dim = static_cast<double>(rope.dim);
  return rope.freq_base * std::pow(factor * longer - (factor - 1), dim / (dim - 2));
}

}  // namespace

std::vector<double> rope_freqs(const RopeSpec& rope, const LayerWeights& model, int64_t n_ctx) {
  const bool is_dynamic = rope.scaling == RopeScaling::dynamic;
  const double base = is_dynamic ? dynamic_base(rope, n_ctx) : rope.freq_base;
  const bool is_long = rope.scaling == RopeScaling::longrope;
  const float* factors = rope.freq_factors ? model.vector(Role::rope_freqs) : nullptr;
  if (is_long)
    factors = model.vector(n_ctx > rope.n_ctx_first ? Role::rope_long : Role::rope_short);
  std::vector<double> freqs(static_cast<size_t>(rope.dim / 2));
  for (size_t i = 0; i < freqs.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(rope.dim);
    freqs[i] = std::pow(base, exponent);
    if (rope.scaling == RopeScaling::linear) freqs[i] *= rope.freq_scale;
    if (factors != nullptr) freqs[i] /= static_cast<double>(factors[i]);
  }
  if (rope.scaling == RopeScaling::yarn) apply_yarn(rope, freqs);
  return freqs;
}

double yarn_magnitude(double factor, double multiplier) noexcept {
  return factor > 1 ? 0.1 * multiplier * std::log(factor) + 1 : 1;
}

}  // namespace nibble
