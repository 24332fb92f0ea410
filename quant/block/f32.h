#pragma once
// F32: one IEEE binary32 number, little-endian.
//
//   byte 0..3  x
#include "quant/dtype.h"

namespace nibble::block {

struct F32 {
  static constexpr DType kType = DType::F32;
  static constexpr const char* kName = "F32";
  static constexpr int64_t kLength = 1;

  float x;
};
static_assert(sizeof(F32) == 4);

static inline void to_float(const F32& b, float* out) noexcept {
  out[0] = b.x;
}

static inline void from_float(const float* x, F32& b) noexcept {
  b.x = x[0];
}

}  // namespace nibble::block
