#pragma once
// GGUF, the model file of the ggml ecosystem: read in versions 2 and 3, written in version 3.
// docs/format.md is the normative description. Layout, all little-endian:
//
//   "GGUF"  u32 version  u64 n_tensors  u64 n_keys
//   n_keys    x { string key, u32 type, value }          string: u64 length, bytes
//   n_tensors x { string name, u32 n_dims, u64 dims[n_dims] (fastest first), u32 type, u64 offset }
//   zeros up to a multiple of general.alignment; then the tensors' data, each at its offset from
//   here
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/open.h"
#include "formats/tensor_file.h"

namespace nibble {

inline constexpr uint32_t kGgufVersion = 3;            // written; 2 has the same layout
inline constexpr uint64_t kGgufDefaultAlignment = 32;  // when general.alignment is absent
inline constexpr uint64_t kGgufMinAlignment = 8;
inline constexpr uint64_t kGgufMaxAlignment = 1 << 24;
inline constexpr const char* kGgufAlignmentKey = "general.alignment";
// With these, opening takes at most 3 x the header's bytes + 16 MiB of memory.
inline constexpr uint64_t kGgufMaxKeys = 1 << 16;
inline constexpr uint64_t kGgufMaxTensors = 1 << 17;
inline constexpr uint64_t kGgufMaxNameBytes = 65535;  // of a key or a tensor's name

/// Whether the bytes begin like a GGUF file, possibly cut short.
bool probe_gguf(std::span<const std::byte> bytes) noexcept;

/// Errors: bad_file (contradicts the format), unsupported (version 1, big-endian, nested arrays).
TensorFile read_gguf(FileSource source);

}  // namespace nibble
