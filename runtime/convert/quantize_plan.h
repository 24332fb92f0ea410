#pragma once
// What quantizing a file will do, decided before a byte is written: each tensor's new type, why,
// and how large the file becomes. Shown by --dry-run, carried out by quantize_file.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "formats/imatrix.h"
#include "formats/tensor_file.h"
#include "quant/dtype.h"
#include "runtime/convert/quant_mix.h"

namespace nibble {

/// A type for the tensors whose name a pattern (PCRE2, found anywhere in the name) matches.
struct TypeOverride {
  std::string pattern;
  DType type;
};

struct QuantizeChoices {
  const QuantMix* mix = nullptr;
  bool pure = false;                 // every tensor that may be quantized gets the mix's base type
  std::optional<DType> output_type;  // of the output head, or of the embedding that serves as one
  std::optional<DType> embedding_type;  // of the token embedding
  std::vector<TypeOverride> overrides;  // the first that matches decides
  bool allow_requantize = false;        // from a type that has lost something already
  bool strict = false;                  // no other type than the wanted one
  const Imatrix* imatrix = nullptr;     // not owned
  std::string imatrix_name;             // of its file, for the metadata
};

struct PlannedTensor {
  TensorInfo source;
  uint32_t type_id = 0;   // in the new file
  uint64_t bytes = 0;     // there
  std::string why;        // "Q4_K_M", "--tensor-type ffn", "kept: 1 dimension" ...
  bool fallback = false;  // the wanted type does not fit the rows
  const ImatrixEntry* importance = nullptr;
  bool changes() const noexcept { return type_id != source.type_id; }
};

struct QuantizePlan {
  std::vector<PlannedTensor> tensors;  // in file order
  GgufHeader header;                   // of the new file, without the card
  uint64_t source_bytes = 0;           // of tensors
  uint64_t bytes = 0;
  uint64_t file_bytes = 0;
  int64_t n_elements = 0;
  int64_t n_fallbacks = 0;
  double bits_per_weight() const noexcept {
    return n_elements == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(n_elements);
  }
};

/// Errors: bad_argument (a packed or split file, a quantized source without leave, a pattern that
/// is none, an importance matrix of another model, a fallback where strict), unsupported (a type
/// that nibble does not read is to be changed, or one it does not write is wanted), bad_file.
QuantizePlan plan_quantize(const TensorFile& in, const QuantizeChoices& choices);

/// The last of the table, which loses least, of the mixes that make the file smaller than it is
/// (or leave it as it is) and of at most so many bytes; choices.mix is ignored. nullptr if there is
/// none.
const QuantMix* best_mix_within(const TensorFile& in, const QuantizeChoices& choices,
                                uint64_t most_bytes);

}  // namespace nibble
