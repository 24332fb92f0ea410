// Any bytes as a GGUF file: an Error, or a file that keeps every promise of tensor_file.h, and
// whose copy through GgufHeader reads back the same. Half of the mutations aim at the structure:
// they put an edge value into a count, length, type, dimension or offset, found by a rough walk of
// the bytes.
#include <cstring>
#include <optional>
#include <random>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "formats/meta_type.h"
#include "tests/support/walk_tensor_file.h"

using namespace nibble;
using test::promise;

namespace {

bool same_value(const MetaValue& a, const MetaValue& b) {
  if (a.key != b.key || a.type != b.type || a.bits != b.bits || a.text != b.text) return false;
  if (a.item_type != b.item_type || a.count != b.count) return false;
  if (!std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end())) return false;
  if (a.strings.size() != b.strings.size()) return false;
  for (size_t i = 0; i < a.strings.size(); ++i) {
    if (a.strings[i] != b.strings[i]) return false;
  }
  return true;
}

// What was read must be writable, and read back the same.
void check_copy(const TensorFile& file) {
  GgufHeader header;
  header.copy_metadata(file.meta());
  for (const TensorInfo& info : file.tensors()) header.add_tensor(info);
  if (header.alignment() > 4096) return;  // its padding would be most of the time and memory
  GgufLayout layout = header.layout();
  if (layout.file_bytes > 1 << 20) return;
  layout.header.resize(layout.file_bytes);
  const TensorFile copy = open_tensor_memory(layout.header, "copy");
  promise(copy.meta().all().size() == file.meta().all().size(), "a copy has the keys");
  for (size_t i = 0; i < copy.meta().all().size(); ++i) {
    promise(same_value(copy.meta().all()[i], file.meta().all()[i]), "a copy has the values");
  }
  promise(copy.tensors().size() == file.tensors().size(), "a copy has the tensors");
  for (size_t i = 0; i < copy.tensors().size(); ++i) {
    const TensorInfo& a = copy.tensors()[i];
    const TensorInfo& b = file.tensors()[i];
    promise(a.name == b.name && a.type_id == b.type_id && a.n_dims == b.n_dims &&
                std::equal(a.shape, a.shape + 4, b.shape),
            "a copy has the shapes");
    if (find_stored_type(a.type_id)) promise(a.bytes == b.bytes, "a copy has the sizes");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(data),
                                     reinterpret_cast<const std::byte*>(data) + size);
  std::optional<TensorFile> file;
  try {
    file.emplace(open_tensor_memory(bytes, "fuzz.gguf"));
  } catch (const Error& error) {
    promise(!error.message().empty(), "an error has a message");
    for (const char c : error.message()) promise(c >= 0x20 && c < 0x7f, "a message is printable");
    return 0;
  }
  (void)test::walk(*file);
  check_copy(*file);
  return 0;
}

#ifdef NIBBLE_LIBFUZZER
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

// Where the numbers of the structure are, as far as the bytes make sense.
class FieldFinder {
 public:
  struct Field {
    size_t at;
    size_t width;
  };

  FieldFinder(const uint8_t* data, size_t size) : data_(data), size_(size) {
    if (size < 24) return;
    at_ = 4;
    (void)number(4);
    const uint64_t n_tensors = number(8);
    const uint64_t n_keys = number(8);
    for (uint64_t i = 0; i < n_keys && ok_; ++i) key();
    for (uint64_t i = 0; i < n_tensors && ok_; ++i) tensor();
  }
  const std::vector<Field>& fields() const { return fields_; }

 private:
  uint64_t number(size_t width) {
    uint64_t value = 0;
    if (!ok_ || size_ - at_ < width) {
      ok_ = false;
      return 0;
    }
    std::memcpy(&value, data_ + at_, width);
    fields_.push_back({at_, width});
    at_ += width;
    return value;
  }
  void skip(uint64_t count) {
    if (!ok_ || count > size_ - at_) {
      ok_ = false;
    } else {
      at_ += count;
    }
  }
  void value(uint64_t type) {
    const MetaTypeInfo* info = type < 13 ? find_meta_type(static_cast<uint32_t>(type)) : nullptr;
    if (info == nullptr) {
      ok_ = false;
    } else if (info->type == MetaType::string) {
      skip(number(8));
    } else if (info->type != MetaType::array) {
      skip(info->bytes);
    }
  }
  void key() {
    skip(number(8));
    const uint64_t type = number(4);
    if (type != static_cast<uint64_t>(MetaType::array)) return value(type);
    const uint64_t item = number(4);
    const uint64_t count = number(8);
    for (uint64_t i = 0; i < count && ok_ && item != 9; ++i) value(item);
  }
  void tensor() {
    skip(number(8));
    const uint64_t n_dims = number(4);
    for (uint64_t i = 0; i < n_dims && ok_; ++i) (void)number(8);
    (void)number(4);
    (void)number(8);
  }

  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
  bool ok_ = true;
  std::vector<Field> fields_;
};

uint64_t edge_value(std::minstd_rand& random, uint64_t old, size_t size) {
  switch (random() % 7) {
    case 0:
      return (uint64_t{1} << (random() % 64)) + random() % 3 - 1;
    case 1:
      return old + random() % 5 - 2;
    case 2:
      return (random() % 64) * 32;
    case 3:
      return size + random() % 65 - 32;
    case 4:
      return random() % 45;  // a type id, a number of dims, a small count
    case 5:
      return kPackedIds + random() % 2 * kOrderedIds + random() % 32;
    default:
      return UINT64_MAX - random() % 64;
  }
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  std::minstd_rand random(seed);
  if (random() % 2 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const FieldFinder finder(data, size);
  if (finder.fields().empty()) return LLVMFuzzerMutate(data, size, max_size);
  for (unsigned n = 1 + random() % 3; n > 0; --n) {
    const auto [at, width] = finder.fields()[random() % finder.fields().size()];
    uint64_t old = 0;
    std::memcpy(&old, data + at, width);
    const uint64_t fresh = edge_value(random, old, size);
    std::memcpy(data + at, &fresh, width);
  }
  return size;
}
#endif  // NIBBLE_LIBFUZZER
