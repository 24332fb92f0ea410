#pragma once
// The codes of one block apart from its scales, for quantizers that choose each code themselves
// (runtime/convert/gptq.h) under scales that a search has found. The weight of column i under
// code c is base[i] + unit[i] * value, where value is c itself or the type's table of levels at c.
#include <cstdint>

#include "quant/dtype.h"

namespace nibble {

/// The longest block.
inline constexpr int64_t kMostBlockLen = 256;

struct CodeLevels {
  int least = 0;  // codes least .. most
  int most = 0;
  const float* table = nullptr;  // [most + 1], ascending; nullptr: a code's value is the code
  int unit_code = 1;             // whose value gives the unit its best precision
  bool mirrored = false;         // the table's second half is the first, negated
  float value(int code) const noexcept {
    return table != nullptr ? table[code] : static_cast<float>(code);
  }
};

/// nullptr for a type without codes (F32, F16, BF16).
const CodeLevels* code_levels(DType type) noexcept;

/// Under the scales of a block (block_bytes long, at any alignment) of a type with codes:
/// base, unit [block_len].
void block_levels(DType type, const void* block, float* base, float* unit) noexcept;

/// Changes the codes and nothing else. codes [block_len]
void set_block_codes(DType type, void* block, const int8_t* codes) noexcept;

/// The code whose weight is nearest to x; where all weights are the same, any.
int nearest_code_to(const CodeLevels& levels, float base, float unit, float x) noexcept;

}  // namespace nibble
