// The GGUF reader. Order of validation: magic and version, counts against the remaining bytes, each
// item, then across items (duplicates, ranges, overlaps). Nothing is allocated before the bytes
// that must back it are known to be there.
#include <algorithm>
#include <limits>
#include <map>

#include "formats/gguf.h"
#include "formats/io/bytes.h"
#include "formats/io/checked.h"
#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "formats/io/quote.h"
#include "formats/meta_type.h"
#include "formats/tensor_size.h"

namespace nibble {
namespace {

constexpr std::string_view kMagic = "GGUF";
// The fewest bytes that one entry of each table can take.
constexpr uint64_t kMinKeyBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 4 + 8;
constexpr uint32_t kMaxDims = 4;
constexpr const char* kGetAgain = "the file is cut short or damaged; get it again";

std::string type_text(uint32_t id) {
  const char* name = dtype_ecosystem_name(id);
  return name != nullptr ? fmt::format("type {}", name) : fmt::format("type id {:#x}", id);
}

}  // namespace

/// Fills a TensorFile; one object reads one file.
class GgufReader {
 public:
  explicit GgufReader(FileSource source) : name_(source.name), in_(source.bytes, name_) {
    out_.paths_ = {source.name};
    out_.path_ = std::move(source.name);
    out_.bytes_ = source.bytes;
    out_.map_ = std::move(source.map);
    out_.format_ = "gguf";
    out_.meta_.set_file(name_);
  }

  TensorFile read() {
    read_header();
    read_keys();
    read_alignment();
    read_tensor_table();
    index_names();
    locate_data();
    check_layout();
    warn_unknown_types();
    return std::move(out_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void bad(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::bad_file, "{}: {}", name_, fmt::format(format, std::forward<Args>(args)...));
  }

  void read_header();
  void check_version(uint32_t version) const;
  void read_keys();
  MetaValue read_key();
  void read_array(MetaValue& value, const std::string& where);
  StringArray read_strings(uint64_t count, const std::string& where);
  void check_bools(std::span<const std::byte> items, const std::string& where) const;
  void read_alignment();
  void read_tensor_table();
  TensorInfo read_tensor();
  void check_dims(const TensorInfo& info) const;
  void index_names();
  void locate_data();
  uint64_t known_bytes(const TensorInfo& info) const;
  void check_layout();
  void check_inside(const TensorInfo& info, uint64_t file_needs) const;
  void warn_unknown_types();

  static bool is_empty(const TensorInfo& info) {
    return std::any_of(info.shape, info.shape + kMaxDims, [](int64_t n) { return n == 0; });
  }

  std::string name_;
  ByteReader in_;
  TensorFile out_;
  uint64_t n_keys_ = 0;
  uint64_t n_tensors_ = 0;
  uint64_t alignment_ = kGgufDefaultAlignment;
  uint64_t data_start_ = 0;
};

void GgufReader::check_version(uint32_t version) const {
  if (version == 2 || version == 3) return;
  if (version != 0 && (version & 0xffff) == 0) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: expected a little-endian file, got a big-endian GGUF", name_),
                "get the little-endian file, which is the usual one");
  }
  if (version == 0) bad("expected GGUF version 2 or 3, got 0");
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: expected GGUF version 2 or 3, got {}", name_, version),
              version == 1 ? "version 1 was used for some weeks of 2023; get the model anew"
                           : "a newer nibble may read it");
}

void GgufReader::read_header() {
  (void)in_.take(kMagic.size(), "magic");
  out_.version_ = in_.read<uint32_t>("version");
  check_version(out_.version_);
  n_tensors_ = in_.read<uint64_t>("number of tensors");
  n_keys_ = in_.read<uint64_t>("number of metadata keys");
  const auto check = [&](uint64_t count, uint64_t limit, uint64_t min_bytes, const char* what) {
    if (count > in_.remaining() / min_bytes) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("{}: number of {}: expected at most {} in a file of {} bytes, got {}",
                              name_, what, in_.remaining() / min_bytes, out_.bytes_.size(), count),
                  kGetAgain);
    }
    if (count > limit) {
      fail(ErrorCode::unsupported, "{}: number of {}: expected at most {}, got {}", name_, what,
           limit, count);
    }
  };
  check(n_tensors_, kGgufMaxTensors, kMinTensorBytes, "tensors");
  check(n_keys_, kGgufMaxKeys, kMinKeyBytes, "metadata keys");
}

void GgufReader::read_keys() {
  out_.meta_.reserve(n_keys_);
  for (uint64_t i = 0; i < n_keys_; ++i) out_.meta_.add(read_key());
  if (const std::string* twice = out_.meta_.build_index()) {
    bad("metadata key {} occurs twice", quoted(*twice));
  }
}

MetaValue GgufReader::read_key() {
  MetaValue value;
  const std::string_view key = in_.read_string("name of a metadata key");
  if (key.size() > kGgufMaxNameBytes) {
    bad("name of a metadata key: expected at most {} bytes, got {}", kGgufMaxNameBytes, key.size());
  }
  value.key = key;
  const std::string where = "metadata key " + quoted(key);
  const auto type_id = in_.read<uint32_t>(where);
  const MetaTypeInfo* type = find_meta_type(type_id);
  if (type == nullptr) bad("{}: expected a value type from 0 to 12, got {}", where, type_id);
  value.type = type->type;
  if (value.type == MetaType::string) {
    value.text = in_.read_string(where);
  } else if (value.type == MetaType::array) {
    read_array(value, where);
  } else {
    const std::span<const std::byte> bytes = in_.take(type->bytes, where);
    if (value.type == MetaType::boolean) check_bools(bytes, where);
    value.bits = meta_bits(value.type, bytes.data());
  }
  return value;
}

void GgufReader::read_array(MetaValue& value, const std::string& where) {
  const auto type_id = in_.read<uint32_t>(where);
  const MetaTypeInfo* type = find_meta_type(type_id);
  if (type == nullptr) bad("{}: expected an item type from 0 to 12, got {}", where, type_id);
  if (type->type == MetaType::array) {
    fail(ErrorCode::unsupported, "{}: {}: arrays of arrays are not supported", name_, where);
  }
  value.item_type = type->type;
  value.count = in_.read<uint64_t>(where);
  // A string takes at least its length.
  const uint64_t min_bytes = type->type == MetaType::string ? sizeof(uint64_t) : type->bytes;
  if (value.count > in_.remaining() / min_bytes) {
    throw Error(
        ErrorCode::bad_file,
        fmt::format("{}: {}: array of {} {}: expected at most {} in the remaining {} bytes", name_,
                    where, value.count, type->name, in_.remaining() / min_bytes, in_.remaining()),
        kGetAgain);
  }
  if (type->type != MetaType::string) {
    value.items = in_.take(value.count * min_bytes, where);
    if (type->type == MetaType::boolean) check_bools(value.items, where);
    return;
  }
  value.strings = read_strings(value.count, where);
}

StringArray GgufReader::read_strings(uint64_t count, const std::string& where) {
  const uint64_t begin = in_.pos();
  std::vector<uint32_t> offsets;
  offsets.reserve(count + 1);
  offsets.push_back(0);
  for (uint64_t i = 0; i < count; ++i) {
    (void)in_.read_string(where);
    const uint64_t end = in_.pos() - begin;
    if (end > std::numeric_limits<uint32_t>::max()) {
      fail(ErrorCode::unsupported, "{}: {}: expected strings of less than 4 GiB in all, got more",
           name_, where);
    }
    offsets.push_back(static_cast<uint32_t>(end));
  }
  return StringArray(out_.bytes_.data() + begin, std::move(offsets));
}

void GgufReader::check_bools(std::span<const std::byte> items, const std::string& where) const {
  for (const std::byte item : items) {
    const auto byte = std::to_integer<unsigned>(item);
    if (byte > 1) bad("{}: expected a bool of 0 or 1, got {}", where, byte);
  }
}

void GgufReader::read_alignment() {
  const MetaValue* value = out_.meta_.find(kGgufAlignmentKey);
  if (value == nullptr) return;
  if (value->type != MetaType::u32) {
    bad("metadata key '{}': expected uint32, got {}", kGgufAlignmentKey,
        meta_type_info(value->type).name);
  }
  alignment_ = value->bits;
  if (!is_power_of_two(alignment_) || alignment_ < kGgufMinAlignment ||
      alignment_ > kGgufMaxAlignment) {
    bad("metadata key '{}': expected a power of two from {} to {}, got {}", kGgufAlignmentKey,
        kGgufMinAlignment, kGgufMaxAlignment, alignment_);
  }
}

void GgufReader::read_tensor_table() {
  if (n_tensors_ > in_.remaining() / kMinTensorBytes) {
    throw Error(ErrorCode::bad_file,
                fmt::format("{}: tensor table: expected {} entries, got {} bytes at byte {}", name_,
                            n_tensors_, in_.remaining(), in_.pos()),
                kGetAgain);
  }
  out_.tensors_.reserve(n_tensors_);
  for (uint64_t i = 0; i < n_tensors_; ++i) out_.tensors_.push_back(read_tensor());
}

TensorInfo GgufReader::read_tensor() {
  TensorInfo info;
  const std::string_view name = in_.read_string("name of a tensor");
  if (name.size() > kGgufMaxNameBytes) {
    bad("name of a tensor: expected at most {} bytes, got {}", kGgufMaxNameBytes, name.size());
  }
  info.name = name;
  const std::string_view where = "description of a tensor";
  const auto n_dims = in_.read<uint32_t>(where);
  if (n_dims > kMaxDims) {
    fail(ErrorCode::unsupported, "{}: tensor {}: expected at most {} dimensions, got {}", name_,
         quoted(name), kMaxDims, n_dims);
  }
  info.n_dims = static_cast<int>(n_dims);
  for (int i = info.n_dims - 1; i >= 0; --i) {  // the file has the fastest first
    const auto dim = in_.read<uint64_t>(where);
    if (dim > static_cast<uint64_t>(INT64_MAX)) {
      bad("tensor {}: expected dimensions below 2^63, got {}", quoted(name), dim);
    }
    info.shape[i] = static_cast<int64_t>(dim);
  }
  info.type_id = in_.read<uint32_t>(where);
  info.offset = in_.read<uint64_t>(where);
  check_dims(info);
  return info;
}

void GgufReader::check_dims(const TensorInfo& info) const {
  if (!shape_fits(info)) {
    bad("tensor {}: dimensions {}: expected fewer than 2^63 elements", quoted(info.name),
        fmt::join(info.shape, info.shape + info.n_dims, " x "));
  }
  const std::optional<StoredType> type = find_stored_type(info.type_id);
  if (!type) return;
  const std::string problem = shape_problem(info, *type);
  if (!problem.empty()) bad("tensor {}: {}", quoted(info.name), problem);
  if (type->packed && alignment_ % kPackedAlignment != 0) {
    bad("tensor {}: expected {} of a multiple of {} (type {}), got {}", quoted(info.name),
        kGgufAlignmentKey, kPackedAlignment, dtype_ecosystem_name(info.type_id), alignment_);
  }
}

void GgufReader::index_names() {
  const std::vector<TensorInfo>& tensors = out_.tensors_;
  std::vector<uint32_t>& index = out_.by_name_;
  index.resize(tensors.size());
  for (uint32_t i = 0; i < index.size(); ++i) index[i] = i;
  std::sort(index.begin(), index.end(),
            [&](uint32_t a, uint32_t b) { return tensors[a].name < tensors[b].name; });
  for (size_t i = 1; i < index.size(); ++i) {
    const std::string& name = tensors[index[i]].name;
    if (tensors[index[i - 1]].name == name) bad("tensor {} occurs twice", quoted(name));
  }
}

// Bytes of a tensor of a type that nibble decodes; 1 stands for the unknown size of another type.
uint64_t GgufReader::known_bytes(const TensorInfo& info) const {
  if (is_empty(info)) return 0;
  const std::optional<StoredType> type = find_stored_type(info.type_id);
  if (!type) return 1;
  const auto bytes = tensor_bytes(info, *type);
  if (!bytes) bad("tensor {}: its size does not fit 64 bits", quoted(info.name));
  return *bytes;
}

// Turns offsets within the data section into offsets within the file and sets the sizes; the file
// must hold every one of them.
void GgufReader::locate_data() {
  const uint64_t file_bytes = out_.bytes_.size();
  // A position inside a file is far below 2^64, so rounding it up cannot wrap.
  const uint64_t start = *checked_align(in_.pos(), alignment_);
  // Without tensors the padding may be missing too.
  data_start_ = std::min(start, file_bytes);
  uint64_t file_needs = 0;
  for (TensorInfo& info : out_.tensors_) {
    if (info.offset % alignment_ != 0) {
      bad("tensor {}: expected an offset that is a multiple of {}, got {}", quoted(info.name),
          alignment_, info.offset);
    }
    info.bytes = known_bytes(info);
    const auto begin = checked_add(start, info.offset);
    const auto end = begin ? checked_add(*begin, info.bytes) : std::nullopt;
    if (!end) bad("tensor {}: its end does not fit 64 bits", quoted(info.name));
    info.offset = *begin;
    if (info.bytes != 0) file_needs = std::max(file_needs, *end);
  }
  for (const TensorInfo& info : out_.tensors_) check_inside(info, file_needs);
}

void GgufReader::check_inside(const TensorInfo& info, uint64_t file_needs) const {
  const uint64_t file_bytes = out_.bytes_.size();
  // An empty tensor may stand where the padding of the last one would have ended.
  const uint64_t limit = info.bytes == 0 ? *checked_align(file_bytes, alignment_) : file_bytes;
  if (range_inside(info.offset, info.bytes, limit)) return;
  const uint64_t end = info.offset + info.bytes;  // locate_data() has checked the sum
  throw Error(ErrorCode::bad_file,
              fmt::format("{}: tensor {} ends at byte {}: expected a file of at least {} bytes, "
                          "got {}",
                          name_, quoted(info.name), end, std::max(file_needs, end), file_bytes),
              kGetAgain);
}

// Tensors in file order must not overlap. A type of unknown size reaches to the next tensor.
void GgufReader::check_layout() {
  std::vector<TensorInfo*> order;
  order.reserve(out_.tensors_.size());
  for (TensorInfo& info : out_.tensors_) {
    if (info.bytes != 0) order.push_back(&info);
  }
  std::sort(order.begin(), order.end(),
            [](const TensorInfo* a, const TensorInfo* b) { return a->offset < b->offset; });

  uint64_t end = data_start_;  // of the tensors so far
  uint64_t gaps = 0;
  uint64_t gap_bytes = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    TensorInfo& info = *order[i];
    if (info.offset < end) {
      bad("tensors {} and {} overlap at byte {}", quoted(order[i - 1]->name), quoted(info.name),
          info.offset);
    }
    // Both are inside the file, so rounding up by an alignment cannot wrap.
    const uint64_t padded = *checked_align(end - data_start_, alignment_) + data_start_;
    if (info.offset > padded) {
      ++gaps;
      gap_bytes += info.offset - padded;
    }
    if (!find_stored_type(info.type_id)) {
      const uint64_t next = i + 1 < order.size() ? order[i + 1]->offset : out_.bytes_.size();
      info.bytes = std::max<uint64_t>(next - info.offset, 1);
    }
    end = info.offset + info.bytes;
  }
  if (gaps != 0) {
    out_.warnings_.push_back(
        fmt::format("{} bytes in {} gaps between tensors belong to none", gap_bytes, gaps));
  }
  const uint64_t padded = *checked_align(end - data_start_, alignment_) + data_start_;
  if (out_.bytes_.size() > padded) {
    out_.warnings_.push_back(
        fmt::format("{} bytes after the last tensor belong to none", out_.bytes_.size() - padded));
  }
}

void GgufReader::warn_unknown_types() {
  constexpr size_t kMaxWarnings = 16;
  struct Seen {
    uint64_t count = 0;
    const TensorInfo* first = nullptr;
  };
  std::map<uint32_t, Seen> seen;
  for (const TensorInfo& info : out_.tensors_) {
    if (find_stored_type(info.type_id)) continue;
    Seen& row = seen[info.type_id];
    if (row.count++ == 0) row.first = &info;
  }
  size_t warned = 0;
  for (const auto& [type_id, row] : seen) {
    if (warned++ == kMaxWarnings) {
      out_.warnings_.push_back(
          fmt::format("{} more tensor types are not decoded", seen.size() - kMaxWarnings));
      break;
    }
    out_.warnings_.push_back(fmt::format("{} of {} tensors is not decoded (first: {}): {}",
                                         type_text(type_id), row.count, quoted(row.first->name),
                                         dtype_advice(type_id)));
  }
}

bool probe_gguf(std::span<const std::byte> bytes) noexcept {
  const std::string_view head = as_text(bytes.first(std::min(bytes.size(), kMagic.size())));
  return !head.empty() && kMagic.starts_with(head);
}

TensorFile read_gguf(FileSource source) {
  return GgufReader(std::move(source)).read();
}

}  // namespace nibble
