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
