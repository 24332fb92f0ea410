#pragma once
// Where the numbers of a tensor come from while a model is converted: its rows, in one type that
// holds them without loss, and as floats. Checkpoints that are already quantized in a way of their
// own give such rows too (weight_schemes.h), so that all behind it knows one kind of source.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "quant/dtype.h"

namespace nibble {

struct WeightRows {
  std::string name;  // file and tensor, for messages
  std::vector<int64_t> shape;
  int64_t rows = 0;
  int64_t cols = 0;
  DType type = DType::F32;  // holds every row exactly
  bool was_quantized = false;
  // Both are safe from several threads at once and do not throw.
  /// Row `row` in `type`: out has row_bytes(type, cols) bytes.
  std::function<void(int64_t row, void* out)> bytes;
  /// out [cols]
  std::function<void(int64_t row, float* out)> floats;
  /// Gives the pages of rows [first, first + n) back; may be empty.
  std::function<void(int64_t first, int64_t n)> give_back;
};

/// Rows of a tensor of floats (F64, F32, F16, BF16). F64 becomes F32. The file must outlive them.
/// Errors: unsupported (another type; more than two dimensions).
WeightRows float_rows(const SafetensorsFile& file, const SafeTensor& tensor);

/// The same with columns as rows. Error: unsupported (other than two dimensions).
WeightRows transposed_rows(const SafetensorsFile& file, const SafeTensor& tensor);

/// Tensors of one shape, one after the other; vectors become the rows of a matrix.
WeightRows stacked_rows(std::vector<WeightRows> parts);

/// Parts of a matrix whose rows are, head after head, n_keys keys and some values. Keys come with
/// columns as rows: [heads, cols, n_keys]; values as they are: [heads, n_values, cols]. Error:
/// bad_file (rows that are no heads).
WeightRows latent_keys(WeightRows rows, int64_t heads, int64_t n_keys);
WeightRows latent_values(WeightRows rows, int64_t heads, int64_t n_keys);

/// Without the first n rows. Error: bad_file (fewer).
WeightRows rows_behind(WeightRows rows, int64_t n);

/// Rows that are in memory. floats [rows * cols]
WeightRows memory_rows(std::string name, std::vector<float> floats, int64_t rows, int64_t cols);

}  // namespace nibble
