#include "runtime/convert/calibratable.h"

#include <algorithm>

#include "formats/io/error.h"

namespace nibble {

void check_calibratable(const std::string& file, const Arch& arch, const ModelConfig& config,
                        QuantizeMethod method, int64_t chunk_size) {
  const bool experts = std::any_of(config.layers.begin(), config.layers.end(),
                                   [](const LayerSpec& layer) { return layer.experts.n > 0; });
  if (arch.shared_inputs.empty() || experts) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: expected an architecture whose matrices are calibrated, got {}{}",
                            file, config.arch, experts ? " with experts" : ""),
                "without --method each row is encoded for itself");
  }
  const bool scales =
      std::any_of(arch.shared_inputs.begin(), arch.shared_inputs.end(),
                  [](const SharedInput& shared) { return shared.producer != Role::count; });
  if (method != QuantizeMethod::gptq && !scales) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: expected an architecture whose columns can be scaled, got {}",
                            file, config.arch),
                "--method gptq scales none");
  }
  if (config.bounded && chunk_size > config.n_ctx_train) {
    fail(ErrorCode::unsupported, "{}: expected positions for chunks of {} tokens, got {}", file,
         chunk_size, config.n_ctx_train);
  }
}

}  // namespace nibble
