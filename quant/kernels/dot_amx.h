#pragma once
// Dot products of codes and int8 inputs with AMX for 16 tokens at once; fewer are left to AVX-512.
#include "quant/kernels/groups_avx512.h"
#include "quant/kernels/tile_amx.h"

namespace nibble {
namespace {
namespace simd {

[[gnu::always_inline]] inline wi wide_mul32(wi a, wi b) {
  return _mm512_mullo_epi32(a, b);
}

}  // namespace simd
}  // namespace
}  // namespace nibble

#include "quant/kernels/tiles.inl"
