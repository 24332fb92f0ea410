#pragma once
// Uses everything an open file offers, as a consumer would: a sanitizer sees any view that leaves
// the file. Returns a checksum so that no read is optimised away; throws std::logic_error when the
// file breaks a promise of formats/tensor_file.h.
#include <stdexcept>
#include <vector>

#include "formats/io/error.h"
#include "formats/meta_type.h"
#include "formats/tensor_file.h"
#include "quant/stored_type.h"

namespace nibble::test {

inline void promise(bool kept, const char* what) {
  if (!kept) throw std::logic_error(what);
}

inline uint64_t walk_value(const Metadata& meta, const MetaValue& value) {
  uint64_t sum = value.key.size() + value.bits + value.count;
  promise(meta.find(value.key) == &value, "a key is found by its name");
  for (const char c : value.text) sum += static_cast<unsigned char>(c);
  for (const std::byte b : value.items) sum += std::to_integer<unsigned>(b);
  for (size_t i = 0; i < value.strings.size(); ++i) {
    for (const char c : value.strings[i]) sum += static_cast<unsigned char>(c);
  }
  // The getter that fits the type; it may still refuse a number that is out of range.
  const MetaKind kind = meta_type_info(value.type).kind;
  const MetaKind item = meta_type_info(value.item_type).kind;
  try {
    if (kind == MetaKind::integer) (void)meta.get_int(value.key);
    if (kind == MetaKind::real) (void)meta.get_float(value.key);
    if (kind == MetaKind::boolean) (void)meta.get_bool(value.key);
    if (kind == MetaKind::string) (void)meta.get_string(value.key);
    if (kind == MetaKind::array && item == MetaKind::integer) (void)meta.get_ints(value.key);
    if (kind == MetaKind::array && item == MetaKind::real) (void)meta.get_floats(value.key);
    if (kind == MetaKind::array && item == MetaKind::string) (void)meta.get_strings(value.key);
  } catch (const Error& error) {
    promise(error.code() == ErrorCode::bad_file, "a getter refuses with bad_file");
  }
  return sum;
}

/// Decodes every row of a packed tensor.
inline void walk_packed(const PackedType& type, const TensorInfo& info,
                        std::span<const std::byte> data) {
  promise(info.offset % 64 == 0, "a packed tensor is aligned");
  if (data.empty()) return;
  const PackedLayout layout = packed_layout(type.type, info.rows(), info.cols(), type.form);
  promise(data.size() == static_cast<size_t>(layout.bytes),
          "a packed tensor's size is its planes'");
  std::vector<float> row(static_cast<size_t>(info.cols()));
  for (int64_t r = 0; r < info.rows(); ++r) {
    dequantize_packed(type.type, layout, data.data(), r, 0, info.cols(), row.data());
  }
}

inline uint64_t walk(const TensorFile& file) {
  uint64_t sum = 0;
  for (const MetaValue& value : file.meta().all()) sum += walk_value(file.meta(), value);
  for (const TensorInfo& info : file.tensors()) {
    promise(file.find(info.name) == &info, "a tensor is found by its name");
    const std::span<const std::byte> data = file.data(info);
    promise(data.size() == info.bytes, "a tensor's bytes are there");
    for (const std::byte b : data) sum += std::to_integer<unsigned>(b);
    sum += static_cast<uint64_t>(info.rows()) * static_cast<uint64_t>(info.cols());
    if (const DTypeInfo* type = find_dtype(info.type_id)) {
      const int64_t want = info.rows() * (info.cols() / type->block_len) * type->block_bytes;
      promise(info.bytes == static_cast<uint64_t>(want), "a tensor's size is its shape's");
    }
    if (const PackedType* type = find_packed_type(info.type_id)) walk_packed(*type, info, data);
  }
  for (const std::string& warning : file.warnings()) {
    for (const char c : warning) promise(c >= 0x20 && c < 0x7f, "a warning is printable ASCII");
  }
  return sum;
}

}  // namespace nibble::test
