#pragma once
// Checkpoints that are already quantized: how each scheme stores a matrix, and what gives its rows
// back exactly. config.json names the scheme in quantization_config.quant_method.
#include <functional>
#include <optional>
#include <string>

#include "formats/hf_folder.h"
#include "runtime/convert/weight_rows.h"
#include "runtime/model/hf_config.h"

namespace nibble {

/// Finds a tensor by name and notes that it is used.
using FolderTensors = std::function<FolderTensor(const std::string& name)>;

struct WeightScheme {
  const char* method;  // quant_method
  const char* what;
  /// The rows of weight `name` ("model.layers.0.mlp.up_proj.weight"), or nothing where the scheme
  /// left it as floats. Errors: unsupported (a variant, by name), bad_file.
  std::optional<WeightRows> (*open)(const FolderTensors& tensors, const std::string& name,
                                    const HfConfig& config);
};

/// nullptr for a checkpoint of floats. Error: unsupported (a scheme that is not known, by name).
const WeightScheme* find_scheme(const HfConfig& config);

}  // namespace nibble
