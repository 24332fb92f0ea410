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
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "formats/io/atomic_file.h"
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

/// The MetaType of a C++ type: meta_type_of<uint32_t>() is u32.
template <typename T>
constexpr MetaType meta_type_of() {
  if constexpr (std::is_same_v<T, bool>) {
    return MetaType::boolean;
  } else if constexpr (std::is_same_v<T, float>) {
    return MetaType::f32;
  } else if constexpr (std::is_same_v<T, double>) {
    return MetaType::f64;
  } else {
    static_assert(std::is_integral_v<T> && !std::is_same_v<T, char>);
    constexpr bool kSigned = std::is_signed_v<T>;
    if (sizeof(T) == 1) return kSigned ? MetaType::i8 : MetaType::u8;
    if (sizeof(T) == 2) return kSigned ? MetaType::i16 : MetaType::u16;
    if (sizeof(T) == 4) return kSigned ? MetaType::i32 : MetaType::u32;
    return kSigned ? MetaType::i64 : MetaType::u64;
  }
}

/// A file to be written, laid out.
struct GgufLayout {
  std::vector<std::byte> header;    // up to the first tensor's data, zeros included
  std::vector<TensorInfo> tensors;  // in file order, offsets in the file
  uint64_t file_bytes = 0;          // with the zeros after the last tensor
  uint64_t hashes_at = 0;           // in header: where the tensors' hashes go; 0: nowhere
};

/// What stands before the tensors' data: metadata and tensor table of a file to be written. Holds
/// copies, in the order of setting. Errors of every member: bad_argument for what the reader would
/// refuse (a name that is too long or occurs twice, dimensions that do not fit the type ...).
class GgufHeader {
 public:
  /// Scalars and arrays of them; the type on disk is T's own. Setting a key again replaces it.
  template <typename T>
  void set(std::string_view key, T value) {
    set_scalar(key, meta_type_of<T>(), &value);
  }
  template <typename T>
  void set_array(std::string_view key, std::span<const T> items) {
    set_items(key, meta_type_of<T>(), std::as_bytes(items), items.size());
  }
  void set_string(std::string_view key, std::string_view text);
  void set_strings(std::string_view key, std::span<const std::string_view> items);
  /// A key of another file, whatever its type.
  void set_value(const MetaValue& value);
  void copy_metadata(const Metadata& from);
  /// Does nothing when the key is absent.
  void remove(std::string_view key);
  /// The writer adds hashes of the tensors (tensor_hashes.h). A header that has the key already,
  /// from another file, need not ask: its hashes are replaced.
  void want_hashes();

  /// Appends a tensor; info.offset is ignored. info.bytes may be 0 for a type that nibble
  /// decodes, packed or not; packed ones want an alignment of 64.
  void add_tensor(TensorInfo info);

  uint64_t alignment() const noexcept { return alignment_; }
  GgufLayout layout() const;

 private:
  struct Entry {
    std::string key;
    std::vector<std::byte> value;  // as on disk: type, then what the type says
  };

  void set_scalar(std::string_view key, MetaType type, const void* value);
  void set_items(std::string_view key, MetaType item_type, std::span<const std::byte> items,
                 uint64_t count);
  void put(std::string_view key, std::vector<std::byte> value);
  void check_alignment() const;

  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> entry_of_key_;
  std::vector<TensorInfo> tensors_;
  std::unordered_set<std::string> tensor_names_;
  uint64_t alignment_ = kGgufDefaultAlignment;
};

/// What a resumable writer has finished: one of these a tensor, in order.
struct GgufCheckpoint {
  uint64_t bytes = 0;  // of the file, with the zeros after the tensor
  float value = 0;     // the caller's, about the tensor
};

/// Writes a GGUF file from front to back: the header at once, then the data of each tensor in the
/// order of adding, in pieces of any size; nothing but the piece is held in memory. The file
/// appears at finish(), whole and verified, or not at all (AtomicFile).
class GgufWriter {
 public:
  /// Reserves the space of the whole file. With options.resumable, tensors that an interrupted
  /// writer of the same header and key finished are kept, if they read back as they were written.
  /// Errors: those of AtomicFile.
  GgufWriter(const std::string& path, const GgufHeader& header, AtomicFileOptions options = {},
             uint64_t resume_key = 0);
  ~GgufWriter();

  /// The next bytes of the current tensor. bad_argument if that wants fewer.
  void write(std::span<const std::byte> bytes);
  /// The tensor that write() goes to; nullptr after the last.
  const TensorInfo* current() const noexcept;
  uint64_t bytes_left() const noexcept { return left_; }
  /// Of the whole file.
  uint64_t file_bytes() const noexcept { return layout_.file_bytes; }

  /// Resumable only: the tensors finished so far, by earlier writers and by checkpoint().
  const std::vector<GgufCheckpoint>& checkpoints() const noexcept { return checkpoints_; }
  /// Resumable only, after the last byte of each tensor: notes that it is finished.
  void checkpoint(float value);
  /// Resumable only: leaves what is there for a later writer. Nothing may follow.
  void keep() noexcept { file_.keep(); }

  /// After the last tensor, a header with other values that take the same bytes: what is known of
  /// a file only when it is there. bad_argument if its size or a tensor differs.
  void replace_header(const GgufHeader& header);
  /// Where everything written so far can be read.
  std::string flushed_path() { return file_.flushed_path(); }

  /// Reads the file back, compares, and puts it in place. bad_argument while a tensor wants bytes.
  void finish();

 private:
  struct Hash;
  void put(std::span<const std::byte> bytes);
  void skip_finished_tensors();
  void resume(uint64_t key);
  void fill_in_hashes();
  /// Where the file ends when tensor i is finished.
  uint64_t checkpoint_end(size_t i) const noexcept;
  void verify(const std::string& temporary) const;

  GgufLayout layout_;
  AtomicFile file_;
  std::unique_ptr<Hash> hash_;    // of the current tensor
  std::vector<uint64_t> hashes_;  // of the tensors that are whole
  std::vector<GgufCheckpoint> checkpoints_;
  size_t next_ = 0;    // tensor that write() goes to
  uint64_t left_ = 0;  // bytes it still wants
};

}  // namespace nibble
