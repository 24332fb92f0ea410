#pragma once
// The rate of the multipliers alone, which bounds every product: the integer part of blocks of 32
// columns, codes in registers and inputs in the first cache, without factors, floats and results.
// Benchmarks call it; no model does.
#include "quant/kernels/panel.inl"

namespace nibble {
namespace {

// Blocks of one step: enough sums side by side that none waits for another.
constexpr int64_t kPeakBlocks = 4;

// The empty statements keep from the compiler what is multiplied.
int64_t int8_peak(int64_t steps) noexcept {
  alignas(64) uint8_t bytes[64];               // codes
  alignas(64) int8_t q[kPeakBlocks * kBlock];  // inputs
  for (int i = 0; i < 64; ++i) bytes[i] = static_cast<uint8_t>(i % 16);
  for (int64_t i = 0; i < kPeakBlocks * kBlock; ++i) q[i] = static_cast<int8_t>(i - 64);
  Codes w;
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    __asm__ volatile("" : "+m"(bytes));
    w[j] = simd::wide_load(bytes);
  }
  wi sums = simd::wide_zero();
  for (int64_t s = 0; s < steps; ++s) {
    __asm__ volatile("" : "+m"(q));
    for (int64_t i = 0; i < kPeakBlocks; ++i) {
      sums = simd::wide_or(sums, simd::dot_codes<15>(w, q + i * kBlock));
    }
  }
  __asm__ volatile("" : : "m"(sums));
  return steps * kPeakBlocks * kBlock * kWide;
}

}  // namespace
}  // namespace nibble
