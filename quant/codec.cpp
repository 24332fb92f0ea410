#include "quant/codec.h"

#include <array>
#include <concepts>
#include <cstring>

#include "quant/all_types.h"

namespace nibble {
namespace {

template <typename Block>
void decode(const void* row, int64_t cols, float* out) noexcept {
  const auto* bytes = static_cast<const uint8_t*>(row);
  for (int64_t i = 0; i < cols / Block::kLength; ++i) {
    Block block;  // a copy, because files give no alignment
    std::memcpy(&block, bytes + i * static_cast<int64_t>(sizeof(Block)), sizeof(Block));
    to_float(block, out + i * Block::kLength);
  }
}

template <typename Block>
concept Encodable = requires(const float* x, Block& block) {
  from_float(x, block);
};

template <typename Block>
void encode(const float* x, int64_t cols, void* out) noexcept {
  auto* bytes = static_cast<uint8_t*>(out);
  for (int64_t i = 0; i < cols / Block::kLength; ++i) {
    Block block;
    from_float(x + i * Block::kLength, block);
    std::memcpy(bytes + i * static_cast<int64_t>(sizeof(Block)), &block, sizeof(Block));
  }
}

struct Codec {
  DType type;
  void (*decode)(const void* row, int64_t cols, float* out) noexcept;
  void (*encode)(const float* x, int64_t cols, void* out) noexcept;  // nullptr: not supported
};

template <typename Block>
constexpr Codec make_codec() {
  if constexpr (Encodable<Block>) {
    return {Block::kType, decode<Block>, encode<Block>};
  } else {
    return {Block::kType, decode<Block>, nullptr};
  }
}

template <typename... Blocks>
constexpr std::array<Codec, sizeof...(Blocks)> make_codecs(TypeList<Blocks...>) {
  return {{make_codec<Blocks>()...}};
}
constexpr auto kCodecs = make_codecs(AllTypes{});

const Codec* find_codec(DType type) noexcept {
  for (const Codec& codec : kCodecs) {
    if (codec.type == type) return &codec;
  }
  return nullptr;
}

}  // namespace

void dequantize_row(DType type, const void* row, int64_t cols, float* out) noexcept {
  const Codec* codec = find_codec(type);
  if (codec != nullptr) codec->decode(row, cols, out);
}

bool can_quantize(DType type) noexcept {
  const Codec* codec = find_codec(type);
  return codec != nullptr && codec->encode != nullptr;
}

void quantize_row(DType type, const float* x, int64_t cols, void* out) noexcept {
  const Codec* codec = find_codec(type);
  if (codec != nullptr && codec->encode != nullptr) codec->encode(x, cols, out);
}

}  // namespace nibble
