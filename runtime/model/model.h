#pragma once
// A model ready to run: its configuration and its tensors. Immutable; the file outlives it.
#include "runtime/model/config.h"
#include "runtime/model/weights.h"

namespace nibble {

struct Model {
  ModelConfig config;
  Weights weights;
  const MappedFile* map = nullptr;  // that weights may lie in; not owned
};

/// Errors: bad_file, unsupported (architecture: names it and those that nibble has).
Model load_model(const TensorFile& file);

}  // namespace nibble
