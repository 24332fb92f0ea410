#pragma once
// Checkpoints that are already quantized: how each scheme stores a matrix, and what gives its rows
// back exactly. config.json names the scheme in quantization_config.quant_method.
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "formats/hf_folder.h"
#include "runtime/convert/weight_rows.h"
#include "runtime/model/hf_config.h"

namespace nibble {

/// Finds a tensor by name and notes that it is used.
using FolderTensors = std::function<FolderTensor(const std::string& name)>;

struct WeightScheme {
  std::string_view method;  // quant_method
  /// The rows of weight `name` ("model.layers.0.mlp.up_proj.weight"), or nothing where the scheme
  /// left it as floats. Errors: unsupported (a variant, by name), bad_file.
  std::optional<WeightRows> (*open)(const FolderTensors& tensors, const std::string& name,
                                    const HfConfig& config);
};

/// nullptr for a checkpoint of floats. Error: unsupported (a scheme that is not known, by name).
const WeightScheme* find_scheme(const HfConfig& config);

std::optional<WeightRows> open_gptq(const FolderTensors&, const std::string&, const HfConfig&);
std::optional<WeightRows> open_awq(const FolderTensors&, const std::string&, const HfConfig&);
std::optional<WeightRows> open_bitsandbytes(const FolderTensors&, const std::string&,
                                            const HfConfig&);
std::optional<WeightRows> open_fp8(const FolderTensors&, const std::string&, const HfConfig&);
std::optional<WeightRows> open_mxfp4(const FolderTensors&, const std::string&, const HfConfig&);

/// A tensor's data, its type and shape checked. shape: -1 is any. Error: bad_file.
std::span<const std::byte> checked_data(const FolderTensor& tensor, SafeType type,
                                        std::initializer_list<int64_t> shape);

/// Weights that are whole numbers times a scale of their group: weight (r, c) is
/// scale(r, c / group) * whole(r, c). Kept as Q4_0, Q5_0 or Q8_0, the first that holds the range of
/// the whole numbers, where groups are made of whole blocks; else as F32.
struct WholeRows {
  std::string name;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t group = 0;
  int lowest = 0;  // of the whole numbers
  int highest = 0;
  std::function<uint16_t(int64_t row, int64_t group)> scale;  // half precision
  /// Numbers [first, first + n) of a row; n is at most 32.
  std::function<void(int64_t row, int64_t first, int64_t n, int8_t* out)> whole;
  std::function<int64_t(int64_t col)> group_of = {};  // where groups are not in order
};
WeightRows rows_of_wholes(WholeRows wholes);

}  // namespace nibble
