// The reader. The header is small against the data and read whole; the data is only mapped.
#include <algorithm>

#include "formats/io/bytes.h"
#include "formats/io/checked.h"
#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "formats/json.h"
#include "formats/safetensors.h"

namespace nibble {
namespace {

constexpr SafeTypeInfo kTypes[] = {
    {SafeType::boolean, "BOOL", 8},    {SafeType::f4, "F4", 4},
    {SafeType::f6_e2m3, "F6_E2M3", 6}, {SafeType::f6_e3m2, "F6_E3M2", 6},
    {SafeType::u8, "U8", 8},           {SafeType::i8, "I8", 8},
    {SafeType::f8_e5m2, "F8_E5M2", 8}, {SafeType::f8_e4m3, "F8_E4M3", 8},
    {SafeType::f8_e8m0, "F8_E8M0", 8}, {SafeType::i16, "I16", 16},
    {SafeType::u16, "U16", 16},        {SafeType::f16, "F16", 16},
    {SafeType::bf16, "BF16", 16},      {SafeType::i32, "I32", 32},
    {SafeType::u32, "U32", 32},        {SafeType::f32, "F32", 32},
    {SafeType::c64, "C64", 64},        {SafeType::f64, "F64", 64},
    {SafeType::i64, "I64", 64},        {SafeType::u64, "U64", 64},
};

constexpr const char* kDamaged = "the file is cut short or damaged; get it again";

}  // namespace

std::span<const SafeTypeInfo> all_safe_types() noexcept {
  return kTypes;
}

const SafeTypeInfo& safe_type_info(SafeType type) noexcept {
  return kTypes[static_cast<size_t>(type)];
}

const SafeTensor* SafetensorsFile::find(std::string_view name) const noexcept {
  const auto at =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [this](uint32_t i, std::string_view n) { return tensors_[i].name < n; });
  return at != by_name_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

class SafetensorsReader {
 public:
  SafetensorsReader(std::string name, std::unique_ptr<MappedFile> map,
                    std::span<const std::byte> bytes) {
    out_.path_ = std::move(name);
    out_.map_ = std::move(map);
    out_.bytes_ = bytes;
  }

  SafetensorsFile read() {
    const std::string_view header = header_text();
    const JsonDocument document(header, fmt::format("{}: header", out_.path_));
    for (auto member = document.root().walk(); member.next();) {
      if (member.key() == "__metadata__") {
        check_metadata(member.value());
      } else {
        out_.tensors_.push_back(read_tensor(member.key(), member.value()));
      }
    }
    check_cover();
    index();
    return std::move(out_);
  }

 private:
  std::string_view header_text() {
    const uint64_t size = out_.bytes_.size();
    if (size < 8) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("{}: expected a safetensors file, got {} bytes", out_.path_, size),
                  kDamaged);
    }
    const auto n = load_le<uint64_t>(out_.bytes_.data());
    if (n > kMaxSafetensorsHeader) {
      fail(ErrorCode::bad_file, "{}: expected a safetensors header of at most {} bytes, got {}",
           out_.path_, kMaxSafetensorsHeader, n);
    }
    if (n > size - 8) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("{}: expected {} bytes of header, got {}", out_.path_, n, size - 8),
                  kDamaged);
    }
    data_ = 8 + n;
    const std::string_view text = as_text(out_.bytes_.subspan(8, n));
    if (!text.starts_with('{')) {
      fail(ErrorCode::bad_file, "{}: expected a safetensors header that begins with '{{', got {}",
           out_.path_, quoted(text.substr(0, 8)));
    }
    return text;
  }

  void check_metadata(JsonValue value) const {
    bool good = value.is(JsonType::object) || value.is(JsonType::null);
    for (auto i = value.walk(); i.next();) good = good && i.value().is(JsonType::string);
    if (!good) {
      fail(ErrorCode::bad_file, "{}: __metadata__: expected texts by name, got something else",
           out_.path_);
    }
  }

  template <typename... Args>
  [[noreturn]] void refuse(std::string_view name, fmt::format_string<Args...> format,
                           Args&&... args) const {
    fail(ErrorCode::bad_file, "{}: tensor {}: {}", out_.path_, quoted(name),
         fmt::format(format, std::forward<Args>(args)...));
  }

  SafeTensor read_tensor(std::string_view name, JsonValue value) {
    SafeTensor t;
    t.name = name;
    if (!value.is(JsonType::object)) refuse(name, "expected an object");
    const auto type = value.find("dtype").text();
    if (!type) refuse(name, "expected a dtype, got none");
    const auto* row = std::find_if(std::begin(kTypes), std::end(kTypes),
                                   [&](const SafeTypeInfo& i) { return i.name == *type; });
    if (row == std::end(kTypes))
      refuse(name, "expected a dtype of safetensors, got {}", quoted(*type));
    t.type = row->type;
    const JsonValue shape = value.find("shape");
    if (!shape.is(JsonType::array)) refuse(name, "expected a shape, got none");
    if (shape.size() > kMaxSafetensorsDims) {
      refuse(name, "expected at most {} dimensions, got {}", kMaxSafetensorsDims, shape.size());
    }
    for (auto i = shape.walk(); i.next();) {
      const auto dim = i.value().integer();
      if (!dim || *dim < 0) refuse(name, "expected dimensions that are whole numbers");
      t.shape.push_back(*dim);
    }
    read_place(value.find("data_offsets"), row->bits, t);
    return t;
  }

  void read_place(JsonValue offsets, uint64_t element_bits, SafeTensor& t) const {
    int64_t place[2] = {-1, -1};
    if (offsets.is(JsonType::array) && offsets.size() == 2) {
      auto i = offsets.walk();
      for (int64_t& p : place) {
        i.next();
        p = i.value().integer().value_or(-1);
      }
    }
    if (place[0] < 0 || place[1] < place[0]) {
      refuse(t.name, "expected data_offsets [begin, end] that ascend");
    }
    const auto begin = static_cast<uint64_t>(place[0]);
    const uint64_t bytes = static_cast<uint64_t>(place[1]) - begin;
    const uint64_t available = out_.bytes_.size() - data_;
    if (!range_inside(begin, bytes, available)) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("{}: tensor {}: expected data up to byte {}, got {} bytes of data",
                              out_.path_, quoted(t.name), place[1], available),
                  kDamaged);
    }
    // The elements, then their bits: an overflow of either is no size that a file can have.
    std::optional<uint64_t> bits = element_bits;
    bool empty = false;
    uint64_t product = 1;
    for (const int64_t dim : t.shape) {
      const auto next = checked_mul(product, static_cast<uint64_t>(dim == 0 ? 1 : dim));
      if (!next) refuse(t.name, "expected fewer than 2^64 elements");
      product = *next;
      empty = empty || dim == 0;
    }
    bits = checked_mul(product, element_bits);
    if (!bits) refuse(t.name, "expected fewer than 2^64 bits");
    if (empty) bits = 0;
    if (*bits % 8 != 0 || *bits / 8 != bytes) {
      refuse(t.name, "expected {} bits for its type and shape, got {} bytes", *bits, bytes);
    }
    t.offset = data_ + begin;
    t.bytes = bytes;
  }

  // The tensors lie one behind the other from the start of the data to the end of the file.
  void check_cover() {
    std::sort(out_.tensors_.begin(), out_.tensors_.end(),
              [](const SafeTensor& a, const SafeTensor& b) {
                return a.offset != b.offset ? a.offset < b.offset
                       : a.bytes != b.bytes ? a.bytes < b.bytes
                                            : a.name < b.name;
              });
    uint64_t end = data_;
    for (const SafeTensor& t : out_.tensors_) {
      if (t.offset != end) {
        refuse(t.name, "expected data at byte {}, behind the tensor before, got {}", end - data_,
               t.offset - data_);
      }
      end += t.bytes;
    }
    if (end != out_.bytes_.size()) {
      fail(ErrorCode::bad_file, "{}: expected tensors up to the end of the file, got {} bytes more",
           out_.path_, out_.bytes_.size() - end);
    }
  }

  void index() {
    out_.by_name_.resize(out_.tensors_.size());
    for (uint32_t i = 0; i < out_.by_name_.size(); ++i) out_.by_name_[i] = i;
    std::sort(out_.by_name_.begin(), out_.by_name_.end(), [this](uint32_t a, uint32_t b) {
      return out_.tensors_[a].name < out_.tensors_[b].name;
    });
  }

  SafetensorsFile out_;
  uint64_t data_ = 0;  // where the data begins
};

SafetensorsFile open_safetensors(const std::string& path) {
  auto map = std::make_unique<MappedFile>(path);
  const std::span<const std::byte> bytes = map->bytes();
  return SafetensorsReader(path, std::move(map), bytes).read();
}

SafetensorsFile open_safetensors_memory(std::span<const std::byte> bytes, const std::string& name) {
  return SafetensorsReader(name, nullptr, bytes).read();
}

}  // namespace nibble
