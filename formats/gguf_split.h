#pragma once
// A model in several GGUF files, as the ecosystem splits them: NAME-00001-of-00003.gguf and so on.
// The first has all metadata; every file has, besides its tensors,
//   split.no             u16  from 0
//   split.count          u16  files in all
//   split.tensors.count  i32  tensors in all
#include <cstdint>
#include <string>
#include <string_view>

#include "formats/tensor_file.h"

namespace nibble {

inline constexpr const char* kSplitNoKey = "split.no";
inline constexpr const char* kSplitCountKey = "split.count";
inline constexpr const char* kSplitTensorsKey = "split.tensors.count";
inline constexpr int64_t kMaxShards = 65535;

/// "PREFIX-00002-of-00005.gguf". no from 0.
std::string shard_path(std::string_view prefix, int64_t no, int64_t count);

/// Files of the model that this file is a part of, 1 if it is whole. Errors: bad_file (a key that
/// is no such number).
int64_t split_count(const TensorFile& file);

/// Opens the files of a split model as one. Their names follow from the first's, never from what a
/// file says. first: the first of them, opened alone. Errors: bad_argument (not the first one, or
/// not named like one), not_found (one is missing), bad_file (files of different models, a tensor
/// twice or missing), io, unsupported.
TensorFile read_shards(const TensorFile& first, const FileOptions& options);

}  // namespace nibble
