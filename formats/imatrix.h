#pragma once
// Importance matrices: how strongly each column of a matrix is used, measured on text, so that a
// quantizer knows where errors matter. The file is the ecosystem's: a GGUF file with general.type
// "imatrix", the keys imatrix.datasets, imatrix.chunk_count and imatrix.chunk_size, and for each
// matrix NAME two F32 tensors, NAME.in_sum2 [n_matrices, cols] (sums of squared inputs) and
// NAME.counts [n_matrices, 1] (how many inputs were summed). nibble adds nibble.imatrix.text_hash.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tensor_file.h"

namespace nibble {

inline constexpr const char* kImatrixType = "imatrix";  // of general.type

struct ImatrixEntry {
  std::string name;  // of the matrix
  int64_t cols = 0;
  std::vector<float> sums;    // [n_matrices, cols] finite, not negative
  std::vector<float> counts;  // [n_matrices] finite, not negative
  int64_t n_matrices() const noexcept { return static_cast<int64_t>(counts.size()); }
};

struct Imatrix {
  std::vector<std::string> datasets;  // names of the texts
  int64_t chunk_count = 0;
  int64_t chunk_size = 0;             // tokens
  std::string text_hash;              // XXH3 of the text in hexadecimal; empty where unknown
  std::vector<ImatrixEntry> entries;  // sorted by name

  /// nullptr if there is none.
  const ImatrixEntry* find(std::string_view name) const noexcept;
};

/// Errors: bad_file (not such a file; a half of a pair, another type or shape, a number that is
/// negative or not finite).
Imatrix read_imatrix(const TensorFile& file);

/// Writes it, entries in their order; atomic as every file. inputs: as AtomicFileOptions has them.
/// Errors: those of GgufWriter.
void write_imatrix(const Imatrix& imatrix, const std::string& path,
                   const std::vector<std::string>& inputs = {});

/// What the mean of the squared inputs says about matrix i of an entry, as weights of its columns:
/// out [cols], all above zero. A matrix that no input reached: ones. Columns that none reached get
/// a millionth of the mean, so that no block is without any weight.
void column_importance(const ImatrixEntry& entry, int64_t i, float* out) noexcept;

}  // namespace nibble
