// Tokens to rows of the residual stream, and what depends on positions alone.
#include <cmath>

#include "runtime/model/blocks/blocks.h"

namespace nibble {
namespace {

void rotations(Worker& worker, int64_t t) noexcept {
  Workspace& ws = worker.ws;
  for (size_t r = 0; r < worker.config.ropes.size(); ++r) {
    const RopeSpec& rope = worker.config.ropes[r];
    const int64_t half = rope.dim / 2;
    float* out = ws.cos_sin[r].data() + worker.slot(t) * 2 * half;  // [half, 2]
    const double pos = static_cast<double>(worker.row(t).pos);
    for (int64_t i = 0; i < half; ++i) {
      const double angle = pos * ws.freqs[r][static_cast<size_t>(i)];
      out[2 * i] = static_cast<float>(std::cos(angle) * rope.magnitude);
      out[2 * i + 1] = static_cast<float>(std::sin(angle) * rope.magnitude);
    }
  }
}

/// Sines, then cosines, of waves from 1 to 10000 positions a radian (Vaswani et al. 2017, arXiv
/// 1706.03762, in the order of the Fairseq toolkit). out [n]
void sinusoid(int64_t position, int64_t n, float* out) noexcept {
  const int64_t half = n / 2;
  const double step = half > 1 ? std::log(10000.0) / static_cast<double>(half - 1) : 0.0;
  for (int64_t i = 0; i < half; ++i) {
    const double angle = static_cast<double>(position) * std::exp(-step * static_cast<double>(i));
    out[i] = static_cast<float>(std::sin(angle));
    out[half + i] = static_cast<float>(std::cos(angle));
  }
  if (n % 2 != 0) out[n - 1] = 0;
}

}  // namespace

void embed(Worker& worker) noexcept {
  const ModelConfig& config = worker.config;
  const KernelTable& kernels = worker.kernels;
  const LayerWeights& w = worker.pass.model.weights.model;
  const IndexRange mine = worker.rows_of(worker.n_rows);
  for (int64_t t = mine.begin; t < mine.end; ++t) {
    rotations(worker, t);
    float* x = worker.x_row(t);
    kernels.dequantize_row(w[Role::token_embd], worker.row(t).token, x);
    if (config.embed_scale != 1.0f) kernels.scale(x, config.n_embd, config.embed_scale);
    float* added = worker.scratch_row();  // [n_embd]
    if (w[Role::position_embd].data != nullptr) {
      kernels.dequantize_row(w[Role::position_embd], worker.row(t).pos, added);
      kernels.add(x, added, config.n_embd);
    }
    if (config.sinusoidal) {
      sinusoid(worker.row(t).pos + config.first_position, config.n_embd, added);
      kernels.add(x, added, config.n_embd);
    }
    if (w[Role::token_types].data != nullptr) {
      kernels.dequantize_row(w[Role::token_types], 0, added);
      kernels.add(x, added, config.n_embd);
    }
    if (w.vector(Role::embd_norm) != nullptr) {
      worker.norm(w, Role::embd_norm, Role::embd_norm_bias, x, config.n_embd, x);
    }
  }
}

}  // namespace nibble
