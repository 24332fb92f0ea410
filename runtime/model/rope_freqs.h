#pragma once
// The angles of rotary positions: what a RopeSpec comes to for a session.
#include <cstdint>
#include <vector>

#include "runtime/model/weights.h"

namespace nibble {

/// Radians a position for each rotated pair: [dim / 2]. model: for the factors of the file. n_ctx:
/// positions that the session can have.
std::vector<double> rope_freqs(const RopeSpec& rope, const LayerWeights& model, int64_t n_ctx);

/// YaRN's usual magnitude for a context `factor` times as long (arXiv 2309.00071, section 3.4).
double yarn_magnitude(double factor, double multiplier = 1.0) noexcept;

}  // namespace nibble
