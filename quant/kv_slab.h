#pragma once
// How the keys or values of one head lie in memory, kKvPageLen positions at a time: a slab.
//
//   type  codes                              after them
//   f32   float                              nothing
//   f16   half                               nothing
//   q8    int8                               keys: half scale [blocks of 32 dimensions][kKvPageLen]
//                                            values: float scale [kKvPageLen]
//   q4    4 bits, kv_nibble_row(head_dim) x  half scale, then half offset,
//         kKvPageLen bytes                   each [blocks of 32 dimensions][kKvPageLen]
//
// Codes of keys are transposed, [head_dim][kKvPageLen]; those of values [kKvPageLen][head_dim]. So
// nothing of one position shares a byte with another, and several threads may store at a time.
// q8 is scale * code; q4 is scale * code + offset, and byte i of a position holds dimension
// i / 8 * 16 + i % 8 in its low half and the one 8 behind it in its high half.
//
// A few dimensions of a key carry most of its size, and the others would be lost beside them. So
// keys of these two types, and the queries, are first rotated by a matrix that spreads each
// dimension over its block of 32 (KernelTable::rotate); their products stay the same.
// docs/decisions/0009-keys-and-values.md has the figures.
//
// All functions here are static: see quant/block/half.h.
#include <cstdint>

namespace nibble {

/// Element type of keys and values.
enum class KvType : uint8_t { f16, f32, q8, q4 };

/// Positions in one slab, and in one step of the attention reduction.
inline constexpr int64_t kKvPageLen = 64;

/// Dimensions that are rotated together and share a scale and an offset.
inline constexpr int64_t kKvBlock = 32;

static constexpr int64_t kv_blocks(int64_t head_dim) {
  return (head_dim + kKvBlock - 1) / kKvBlock;
}

/// Bytes of one position's q4 codes.
static constexpr int64_t kv_nibble_row(int64_t head_dim) {
  return (head_dim + 15) / 16 * 8;
}

/// Bytes of a slab's codes; a multiple of 64.
static constexpr int64_t kv_codes_bytes(KvType type, int64_t head_dim) {
  switch (type) {
    case KvType::f32:
      return kKvPageLen * 4 * head_dim;
    case KvType::f16:
      return kKvPageLen * 2 * head_dim;
    case KvType::q8:
      return kKvPageLen * head_dim;
    case KvType::q4:
      return kKvPageLen * kv_nibble_row(head_dim);
  }
  return 0;
}

/// Bytes of a slab of keys; a multiple of 64.
static constexpr int64_t kv_key_bytes(KvType type, int64_t head_dim) {
  const int64_t factors = kv_blocks(head_dim) * kKvPageLen * 2;
  return kv_codes_bytes(type, head_dim) + (type == KvType::q8   ? factors
                                           : type == KvType::q4 ? 2 * factors
                                                                : 0);
}

/// Bytes of a slab of values; a multiple of 64.
static constexpr int64_t kv_value_bytes(KvType type, int64_t head_dim) {
  if (type == KvType::q8) return kv_codes_bytes(type, head_dim) + kKvPageLen * 4;
  return kv_key_bytes(type, head_dim);
}

/// Are keys of this type, and the queries for them, rotated?
static constexpr bool kv_rotates(KvType type) {
  return type == KvType::q8 || type == KvType::q4;
}

/// Dimensions of a head that are rotated together when `rest` are left: whole blocks, and of a last
/// one that is not the powers of two that add up to it.
static constexpr int64_t kv_rotated_part(int64_t rest) {
  int64_t part = 1;
  while (2 * part <= rest && 2 * part <= kKvBlock) part *= 2;
  return part;
}

}  // namespace nibble
