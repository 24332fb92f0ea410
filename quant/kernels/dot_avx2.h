#pragma once
// Dot products of codes and int8 inputs with AVX2.
#include "quant/kernels/wide_avx2.h"

namespace nibble {
namespace {
namespace simd {

[[gnu::always_inline]] inline wi wide_broadcast32(const void* p) {
  return broadcast32(p);
}

}  // namespace simd
}  // namespace
}  // namespace nibble

#include "quant/kernels/pairs.inl"
