#pragma once
// Little-endian numbers out of a span of bytes, never past its end. The reader knows its place, so
// that a message can say at which byte of which file the data ran out.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "formats/io/error.h"

namespace nibble {

static_assert(std::endian::native == std::endian::little,
              "files are little-endian and nibble runs on little-endian machines");

/// A number at an address of any alignment.
template <typename T>
T load_le(const std::byte* from) noexcept {
  static_assert(std::is_arithmetic_v<T>);
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/// The bytes as text; no copy.
inline std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class ByteReader {
 public:
  /// Both arguments must outlive the reader; file is used in messages.
  ByteReader(std::span<const std::byte> bytes, std::string_view file)
      : bytes_(bytes), file_(file) {}

  uint64_t pos() const noexcept { return pos_; }
  uint64_t remaining() const noexcept { return bytes_.size() - pos_; }

  /// The next `count` bytes. Error bad_file if fewer remain; `what` names them in the message.
  std::span<const std::byte> take(uint64_t count, std::string_view what) {
    if (count > remaining()) fail_short(count, what);
    const std::span<const std::byte> out = bytes_.subspan(pos_, count);
    pos_ += count;
    return out;
  }

  template <typename T>
  T read(std::string_view what) {
    return load_le<T>(take(sizeof(T), what).data());
  }

  /// A 64-bit length and that many bytes.
  std::string_view read_string(std::string_view what) {
    return as_text(take(read<uint64_t>(what), what));
  }

 private:
  [[noreturn]] void fail_short(uint64_t count, std::string_view what) const {
    throw Error(ErrorCode::bad_file,
                fmt::format("{}: {} at byte {}: expected {} more bytes, got {} (the file has {})",
                            file_, what, pos_, count, remaining(), bytes_.size()),
                "the file is cut short or damaged; get it again");
  }

  std::span<const std::byte> bytes_;
  std::string_view file_;
  uint64_t pos_ = 0;
};

}  // namespace nibble
