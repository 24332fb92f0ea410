#pragma once
// R16k4, the layout that the matrix kernels read: 16 rows of a matrix side by side, so that the
// int32 lanes of a vector are rows and no sum across lanes is ever needed. The same on every
// instruction set. Rows are padded to 16 with zero weights; columns are whole blocks of 32.
//
// A packed matrix is a few planes, each 64-byte aligned, in the order of PackedLayout. A plane is
// [group of 16 rows][block of 32 columns][what follows]; within a block column 4j + i of row r is
// place p = 4r + i of step j (j < 8):
//
//   nibble  [4][64]  bits 0-3 of byte (j, p): step j's low four bits, bits 4-7: step j + 4's
//   pair    [2][64]  bits 2s, 2s+1 of byte (h, p): two more bits of step 4h + s
//   bit     [64]     bit j of byte p: one more bit of step j
//   low     [64]     as bit, of ordered planes
//   byte    [8][64]  byte (j, p): a whole signed code
//
// A code's bits are the nibble, then the pair, then the bit, from the lowest up, as far as the type
// has them. The factors are the type's own numbers, half precision as in the file:
//
//   d, m        half [16]     per block of the type: 32, 64 or 256 columns; MXFP4's d is a
//                             bfloat16, which has the exponents of the file's scales
//   scale, min  int8 [n][16]  per 32 columns, n = 1 or 2 (groups of 32 or of 16 columns)
//
// Q3_K's and IQ4_XS's scales have their offset of 32 subtracted; IQ4_NL's, IQ4_XS's, NF4's and
// MXFP4's codes are indices of the code book. Nothing is rounded: unpack_group() gives back the
// file's bytes.
//
// Ordered planes are a second form, of Q8_0 only and meant for an output head. Of code + 128 the
// nibble has bits 6-3 and the bit bit 7: together the upper five bits; the pair has bits 1-0 and
// low bit 2. The upper planes alone bound what a row can come to (KernelTable::head_bounds), so
// that most rows need not be read whole.
#include <cstdint>

#include "quant/dtype.h"

namespace nibble {

inline constexpr int64_t kGroupRows = 16;  // rows that lie side by side
inline constexpr int64_t kPackBlock = 32;  // columns of a block

/// What a type's packed form is made of.
struct PackRecipe {
  bool nibble = false;
  bool pair = false;
  bool bit = false;
  bool low = false;
  bool byte = false;
  bool has_m = false;
  int scales = 0;  // int8 scales in a block of 32: 0, 1 or 2
  bool has_min = false;
  int64_t factor_cols = 32;  // columns that share d and m
};

enum class PackForm : uint8_t { plain, ordered };
inline constexpr int64_t kMostOrderedCols = 32768;

// Functions with bodies are static: files compiled for one instruction set include this, and their
// copy of a shared function could be the one that the linker keeps for everyone.

/// What a type has in this form; for those that have none (floats) is_packed() is false.
static constexpr PackRecipe recipe_of(DType type, PackForm form = PackForm::plain) noexcept {
  if (form == PackForm::ordered) {
    if (type != DType::Q8_0) return {};
    return {.nibble = true, .pair = true, .bit = true, .low = true};
  }
  switch (type) {
    case DType::Q4_0:
    case DType::IQ4_NL:
    case DType::MXFP4:
      return {.nibble = true};
    case DType::NF4:
      return {.nibble = true, .factor_cols = 64};
    case DType::Q4_1:
      return {.nibble = true, .has_m = true};
    case DType::Q5_0:
      return {.nibble = true, .bit = true};
    case DType::Q5_1:
      return {.nibble = true, .bit = true, .has_m = true};
    case DType::Q8_0:
      return {.byte = true};
    case DType::IQ4_XS:
      return {.nibble = true, .scales = 1, .factor_cols = 256};
    case DType::Q2_K:
      return {.pair = true, .has_m = true, .scales = 2, .has_min = true, .factor_cols = 256};
    case DType::Q3_K:
      return {.pair = true, .bit = true, .scales = 2, .factor_cols = 256};
    case DType::Q4_K:
      return {.nibble = true, .has_m = true, .scales = 1, .has_min = true, .factor_cols = 256};
    case DType::Q5_K:
      return {.nibble = true,
              .bit = true,
              .has_m = true,
              .scales = 1,
              .has_min = true,
              .factor_cols = 256};
    case DType::Q6_K:
      return {.nibble = true, .pair = true, .scales = 2, .factor_cols = 256};
    default:
      return {};
  }
}

static constexpr bool is_packed(const PackRecipe& r) noexcept {
  return r.nibble || r.pair || r.byte;
}

/// Where the planes of a packed matrix begin, in bytes from its start; -1 where there is none.
struct PackedLayout {
  int64_t groups = 0;  // of 16 rows
  int64_t blocks = 0;  // of 32 columns
  int64_t units = 0;   // that have a d of their own
  int64_t nibble = -1;
  int64_t pair = -1;
  int64_t bit = -1;
  int64_t low = -1;
  int64_t byte = -1;
  int64_t d = -1;
  int64_t m = -1;
  int64_t scale = -1;
  int64_t min = -1;
  int64_t bytes = 0;  // of all planes, a multiple of 64
};

/// Precondition: is_packed(recipe); cols is a multiple of its type's block length.
static constexpr PackedLayout packed_layout(const PackRecipe& recipe, int64_t rows,
                                            int64_t cols) noexcept {
  PackedLayout l;
  l.groups = (rows + kGroupRows - 1) / kGroupRows;
  l.blocks = cols / kPackBlock;
  l.units = cols / recipe.factor_cols;
  const auto add = [&l](bool has, int64_t group_bytes) -> int64_t {
    if (!has) return -1;
    const int64_t at = l.bytes;
    l.bytes += (l.groups * group_bytes + 63) / 64 * 64;
    return at;
  };
  l.nibble = add(recipe.nibble, l.blocks * 256);
  l.pair = add(recipe.pair, l.blocks * 128);
  l.bit = add(recipe.bit, l.blocks * 64);
  l.low = add(recipe.low, l.blocks * 64);
  l.byte = add(recipe.byte, l.blocks * 512);
  l.d = add(true, l.units * 32);
  l.m = add(recipe.has_m, l.units * 32);
  l.scale = add(recipe.scales != 0, l.blocks * recipe.scales * 16);
  l.min = add(recipe.has_min, l.blocks * recipe.scales * 16);
  return l;
}

static constexpr PackedLayout packed_layout(DType type, int64_t rows, int64_t cols,
                                            PackForm form = PackForm::plain) noexcept {
  return packed_layout(recipe_of(type, form), rows, cols);
}

/// Rows of a matrix as the file has them.
struct UnpackedRows {
  const void* data;   // first row
  int64_t row_bytes;  // from one row to the next
  int64_t rows;       // 1 .. 16; the others are taken as zero
  int64_t block;      // first block of 32 columns wanted; a multiple of 8 for blocks of 256
};

/// Packs `to.blocks` blocks of up to 16 rows into group `group` of a matrix laid out as `to` says.
void pack_group(DType type, const UnpackedRows& from, const PackedLayout& to, int64_t group,
                void* packed) noexcept;
/// The way back: rows [rows, row_bytes], as the file had them.
void unpack_group(DType type, const PackedLayout& from, int64_t group, const void* packed,
                  int64_t rows, int64_t row_bytes, void* out) noexcept;

/// Columns [col, col + cols) of one row as floats, out [cols]: what dequantize_row (codec.h) gives
/// for the row as the file had it. Precondition: whole blocks of the type.
void dequantize_packed(DType type, const PackedLayout& from, const void* packed, int64_t row,
                       int64_t col, int64_t cols, float* out) noexcept;

}  // namespace nibble
