#include "quant/block_codes.h"

#include <array>

#include "quant/packing.h"

namespace nibble {
namespace {

template <typename Table>
constexpr std::array<float, 16> floats_of(const Table& table) {
  std::array<float, 16> out{};
  for (size_t i = 0; i < 16; ++i) out[i] = static_cast<float>(table[i]);
  return out;
}
constexpr std::array<float, 16> kIQ4Floats = floats_of(block::kIQ4Values);
constexpr std::array<float, 16> kMXFP4Floats = floats_of(block::kMXFP4Values);
constexpr std::array<float, 16> kNF4Floats = floats_of(block::kNF4Levels);

constexpr CodeLevels up_to(int most) {
  return {0, most, nullptr, most};
}

template <class Block>
constexpr CodeLevels kLevels{};
template <>
constexpr CodeLevels kLevels<block::Q4_0> = up_to(15);
template <>
constexpr CodeLevels kLevels<block::Q4_1> = up_to(15);
template <>
constexpr CodeLevels kLevels<block::Q5_0> = up_to(31);
template <>
constexpr CodeLevels kLevels<block::Q5_1> = up_to(31);
template <>
constexpr CodeLevels kLevels<block::Q8_0> = {-127, 127, nullptr, 64};
template <>
constexpr CodeLevels kLevels<block::Q2_K> = up_to(3);
template <>
constexpr CodeLevels kLevels<block::Q3_K> = up_to(7);
template <>
constexpr CodeLevels kLevels<block::Q4_K> = up_to(15);
template <>
constexpr CodeLevels kLevels<block::Q5_K> = up_to(31);
template <>
constexpr CodeLevels kLevels<block::Q6_K> = up_to(63);
template <>
constexpr CodeLevels kLevels<block::IQ4_NL> = {0, 15, kIQ4Floats.data(), 8};
template <>
constexpr CodeLevels kLevels<block::IQ4_XS> = {0, 15, kIQ4Floats.data(), 8};
template <>
constexpr CodeLevels kLevels<block::MXFP4> = {0, 15, kMXFP4Floats.data(), 1, true};
template <>
constexpr CodeLevels kLevels<block::NF4> = {0, 15, kNF4Floats.data(), 15};

/// A block of zeros but for its codes.
template <class Block>
Block with_codes(const int8_t* codes) noexcept {
  Block out{};
  for (int g = 0; g < Block::kLength / 32; ++g) {
    Words w;
    std::memcpy(w, codes + 32 * g, sizeof(w));
    Packing<Block>::set(out, g, w);
  }
  return out;
}

template <class Block>
void set_codes(void* block, const int8_t* codes) noexcept {
  int8_t ones[Block::kLength];
  // Every bit that a code has.
  const int bits = kLevels<Block>.least < 0 ? -1 : kLevels<Block>.most;
  std::memset(ones, bits, sizeof(ones));
  const Block mask = with_codes<Block>(ones);
  const Block wanted = with_codes<Block>(codes);
  auto* to = static_cast<uint8_t*>(block);
  const auto* of_codes = reinterpret_cast<const uint8_t*>(&mask);
  const auto* from = reinterpret_cast<const uint8_t*>(&wanted);
  for (size_t i = 0; i < sizeof(Block); ++i) {
    to[i] = static_cast<uint8_t>((to[i] & ~of_codes[i]) | from[i]);
  }
}

/// The weights of a block all of whose codes are `code`.
template <class Block>
void weights_at(const void* block, int code, float* out) noexcept {
  int8_t codes[Block::kLength];
  std::memset(codes, code, sizeof(codes));
  Block changed;
  std::memcpy(&changed, block, sizeof(changed));
  set_codes<Block>(&changed, codes);
  to_float(changed, out);
}

template <class Block>
void levels_of(const void* block, float* base, float* unit) noexcept {
  constexpr const CodeLevels& levels = kLevels<Block>;
  weights_at<Block>(block, levels.unit_code, unit);
  if (levels.table != nullptr) {
    std::memset(base, 0, Block::kLength * sizeof(float));
  } else {
    weights_at<Block>(block, 0, base);
  }
  const float value = levels.value(levels.unit_code);
  for (int64_t i = 0; i < Block::kLength; ++i) unit[i] = (unit[i] - base[i]) / value;
}

struct CodeRow {
  DType type;
  const CodeLevels* levels;
  void (*levels_of)(const void* block, float* base, float* unit) noexcept;
  void (*set_codes)(void* block, const int8_t* codes) noexcept;
};

template <class Block>
constexpr CodeRow make_row() {
  if constexpr (kLevels<Block>.most > 0) {
    return {Block::kType, &kLevels<Block>, levels_of<Block>, set_codes<Block>};
  } else {
    return {Block::kType, nullptr, nullptr, nullptr};
  }
}

template <typename... Blocks>
constexpr std::array<CodeRow, sizeof...(Blocks)> make_rows(TypeList<Blocks...>) {
  return {{make_row<Blocks>()...}};
}
constexpr auto kRows = make_rows(AllTypes{});

const CodeRow* find_row(DType type) noexcept {
  for (const CodeRow& row : kRows) {
    if (row.type == type && row.levels != nullptr) return &row;
  }
  return nullptr;
}

}  // namespace

const CodeLevels* code_levels(DType type) noexcept {
  const CodeRow* row = find_row(type);
  return row != nullptr ? row->levels : nullptr;
}

void block_levels(DType type, const void* block, float* base, float* unit) noexcept {
  if (const CodeRow* row = find_row(type)) row->levels_of(block, base, unit);
}

void set_block_codes(DType type, void* block, const int8_t* codes) noexcept {
  if (const CodeRow* row = find_row(type)) row->set_codes(block, codes);
}

int nearest_code_to(const CodeLevels& levels, float base, float unit, float x) noexcept {
  const float at = (x - base) * block::inverse_scale(unit);
  if (levels.table == nullptr) return block::nearest_code(at, levels.least, levels.most);
  const int most = levels.mirrored ? levels.most / 2 : levels.most;
  const float size = levels.mirrored ? block::magnitude(at) : at;
  int code = 0;
  for (int k = 0; k < most; ++k) {
    code += size > (levels.table[k] + levels.table[k + 1]) * 0.5f ? 1 : 0;
  }
  return levels.mirrored && at < 0.0f ? code + most + 1 : code;
}

}  // namespace nibble
