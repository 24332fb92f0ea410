#pragma once
// What every model file is to the rest of nibble: typed metadata and named tensors over a map.
// Strings and arrays are views into the file, so metadata costs memory in proportion to the number
// of keys and tensors, not to the size of a vocabulary.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quant/dtype.h"

namespace nibble {

class MappedFile;
struct FileOptions;

/// Type of a metadata value; the numbers are GGUF's.
enum class MetaType : uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

/// Array of strings inside the file; element i is found without scanning from the start. Lengths
/// follow from the offsets: the file's own were checked once and are not read again, so a file that
/// changes under the map changes characters, never bounds. Copies share the offsets, which are 32
/// bits because the memory they take is most of the time that opening a vocabulary takes.
class StringArray {
 public:
  StringArray() = default;
  /// offsets [size + 1], from base: of each element's 8-byte length, and of what follows the last.
  StringArray(const std::byte* base, std::vector<uint32_t> offsets)
      : base_(reinterpret_cast<const char*>(base)),
        size_(offsets.empty() ? 0 : offsets.size() - 1),
        offsets_(std::make_shared<const std::vector<uint32_t>>(std::move(offsets))) {}
  size_t size() const noexcept { return size_; }
  /// The bytes of element i, as the file has them (any bytes, not necessarily UTF-8).
  std::string_view operator[](size_t i) const noexcept {
    const uint32_t* at = offsets_->data() + i;
    return {base_ + at[0] + sizeof(uint64_t), at[1] - at[0] - sizeof(uint64_t)};
  }

 private:
  const char* base_ = nullptr;
  size_t size_ = 0;
  std::shared_ptr<const std::vector<uint32_t>> offsets_;
};

/// One key of the file. Scalars are held as bits; strings and arrays as views.
struct MetaValue {
  std::string key;
  MetaType type = MetaType::u32;
  MetaType item_type = MetaType::u32;  // of an array
  uint64_t bits = 0;                   // a scalar's bits, zero- or sign-extended
  std::string_view text;               // a string
  uint64_t count = 0;                  // items of an array
  std::span<const std::byte> items;    // raw items of an array of numbers
  StringArray strings;                 // items of an array of strings
};

/// The keys of a file, in file order.
class Metadata {
 public:
  const MetaValue* find(std::string_view key) const noexcept;
  const std::vector<MetaValue>& all() const noexcept { return values_; }

  // Typed getters. Absent: nullopt. Present with a type that cannot be converted without loss
  // (wrong kind, out of range): Error bad_file that names file, key, expected and got.
  std::optional<int64_t> get_int(std::string_view key) const;
  std::optional<double> get_float(std::string_view key) const;
  std::optional<bool> get_bool(std::string_view key) const;
  std::optional<std::string_view> get_string(std::string_view key) const;
  /// Arrays of numbers, converted; integers of any width for ints.
  std::optional<std::vector<int64_t>> get_ints(std::string_view key) const;
  std::optional<std::vector<float>> get_floats(std::string_view key) const;
  const StringArray* get_strings(std::string_view key) const;

  /// The key must be new. find() is linear in the keys added since build_index().
  void add(MetaValue value) { values_.push_back(std::move(value)); }
  void reserve(uint64_t n_keys) { values_.reserve(n_keys); }
  /// Makes find() logarithmic; returns a key that occurs twice, or nullptr.
  const std::string* build_index();
  void set_file(std::string name) { file_ = std::move(name); }
  const std::string& file() const noexcept { return file_; }

 private:
  std::string file_;  // for messages
  std::vector<MetaValue> values_;
  std::vector<uint32_t> index_;  // of the first values_, sorted by key
};

/// A tensor of the file. Dimensions are row-major as PyTorch prints them: shape[0] is the slowest
/// (GGUF stores them reversed). Its bytes lie inside the file: checked at open.
struct TensorInfo {
  std::string name;
  uint32_t type_id = 0;             // as on disk; find_stored_type() says what it is
  int64_t shape[4] = {1, 1, 1, 1};  // [n_dims], the rest is 1; no product of dims overflows
  int n_dims = 0;
  uint64_t offset = 0;  // in file_bytes()
  uint64_t bytes = 0;   // of a type nibble does not decode: up to the next tensor

  int64_t cols() const noexcept { return n_dims == 0 ? 1 : shape[n_dims - 1]; }
  int64_t rows() const noexcept {
    int64_t r = 1;
    for (int i = 0; i + 1 < n_dims; ++i) r *= shape[i];
    return r;
  }
};

/// An open model file, or all the files of a split model. Immutable; views stay valid while it
/// lives. Movable, not copyable.
class TensorFile {
 public:
  TensorFile();
  ~TensorFile();
  TensorFile(TensorFile&&) noexcept;
  TensorFile& operator=(TensorFile&&) noexcept;

  /// Of the first file.
  const std::string& path() const noexcept { return path_; }
  /// Of every file; more than one if the model is split.
  const std::vector<std::string>& paths() const noexcept { return paths_; }
  const char* format() const noexcept { return format_; }  // "gguf"
  uint32_t version() const noexcept { return version_; }
  const Metadata& meta() const noexcept { return meta_; }
  const std::vector<TensorInfo>& tensors() const noexcept { return tensors_; }
  /// nullptr if there is none of this name.
  const TensorInfo* find(std::string_view name) const noexcept;
  /// The tensor's bytes, exactly info.bytes long.
  std::span<const std::byte> data(const TensorInfo& info) const noexcept;
  /// All files, one behind the other (MappedFile), if there are several.
  std::span<const std::byte> file_bytes() const noexcept { return bytes_; }
  /// The map, for advice about pages; nullptr when the file is a caller's memory.
  const MappedFile* map() const noexcept { return map_.get(); }
  /// Whether the file is what it was when it was opened: MappedFile::unchanged().
  bool unchanged(bool soon = false) const noexcept;
  /// Throws io if not.
  void require_unchanged() const;
  /// Oddities that are legal: gaps, unknown types ... One sentence each, for `inspect`.
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }

 private:
  friend class GgufReader;
  friend class ShardReader;
  std::string path_;
  std::vector<std::string> paths_;
  const char* format_ = "";
  uint32_t version_ = 0;
  Metadata meta_;
  std::vector<TensorInfo> tensors_;
  std::vector<uint32_t> by_name_;  // indices of tensors_, sorted by name
  std::vector<std::string> warnings_;
  std::unique_ptr<MappedFile> map_;   // owns bytes_, unless they are a caller's memory
  std::span<const std::byte> bytes_;  // the whole file
};

/// Opens any model file that nibble knows (formats/open.cpp: the table of formats); all of a split
/// model, of which path is the first file. Errors: not_found, io, bad_file, unsupported.
TensorFile open_tensor_file(const std::string& path);
TensorFile open_tensor_file(const std::string& path, const FileOptions& options);
/// The same, but of a split model this file alone.
TensorFile open_tensor_shard(const std::string& path);
/// The same over bytes that are there already: a piece of a file, or what a caller's own reader
/// gave (MappedFile). Errors: bad_file, unsupported (one of the files of a split model).
TensorFile open_tensor_map(std::unique_ptr<MappedFile> map, const FileOptions& options);
/// The same over memory that outlives the result, aligned to 8 bytes (bad_argument if not: tensors
/// are read in place); name is used in messages.
TensorFile open_tensor_memory(std::span<const std::byte> bytes, const std::string& name);

}  // namespace nibble
