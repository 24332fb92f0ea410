#pragma once
// safetensors, the weight files of the Hugging Face ecosystem. Layout, little-endian:
//
//   u64 n; n bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...,
//   "__metadata__": {"text": "text"}}; then the data, which the tensors cover without gap or
//   overlap
//
// A name ends in no nul, a shape is row-major as PyTorch prints it, offsets count from the data.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/io/atomic_file.h"
#include "formats/io/mapped_file.h"

namespace nibble {

inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;  // as the reference reader
inline constexpr size_t kMaxSafetensorsDims = 64;

/// Element types. The table is all that the format defines; nibble converts the floats among them.
enum class SafeType : uint8_t {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64,
};
struct SafeTypeInfo {
  SafeType type;
  const char* name;  // as in the file: "BF16"
  uint64_t bits;     // of an element
};
std::span<const SafeTypeInfo> all_safe_types() noexcept;
const SafeTypeInfo& safe_type_info(SafeType type) noexcept;

struct SafeTensor {
  std::string name;
  SafeType type = SafeType::f32;
  std::vector<int64_t> shape;  // slowest dimension first; [] is one element
  uint64_t offset = 0;         // in the file
  uint64_t bytes = 0;
};

/// An open file; every tensor's bytes lie inside it. Movable; views stay valid while it lives.
class SafetensorsFile {
 public:
  const std::string& path() const noexcept { return path_; }
  /// In the order of their data.
  const std::vector<SafeTensor>& tensors() const noexcept { return tensors_; }
  /// nullptr if there is none of this name.
  const SafeTensor* find(std::string_view name) const noexcept;
  std::span<const std::byte> data(const SafeTensor& t) const noexcept {
    return bytes_.subspan(t.offset, t.bytes);
  }
  /// nullptr when the file is a caller's memory.
  const MappedFile* map() const noexcept { return map_.get(); }

 private:
  friend class SafetensorsReader;
  std::string path_;
  std::vector<SafeTensor> tensors_;
  std::vector<uint32_t> by_name_;
  std::unique_ptr<MappedFile> map_;
  std::span<const std::byte> bytes_;
};

/// Errors: not_found, io, bad_file (contradicts the format).
SafetensorsFile open_safetensors(const std::string& path);
/// The same over memory that outlives the result; name is used in messages.
SafetensorsFile open_safetensors_memory(std::span<const std::byte> bytes, const std::string& name);

}  // namespace nibble
