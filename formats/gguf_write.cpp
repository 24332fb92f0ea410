// The GGUF writer: GgufHeader lays a file out in memory, GgufWriter streams it to disk.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "formats/gguf.h"
#include "formats/io/bytes.h"
#include "formats/io/checked.h"
#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "formats/io/quote.h"
#include "formats/io/stream_hash.h"
#include "formats/meta_type.h"
#include "formats/tensor_hashes.h"
#include "formats/tensor_size.h"

namespace nibble {
namespace {

constexpr int kMaxDims = 4;

void append(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const size_t at = out.size();
  out.resize(at + bytes.size());
  std::memcpy(out.data() + at, bytes.data(), bytes.size());
}

template <typename T>
void append_number(std::vector<std::byte>& out, T value) {
  append(out, std::as_bytes(std::span(&value, 1)));
}

void append_string(std::vector<std::byte>& out, std::string_view text) {
  append_number(out, uint64_t{text.size()});
  append(out, std::as_bytes(std::span(text)));
}

std::vector<std::byte> start_value(MetaType type) {
  std::vector<std::byte> out;
  append_number(out, static_cast<uint32_t>(type));
  return out;
}

void check_name(std::string_view what, std::string_view name) {
  if (name.size() > kGgufMaxNameBytes) {
    fail(ErrorCode::bad_argument, "name of a {}: expected at most {} bytes, got {}", what,
         kGgufMaxNameBytes, name.size());
  }
}

// Checks the shape; returns the bytes that it asks for, info.bytes for a type that nibble does not
// know.
uint64_t checked_bytes(const TensorInfo& info) {
  if (!shape_fits(info)) {
    fail(ErrorCode::bad_argument, "tensor {}: expected dimensions of fewer than 2^63 elements",
         quoted(info.name));
  }
  const std::optional<StoredType> type = find_stored_type(info.type_id);
  if (!type) return info.bytes;
  const std::string problem = shape_problem(info, *type);
  if (!problem.empty()) {
    fail(ErrorCode::bad_argument, "tensor {}: {}", quoted(info.name), problem);
  }
  const auto bytes = tensor_bytes(info, *type);
  if (!bytes || (info.bytes != 0 && info.bytes != *bytes)) {
    fail(ErrorCode::bad_argument, "tensor {}: expected {} bytes, got {}", quoted(info.name),
         bytes.value_or(UINT64_MAX), info.bytes);
  }
  return *bytes;
}

}  // namespace

void GgufHeader::put(std::string_view key, std::vector<std::byte> value) {
  check_name("metadata key", key);
  if (key == kGgufAlignmentKey) {
    uint64_t alignment = 0;
    if (value.size() == 8) alignment = load_le<uint32_t>(value.data() + 4);
    if (load_le<uint32_t>(value.data()) != static_cast<uint32_t>(MetaType::u32) ||
        !is_power_of_two(alignment) || alignment < kGgufMinAlignment ||
        alignment > kGgufMaxAlignment) {
      fail(ErrorCode::bad_argument, "{}: expected uint32, a power of two from {} to {}",
           kGgufAlignmentKey, kGgufMinAlignment, kGgufMaxAlignment);
    }
    alignment_ = alignment;
  }
  const auto [at, is_new] = entry_of_key_.try_emplace(std::string(key), entries_.size());
  if (is_new && entries_.size() == kGgufMaxKeys) {
    entry_of_key_.erase(at);
    fail(ErrorCode::bad_argument, "expected at most {} metadata keys", kGgufMaxKeys);
  }
  if (is_new) {
    entries_.push_back({std::string(key), std::move(value)});
  } else {
    entries_[at->second].value = std::move(value);
  }
}

void GgufHeader::set_scalar(std::string_view key, MetaType type, const void* value) {
  std::vector<std::byte> out = start_value(type);
  append(out, {static_cast<const std::byte*>(value), meta_type_info(type).bytes});
  put(key, std::move(out));
}

void GgufHeader::set_items(std::string_view key, MetaType item_type,
                           std::span<const std::byte> items, uint64_t count) {
  std::vector<std::byte> out = start_value(MetaType::array);
  append_number(out, static_cast<uint32_t>(item_type));
  append_number(out, count);
  append(out, items);
  put(key, std::move(out));
}

void GgufHeader::set_string(std::string_view key, std::string_view text) {
  std::vector<std::byte> out = start_value(MetaType::string);
  append_string(out, text);
  put(key, std::move(out));
}

void GgufHeader::set_strings(std::string_view key, std::span<const std::string_view> items) {
  std::vector<std::byte> out = start_value(MetaType::array);
  append_number(out, static_cast<uint32_t>(MetaType::string));
  append_number(out, uint64_t{items.size()});
  for (const std::string_view item : items) append_string(out, item);
  put(key, std::move(out));
}

void GgufHeader::set_value(const MetaValue& value) {
  if (value.type == MetaType::string) {
    set_string(value.key, value.text);
  } else if (value.type != MetaType::array) {
    set_scalar(value.key, value.type, &value.bits);  // little-endian: the low bytes come first
  } else if (value.item_type != MetaType::string) {
    set_items(value.key, value.item_type, value.items, value.count);
  } else {
    std::vector<std::string_view> items(value.strings.size());
    for (size_t i = 0; i < items.size(); ++i) items[i] = value.strings[i];
    set_strings(value.key, items);
  }
}

void GgufHeader::copy_metadata(const Metadata& from) {
  for (const MetaValue& value : from.all()) set_value(value);
}

void GgufHeader::remove(std::string_view key) {
  const auto at = entry_of_key_.find(std::string(key));
  if (at == entry_of_key_.end()) return;
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(at->second));
  for (auto& [other, index] : entry_of_key_) {
    if (index > at->second) --index;
  }
  entry_of_key_.erase(at);
  if (key == kGgufAlignmentKey) alignment_ = kGgufDefaultAlignment;
}

void GgufHeader::want_hashes() {
  set_items(kTensorHashesKey, MetaType::u64, {}, 0);
  set(kTensorTableHashKey, uint64_t{0});
}

void GgufHeader::add_tensor(TensorInfo info) {
  check_name("tensor", info.name);
  if (info.n_dims < 0 || info.n_dims > kMaxDims) {
    fail(ErrorCode::bad_argument, "tensor {}: expected 0 to {} dimensions, got {}",
         quoted(info.name), kMaxDims, info.n_dims);
  }
  info.bytes = checked_bytes(info);
  if (tensors_.size() == kGgufMaxTensors) {
    fail(ErrorCode::bad_argument, "expected at most {} tensors", kGgufMaxTensors);
  }
  if (!tensor_names_.insert(info.name).second) {
    fail(ErrorCode::bad_argument, "tensor {} occurs twice", quoted(info.name));
  }
  tensors_.push_back(std::move(info));
}

// The alignment may be set after the tensors, so it is looked at last.
void GgufHeader::check_alignment() const {
  if (alignment_ % kPackedAlignment == 0) return;
  for (const TensorInfo& info : tensors_) {
    if (find_packed_type(info.type_id) == nullptr) continue;
    fail(ErrorCode::bad_argument, "tensor {}: expected {} of a multiple of {} (type {}), got {}",
         quoted(info.name), kGgufAlignmentKey, kPackedAlignment, dtype_ecosystem_name(info.type_id),
         alignment_);
  }
}

GgufLayout GgufHeader::layout() const {
  check_alignment();
  GgufLayout out;
  std::vector<std::byte>& header = out.header;
  append(header, std::as_bytes(std::span("GGUF", 4)));
  append_number(header, kGgufVersion);
  append_number(header, uint64_t{tensors_.size()});
  append_number(header, uint64_t{entries_.size()});
  for (const Entry& entry : entries_) {
    append_string(header, entry.key);
    if (entry.key == kTensorHashesKey) {
      append_number(header, static_cast<uint32_t>(MetaType::array));
      append_number(header, static_cast<uint32_t>(MetaType::u64));
      append_number(header, uint64_t{tensors_.size()});
      out.hashes_at = header.size();
      header.resize(header.size() + tensors_.size() * sizeof(uint64_t));
    } else if (entry.key == kTensorTableHashKey) {
      append_number(header, static_cast<uint32_t>(MetaType::u64));
      append_number(header, tensor_table_hash(tensors_));
    } else {
      append(header, entry.value);
    }
  }
  out.tensors = tensors_;
  uint64_t offset = 0;  // from the start of the data
  for (TensorInfo& info : out.tensors) {
    append_string(header, info.name);
    append_number(header, static_cast<uint32_t>(info.n_dims));
    for (int i = info.n_dims - 1; i >= 0; --i) {
      append_number(header, static_cast<uint64_t>(info.shape[i]));
    }
    append_number(header, info.type_id);
    append_number(header, offset);
    info.offset = offset;
    const auto end = checked_add(offset, info.bytes);
    const auto next = end ? checked_align(*end, alignment_) : std::nullopt;
    if (!next) fail(ErrorCode::bad_argument, "tensor {}: its end does not fit 64 bits", info.name);
    offset = *next;
  }
  header.resize(*checked_align(header.size(), alignment_));  // in memory, so far below 2^64
  const auto file_bytes = checked_add(header.size(), offset);
  if (!file_bytes) fail(ErrorCode::bad_argument, "the file's size does not fit 64 bits");
  for (TensorInfo& info : out.tensors) info.offset += header.size();
  out.file_bytes = *file_bytes;
  return out;
}

namespace {

constexpr uint64_t kHashPiece = 16 << 20;

// The journal of a resumable writer: a head, then a record for each finished tensor. A record
// counts only if the bytes in the file still are those it was made from.
constexpr uint64_t kJournalMagic = 0x324C4E524A42494E;  // "NIBJRNL2"
struct JournalHead {
  uint64_t magic = kJournalMagic;
  uint64_t key = 0;
};
struct JournalRecord {
  uint64_t bytes = 0;        // of the file
  uint64_t tensor_hash = 0;  // of the tensor's bytes
  float value = 0;
  uint32_t reserved = 0;
  uint64_t own_hash = 0;  // of the fields before
};
static_assert(sizeof(JournalRecord) == 32);

uint64_t own_hash(const JournalRecord& record) {
  return XXH3_64bits(&record, offsetof(JournalRecord, own_hash));
}

uint64_t journal_key(const GgufLayout& layout, uint64_t callers) {
  const uint64_t parts[] = {XXH3_64bits(layout.header.data(), layout.header.size()),
                            layout.file_bytes, callers};
  return XXH3_64bits(parts, sizeof parts);
}

}  // namespace

struct GgufWriter::Hash : StreamHash {};

namespace {

// By pieces whose pages are given back: its size takes no memory. map may be nullptr.
uint64_t hash_of(std::span<const std::byte> file, uint64_t offset, uint64_t bytes,
                 const MappedFile* map) {
  StreamHash hash;
  for (uint64_t at = 0; at < bytes; at += kHashPiece) {
    const uint64_t n = std::min(kHashPiece, bytes - at);
    hash.add(file.subspan(offset + at, n));
    if (map != nullptr) map->dont_need(offset + at, n);
  }
  return hash.value();
}

bool are_zeros(std::span<const std::byte> file, uint64_t begin, uint64_t end) {
  const auto part = file.subspan(begin, end - begin);
  return std::all_of(part.begin(), part.end(), [](std::byte b) { return b == std::byte{0}; });
}

AtomicFileOptions with_size(AtomicFileOptions options, uint64_t file_bytes) {
  options.expected_bytes = file_bytes;
  return options;
}

}  // namespace

GgufWriter::GgufWriter(const std::string& path, const GgufHeader& header, AtomicFileOptions options,
                       uint64_t resume_key)
    : layout_(header.layout()),
      file_(path, with_size(options, layout_.file_bytes)),
      hash_(std::make_unique<Hash>()) {
  if (options.resumable) resume(resume_key);
  if (file_.size() == 0) file_.write(layout_.header);
  next_ = checkpoints_.size();
  if (next_ < layout_.tensors.size()) left_ = layout_.tensors[next_].bytes;
  skip_finished_tensors();
}

GgufWriter::~GgufWriter() = default;

const TensorInfo* GgufWriter::current() const noexcept {
  return next_ < layout_.tensors.size() ? &layout_.tensors[next_] : nullptr;
}

// Takes over what an earlier writer finished, as far as the file agrees with its journal.
void GgufWriter::resume(uint64_t key) {
  const JournalHead want{kJournalMagic, journal_key(layout_, key)};
  const std::vector<std::byte>& notes = file_.notes();
  uint64_t good_notes = 0;
  uint64_t good_bytes = 0;
  const uint64_t n_header = layout_.header.size();
  if (notes.size() >= sizeof want && std::memcmp(notes.data(), &want, sizeof want) == 0 &&
      file_.left_bytes() >= n_header) {
    const MappedFile left(file_.flushed_path());
    const std::span<const std::byte> bytes = left.bytes();
    good_notes = sizeof want;
    good_bytes = n_header;
    while (checkpoints_.size() < layout_.tensors.size() &&
           notes.size() - good_notes >= sizeof(JournalRecord)) {
      JournalRecord record;
      std::memcpy(&record, notes.data() + good_notes, sizeof record);
      const uint64_t end = checkpoint_end(checkpoints_.size());
      if (record.own_hash != own_hash(record) || record.bytes != end || end > bytes.size()) break;
      const TensorInfo& info = layout_.tensors[checkpoints_.size()];
      const uint64_t hash = hash_of(bytes, info.offset, info.bytes, &left);
      if (hash != record.tensor_hash || !are_zeros(bytes, info.offset + info.bytes, end)) break;
      hashes_.push_back(hash);
      checkpoints_.push_back({record.bytes, record.value});
      good_notes += sizeof record;
      good_bytes = end;
    }
  }
  if (checkpoints_.empty()) {  // nothing to continue
    file_.restart(0, 0);
    file_.note(std::as_bytes(std::span(&want, 1)));
    return;
  }
  file_.restart(good_bytes, good_notes);
  file_.overwrite(0, layout_.header);  // it may have been replaced
}

uint64_t GgufWriter::checkpoint_end(size_t i) const noexcept {
  return i + 1 < layout_.tensors.size() ? layout_.tensors[i + 1].offset : layout_.file_bytes;
}

void GgufWriter::checkpoint(float value) {
  const size_t n = checkpoints_.size();
  const uint64_t end = checkpoint_end(n);
  if (next_ <= n || file_.size() < end) {
    fail(ErrorCode::internal, "{}: checkpoint {} before its tensor is finished", file_.path(), n);
  }
  JournalRecord record{end, hashes_[n], value, 0, 0};
  record.own_hash = own_hash(record);
  file_.note(std::as_bytes(std::span(&record, 1)));
  checkpoints_.push_back({record.bytes, record.value});
}

void GgufWriter::replace_header(const GgufHeader& header) {
  GgufLayout layout = header.layout();
  const auto same = [](const TensorInfo& a, const TensorInfo& b) {
    return a.name == b.name && a.offset == b.offset && a.bytes == b.bytes && a.type_id == b.type_id;
  };
  if (current() != nullptr || layout.header.size() != layout_.header.size() ||
      !std::equal(layout.tensors.begin(), layout.tensors.end(), layout_.tensors.begin(),
                  layout_.tensors.end(), same)) {
    fail(ErrorCode::bad_argument, "{}: expected a header of {} bytes with the same tensors, got {}",
         file_.path(), layout_.header.size(), layout.header.size());
  }
  file_.overwrite(0, layout.header);
  layout_ = std::move(layout);
}

void GgufWriter::write(std::span<const std::byte> bytes) {
  if (bytes.size() > left_) {
    fail(ErrorCode::bad_argument, "{}: tensor {}: expected at most {} more bytes, got {}",
         file_.path(), current() != nullptr ? quoted(current()->name) : "after the last", left_,
         bytes.size());
  }
  file_.write(bytes);
  hash_->add(bytes);
  left_ -= bytes.size();
  skip_finished_tensors();
}

// Moves on to the tensor that wants bytes, with zeros before its offset.
void GgufWriter::skip_finished_tensors() {
  static constexpr std::array<std::byte, 4096> kZeros{};
  while (left_ == 0 && next_ < layout_.tensors.size()) {
    hashes_.push_back(hash_->value());
    hash_->reset();
    ++next_;
    const bool more = next_ < layout_.tensors.size();
    const uint64_t begin = more ? layout_.tensors[next_].offset : layout_.file_bytes;
    while (file_.size() < begin) {
      file_.write(std::span(kZeros).first(std::min<uint64_t>(begin - file_.size(), kZeros.size())));
    }
    left_ = more ? layout_.tensors[next_].bytes : 0;
  }
}

void GgufWriter::fill_in_hashes() {
  if (layout_.hashes_at == 0) return;
  const std::span<const std::byte> hashes = std::as_bytes(std::span(hashes_));
  std::copy(hashes.begin(), hashes.end(),
            layout_.header.begin() + static_cast<ptrdiff_t>(layout_.hashes_at));
  file_.overwrite(layout_.hashes_at, hashes);
}

void GgufWriter::finish() {
  if (const TensorInfo* info = current()) {
    fail(ErrorCode::bad_argument, "{}: tensor {}: expected {} more bytes before the end",
         file_.path(), quoted(info->name), left_);
  }
  fill_in_hashes();
  file_.commit([this](const std::string& temporary) { verify(temporary); });
}

// The file on disk must hold what was written, and be what was meant.
void GgufWriter::verify(const std::string& temporary) const {
  const TensorFile written = open_tensor_shard(temporary);
  const std::span<const std::byte> bytes = written.file_bytes();
  const uint64_t n_header = layout_.header.size();
  bool same = bytes.size() == layout_.file_bytes &&
              std::memcmp(bytes.data(), layout_.header.data(), n_header) == 0;
  for (size_t i = 0; same && i < layout_.tensors.size(); ++i) {
    const TensorInfo& info = layout_.tensors[i];
    same = hash_of(bytes, info.offset, info.bytes, written.map()) == hashes_[i] &&
           are_zeros(bytes, info.offset + info.bytes, checkpoint_end(i));
  }
  if (!same) {
    throw Error(ErrorCode::io,
                fmt::format("{}: the bytes read back differ from those written", file_.path()),
                "the disk or the memory may be failing");
  }
  for (const TensorInfo& want : layout_.tensors) {
    const TensorInfo* got = written.find(want.name);
    if (got == nullptr || got->offset != want.offset || got->type_id != want.type_id ||
        got->bytes < want.bytes) {
      fail(ErrorCode::internal, "{}: tensor {} reads back with another place or type", file_.path(),
           quoted(want.name));
    }
  }
}

}  // namespace nibble
