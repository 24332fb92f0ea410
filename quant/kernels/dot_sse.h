#pragma once
// Dot products of codes and int8 inputs with SSSE3: those of AVX2, 4 rows at a time.
#include "quant/kernels/simd_sse.h"

namespace nibble {
namespace {
namespace simd {

[[gnu::always_inline]] inline wi wide_broadcast32(const void* p) {
  int32_t x;
  std::memcpy(&x, p, sizeof(x));
  return _mm_shuffle_epi32(_mm_cvtsi32_si128(x), 0);
}

}  // namespace simd
}  // namespace
}  // namespace nibble

#include "quant/kernels/pairs.inl"
