#pragma once
// Which models can be encoded layer by layer.
#include <string>

#include "runtime/convert/layer_encoder.h"
#include "runtime/model/arch.h"

namespace nibble {

/// file: for messages. Errors: unsupported (an architecture whose matrices are not known by their
/// inputs, one with experts, one that no column's scale can be moved in, fewer positions than a
/// chunk has tokens).
void check_calibratable(const std::string& file, const Arch& arch, const ModelConfig& config,
                        QuantizeMethod method, int64_t chunk_size);

}  // namespace nibble
