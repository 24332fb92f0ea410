#pragma once
// Tensor types. The ids are the on-disk ids of GGUF (ggml's type numbers), so a file's number and
// the enum are the same thing; a file's number is trusted only after find_dtype() found its row.
#include <cstdint>

namespace nibble {

enum class DType : uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  IQ4_NL = 20,
  IQ4_XS = 23,
  BF16 = 30,
  MXFP4 = 39,
  NF4 = 0x4E428400,  // nibble's own ids: docs/format.md
};

/// One row of the type table. block_len elements are stored in block_bytes bytes.
struct DTypeInfo {
  DType type;
  const char* name;  // as the ecosystem writes it: "Q4_K"
  int64_t block_len;
  int64_t block_bytes;
};

/// Every type that nibble decodes; count receives their number.
const DTypeInfo* all_dtypes(int* count) noexcept;
/// A type that nibble decodes, by its on-disk id; nullptr if it does not.
const DTypeInfo* find_dtype(uint32_t id) noexcept;
/// A type that nibble decodes, by name in any case; nullptr if there is none.
const DTypeInfo* find_dtype(const char* name) noexcept;
/// The row of a known type.
const DTypeInfo& dtype_info(DType type) noexcept;

/// Name of any type id that the ecosystem has defined, also of those nibble does not decode
/// ("IQ2_XXS", "TQ1_0", ...), and of nibble's packed types ("Q4_0.R16", stored_type.h); nullptr for
/// a number nobody has defined.
const char* dtype_ecosystem_name(uint32_t id) noexcept;
/// What a user can do about a type that nibble does not decode; never nullptr.
const char* dtype_advice(uint32_t id) noexcept;

/// Bytes of a row of `cols` elements. Precondition: cols is a multiple of block_len.
int64_t row_bytes(DType type, int64_t cols) noexcept;

}  // namespace nibble
