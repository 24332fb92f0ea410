#pragma once
// Hashes of a file's tensors, kept in its own metadata: what `verify` compares the data with.
// docs/format.md, "Hashes", is normative. GgufWriter fills them in for every header that has the
// key, so a file written anew never carries those of the file it was made from.
#include <cstdint>
#include <span>
#include <vector>

#include "formats/tensor_file.h"

namespace nibble {

/// Array of u64: XXH3 (64 bits) of each tensor's bytes, in the order of the tensor table.
inline constexpr const char* kTensorHashesKey = "nibble.tensor_hashes";
/// u64: what the hashes are of. Programs that do not know the keys copy them from file to file.
inline constexpr const char* kTensorTableHashKey = "nibble.tensor_table_hash";

/// XXH3 of every tensor's name, type and shape, in order.
uint64_t tensor_table_hash(std::span<const TensorInfo> tensors);

struct TensorHashes {
  enum class State {
    present,
    absent,
    of_others,  // written for other tensors: names, types or shapes changed since
  };
  State state = State::absent;
  std::vector<uint64_t> values;  // [tensors] if present
};

/// Errors: bad_file (a key of another type).
TensorHashes read_tensor_hashes(const TensorFile& file);

}  // namespace nibble
