#include "formats/tensor_hashes.h"

#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "formats/io/stream_hash.h"

namespace nibble {
namespace {

template <typename T>
void add_number(StreamHash& hash, T value) {
  hash.add(std::as_bytes(std::span(&value, 1)));
}

}  // namespace

uint64_t tensor_table_hash(std::span<const TensorInfo> tensors) {
  StreamHash hash;
  for (const TensorInfo& info : tensors) {
    add_number(hash, uint64_t{info.name.size()});
    hash.add(std::as_bytes(std::span(info.name)));
    add_number(hash, info.type_id);
    add_number(hash, static_cast<uint32_t>(info.n_dims));
    for (int i = info.n_dims - 1; i >= 0; --i) add_number(hash, info.shape[i]);
  }
  return hash.value();
}

TensorHashes read_tensor_hashes(const TensorFile& file) {
  TensorHashes out;
  const MetaValue* hashes = file.meta().find(kTensorHashesKey);
  const MetaValue* table = file.meta().find(kTensorTableHashKey);
  if (hashes == nullptr) return out;
  if (hashes->type != MetaType::array || hashes->item_type != MetaType::u64 || table == nullptr ||
      table->type != MetaType::u64) {
    fail(ErrorCode::bad_file, "{}: metadata keys '{}' and '{}': expected an array of u64 and a u64",
         file.path(), kTensorHashesKey, kTensorTableHashKey);
  }
  if (hashes->count != file.tensors().size() || table->bits != tensor_table_hash(file.tensors())) {
    out.state = TensorHashes::State::of_others;
    return out;
  }
  out.state = TensorHashes::State::present;
  for (uint64_t i = 0; i < hashes->count; ++i) {
    out.values.push_back(load_le<uint64_t>(hashes->items.data() + i * sizeof(uint64_t)));
  }
  return out;
}

}  // namespace nibble
