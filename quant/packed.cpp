// Between a file's blocks and the planes of R16k4. What a type's codes and scales are is in
// packing.h; the rest is common.
#include "quant/packed.h"

#include "quant/packing.h"

namespace nibble {
namespace {

// Q8_0 in ordered planes.
struct OrderedQ8_0 : block::Q8_0 {
  static constexpr PackForm kForm = PackForm::ordered;
};

template <class Block>
constexpr PackForm form_of() {
  if constexpr (requires { Block::kForm; }) return Block::kForm;
  return PackForm::plain;
}
template <class Block>
constexpr PackRecipe kRecipeOf = recipe_of(Block::kType, form_of<Block>());

template <>
struct Packing<OrderedQ8_0> {
  // CodePlanes takes a code's bits as nibble, pair, bit, low from the lowest up.
  static void get(const block::Q8_0& b, int, Words& w) {
    std::memcpy(w, b.qs, sizeof(w));
    for (uint32_t& x : w) {
      const uint32_t u = x ^ bytes_of(128);
      const uint32_t pair = (u & bytes_of(3)) << 4;
      const uint32_t bit = (u >> 7 & bytes_of(1)) << 6;
      const uint32_t low = (u >> 2 & bytes_of(1)) << 7;
      x = (u >> 3 & bytes_of(15)) | pair | bit | low;
    }
  }
  static void set(block::Q8_0& b, int, const Words& w) {
    Words codes;
    for (int j = 0; j < 8; ++j) {
      const uint32_t nibble = (w[j] & bytes_of(15)) << 3;
      const uint32_t pair = w[j] >> 4 & bytes_of(3);
      const uint32_t bit = (w[j] >> 6 & bytes_of(1)) << 7;
      const uint32_t low = (w[j] >> 7 & bytes_of(1)) << 2;
      codes[j] = (nibble | pair | bit | low) ^ bytes_of(128);
    }
    std::memcpy(b.qs, codes, sizeof(codes));
  }
};

// ---- what all share ----

// Calls f<Block>() for what is packed in this form.
template <class F>
void with_packing(DType type, PackForm form, F&& f) {
  if (form == PackForm::ordered) {
    if (type == DType::Q8_0) f.template operator()<OrderedQ8_0>();
    return;
  }
  for_each_type(AllTypes{}, [&]<class Block>() {
    if constexpr (is_packed(kRecipeOf<Block>)) {
      if (Block::kType == type) f.template operator()<Block>();
    }
  });
}

constexpr int kMostScales = 16;  // of a block of 256

// Where group `group` of a plane begins.
template <class Byte>
Byte* plane(Byte* packed, int64_t offset, int64_t group, int64_t group_bytes) {
  return packed + offset + group * group_bytes;
}

// One bit of each code, bit `shift`, to and from 4 bytes that hold 8 steps.
void put_bits(uint8_t* to, const Words& w, int shift) {
  uint32_t x = 0;
  for (int j = 0; j < 8; ++j) {
    const uint32_t bits = w[j] >> shift & bytes_of(1);
    x |= bits << j;
  }
  write32(to, x);
}
void take_bits(const uint8_t* from, Words& w, int shift) {
  const uint32_t x = read32(from);
  for (int j = 0; j < 8; ++j) {
    const uint32_t bits = x >> j & bytes_of(1);
    w[j] |= bits << shift;
  }
}

// Row r's words of block b to and from the planes of one group.
template <class Block, class Byte>
struct CodePlanes {
  static constexpr PackRecipe kRecipe = kRecipeOf<Block>;
  static constexpr int kPairShift = kRecipe.nibble ? 4 : 0;
  static constexpr int kBitShift = (kRecipe.nibble ? 4 : 0) + (kRecipe.pair ? 2 : 0);
  static constexpr int kLowShift = 7;
  Byte* nibble;
  Byte* pair;
  Byte* bit;
  Byte* low;
  Byte* byte;

  CodePlanes(const PackedLayout& l, int64_t group, Byte* packed)
      : nibble(plane(packed, l.nibble, group, l.blocks * 256)),
        pair(plane(packed, l.pair, group, l.blocks * 128)),
        bit(plane(packed, l.bit, group, l.blocks * 64)),
        low(plane(packed, l.low, group, l.blocks * 64)),
        byte(plane(packed, l.byte, group, l.blocks * 512)) {}

  void put(int64_t b, int64_t r, const Words& w) const {
    if constexpr (kRecipe.nibble) {
      Byte* to = nibble + b * 256 + 4 * r;
      for (int j = 0; j < 4; ++j) {
        write32(to + 64 * j, (w[j] & bytes_of(15)) | (w[j + 4] & bytes_of(15)) << 4);
      }
    }
    if constexpr (kRecipe.pair) {
      for (int h = 0; h < 2; ++h) {
        uint32_t x = 0;
        for (int s = 0; s < 4; ++s) {
          const uint32_t bits = w[4 * h + s] >> kPairShift & bytes_of(3);
          x |= bits << 2 * s;
        }
        write32(pair + b * 128 + 64 * h + 4 * r, x);
      }
    }
    if constexpr (kRecipe.bit) put_bits(bit + b * 64 + 4 * r, w, kBitShift);
    if constexpr (kRecipe.low) put_bits(low + b * 64 + 4 * r, w, kLowShift);
    if constexpr (kRecipe.byte) {
      for (int j = 0; j < 8; ++j) write32(byte + b * 512 + 64 * j + 4 * r, w[j]);
    }
  }

  void take(int64_t b, int64_t r, Words& w) const {
    if constexpr (kRecipe.nibble) {
      for (int j = 0; j < 4; ++j) {
        const uint32_t x = read32(nibble + b * 256 + 64 * j + 4 * r);
        w[j] |= x & bytes_of(15);
        w[j + 4] |= x >> 4 & bytes_of(15);
      }
    }
    if constexpr (kRecipe.pair) {
      for (int h = 0; h < 2; ++h) {
        const uint32_t x = read32(pair + b * 128 + 64 * h + 4 * r);
        for (int s = 0; s < 4; ++s) w[4 * h + s] |= (x >> 2 * s & bytes_of(3)) << kPairShift;
      }
    }
    if constexpr (kRecipe.bit) take_bits(bit + b * 64 + 4 * r, w, kBitShift);
    if constexpr (kRecipe.low) take_bits(low + b * 64 + 4 * r, w, kLowShift);
    if constexpr (kRecipe.byte) {
      for (int j = 0; j < 8; ++j) w[j] = read32(byte + b * 512 + 64 * j + 4 * r);
    }
  }
};

// The factors of row r in unit u.
template <class Block>
void put_factors(const Block& b, [[maybe_unused]] bool padding, const PackedLayout& l,
                 int64_t group, int64_t u, int64_t r, uint8_t* packed) {
  constexpr PackRecipe kRecipe = kRecipeOf<Block>;
  const int64_t half = (group * l.units + u) * 32 + 2 * r;
  if constexpr (requires { b.e; }) {
    const uint16_t scale = padding ? uint16_t{0} : block::mxfp4_scale_bits(b.e);
    std::memcpy(packed + l.d + half, &scale, 2);
  } else {
    std::memcpy(packed + l.d + half, &b.d, 2);
  }
  if constexpr (requires { b.m; }) std::memcpy(packed + l.m + half, &b.m, 2);
  if constexpr (requires { b.dmin; }) std::memcpy(packed + l.m + half, &b.dmin, 2);
  if constexpr (kRecipe.scales != 0) {
    int8_t scale[kMostScales] = {};
    int8_t min[kMostScales] = {};
    Packing<Block>::get_scales(b, scale, min);
    constexpr int64_t kCount = 8 * kRecipe.scales;
    const int64_t at = (group * l.units + u) * kCount * 16 + r;
    for (int64_t i = 0; i < kCount; ++i) {
      packed[l.scale + at + 16 * i] = static_cast<uint8_t>(scale[i]);
      if constexpr (kRecipe.has_min) packed[l.min + at + 16 * i] = static_cast<uint8_t>(min[i]);
    }
  }
}

template <class Block>
void take_factors(Block& b, const PackedLayout& l, int64_t group, int64_t u, int64_t r,
                  const uint8_t* packed) {
  constexpr PackRecipe kRecipe = kRecipeOf<Block>;
  const int64_t half = (group * l.units + u) * 32 + 2 * r;
  if constexpr (requires { b.e; }) {
    uint16_t scale;
    std::memcpy(&scale, packed + l.d + half, 2);
    b.e = block::mxfp4_exponent(scale);
  } else {
    std::memcpy(&b.d, packed + l.d + half, 2);
  }
  if constexpr (requires { b.m; }) std::memcpy(&b.m, packed + l.m + half, 2);
  if constexpr (requires { b.dmin; }) std::memcpy(&b.dmin, packed + l.m + half, 2);
  if constexpr (kRecipe.scales != 0) {
    int8_t scale[kMostScales] = {};
    int8_t min[kMostScales] = {};
    constexpr int64_t kCount = 8 * kRecipe.scales;
    const int64_t at = (group * l.units + u) * kCount * 16 + r;
    for (int64_t i = 0; i < kCount; ++i) {
      scale[i] = static_cast<int8_t>(packed[l.scale + at + 16 * i]);
      if constexpr (kRecipe.has_min) min[i] = static_cast<int8_t>(packed[l.min + at + 16 * i]);
    }
    Packing<Block>::set_scales(b, scale, min);
  }
}

template <class Block>
void pack_blocks(const UnpackedRows& from, const PackedLayout& to, int64_t group, uint8_t* packed) {
  constexpr int64_t kSubs = Block::kLength / kPackBlock;
  const CodePlanes<Block, uint8_t> planes(to, group, packed);
  static constexpr Block kZero = {};
  // A few blocks of all rows before the next few: whole cache lines are written at a time.
  for (int64_t u = 0; u < to.units; ++u) {
    for (int64_t r = 0; r < kGroupRows; ++r) {
      const auto* row = static_cast<const uint8_t*>(from.data) + r * from.row_bytes;
      const Block& b =
          r < from.rows ? reinterpret_cast<const Block*>(row)[from.block / kSubs + u] : kZero;
      put_factors(b, r >= from.rows, to, group, u, r, packed);
      for (int64_t g = 0; g < kSubs; ++g) {
        Words w = {};
        Packing<Block>::get(b, static_cast<int>(g), w);
        planes.put(u * kSubs + g, r, w);
      }
    }
  }
}

template <class Block>
Block take_block(const CodePlanes<Block, const uint8_t>& planes, const PackedLayout& from,
                 int64_t group, int64_t u, int64_t r, const uint8_t* packed) {
  constexpr int64_t kSubs = Block::kLength / kPackBlock;
  Block b = {};
  take_factors(b, from, group, u, r, packed);
  for (int64_t g = 0; g < kSubs; ++g) {
    Words w = {};
    planes.take(u * kSubs + g, r, w);
    Packing<Block>::set(b, static_cast<int>(g), w);
  }
  return b;
}

template <class Block>
void unpack_blocks(const PackedLayout& from, int64_t group, const uint8_t* packed, int64_t rows,
                   int64_t row_bytes, uint8_t* out) {
  const CodePlanes<Block, const uint8_t> planes(from, group, packed);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t u = 0; u < from.units; ++u) {
      const Block b = take_block(planes, from, group, u, r, packed);
      std::memcpy(out + r * row_bytes + u * static_cast<int64_t>(sizeof(Block)), &b, sizeof(Block));
    }
  }
}

template <class Block>
void decode_blocks(const PackedLayout& from, const uint8_t* packed, int64_t row, int64_t col,
                   int64_t cols, float* out) {
  const int64_t group = row / kGroupRows;
  const CodePlanes<Block, const uint8_t> planes(from, group, packed);
  for (int64_t i = 0; i < cols; i += Block::kLength) {
    const int64_t u = (col + i) / Block::kLength;
    to_float(take_block(planes, from, group, u, row % kGroupRows, packed), out + i);
  }
}

}  // namespace

void pack_group(DType type, const UnpackedRows& from, const PackedLayout& to, int64_t group,
                void* packed) noexcept {
  const PackForm form = to.low >= 0 ? PackForm::ordered : PackForm::plain;
  with_packing(type, form, [&]<class Block>() {
    pack_blocks<Block>(from, to, group, static_cast<uint8_t*>(packed));
  });
}

void unpack_group(DType type, const PackedLayout& from, int64_t group, const void* packed,
                  int64_t rows, int64_t row_bytes, void* out) noexcept {
  const PackForm form = from.low >= 0 ? PackForm::ordered : PackForm::plain;
  with_packing(type, form, [&]<class Block>() {
    unpack_blocks<Block>(from, group, static_cast<const uint8_t*>(packed), rows, row_bytes,
                         static_cast<uint8_t*>(out));
  });
}

void dequantize_packed(DType type, const PackedLayout& from, const void* packed, int64_t row,
                       int64_t col, int64_t cols, float* out) noexcept {
  const PackForm form = from.low >= 0 ? PackForm::ordered : PackForm::plain;
  with_packing(type, form, [&]<class Block>() {
    decode_blocks<Block>(from, static_cast<const uint8_t*>(packed), row, col, cols, out);
  });
}

}  // namespace nibble
