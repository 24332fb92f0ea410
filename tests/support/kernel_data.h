#pragma once
// Inputs for kernel tests: the tables that this CPU runs, seeded numbers, weight blocks of every
// type with scales of a chosen size.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "quant/all_types.h"
#include "quant/codec.h"
#include "quant/kernels/kernels.h"
#include "quant/packed.h"

namespace nibble::test {

inline std::vector<const KernelTable*> tables() {
  int count = 0;
  const KernelTable* const* all = all_kernels(&count);
  std::vector<const KernelTable*> out;
  for (int i = 0; i < count; ++i) {
    if (all[i]->supported()) out.push_back(all[i]);
  }
  return out;
}

inline const KernelTable& reference() {
  return *kernels_named("reference");
}

/// All tables but the reference.
inline std::vector<const KernelTable*> fast_tables() {
  std::vector<const KernelTable*> out = tables();
  out.pop_back();
  return out;
}

inline std::vector<DType> all_dtypes() {
  std::vector<DType> types;
  for_each_type(AllTypes{}, [&]<class Block>() { types.push_back(Block::kType); });
  return types;
}

inline bool is_float(DType t) {
  return t == DType::F32 || t == DType::F16 || t == DType::BF16;
}

using Rng = std::mt19937;

inline std::vector<float> normal(Rng& rng, int64_t n, float sigma = 1.0f) {
  std::normal_distribution<float> d(0.0f, sigma);
  std::vector<float> out(static_cast<size_t>(n));
  for (float& x : out) x = d(rng);
  return out;
}

/// Random bits everywhere but in the half-precision factors, which are a function's.
template <class Block, class Factor>
void random_block(Rng& rng, Block& b, Factor factor) {
  auto* bytes = reinterpret_cast<uint8_t*>(&b);
  for (size_t i = 0; i < sizeof(Block); ++i) bytes[i] = static_cast<uint8_t>(rng());
  if constexpr (requires { b.e; }) {  // the power of two at or below the factor
    const float d = std::fabs(block::half_to_float(factor()));
    b.e = static_cast<uint8_t>(d > 0 ? 128 + std::ilogb(d) : 100);
  }
  if constexpr (requires { b.d; }) b.d = factor();
  if constexpr (requires { b.m; }) b.m = factor();
  if constexpr (requires { b.dmin; }) b.dmin = factor();
}

/// [rows, cols] of a quantized type, every code equally likely, factors from `factor` (half bits).
template <class Factor>
std::vector<uint8_t> random_weights(Rng& rng, DType type, int64_t rows, int64_t cols,
                                    Factor factor) {
  std::vector<uint8_t> out(static_cast<size_t>(rows * row_bytes(type, cols)));
  for_each_type(AllTypes{}, [&]<class Block>() {
    if (Block::kType != type) return;
    for (size_t at = 0; at < out.size(); at += sizeof(Block)) {
      Block b;
      random_block(rng, b, factor);
      std::memcpy(out.data() + at, &b, sizeof(b));
    }
  });
  return out;
}

/// As above with factors of either sign up to 1; normal numbers for the float types.
inline std::vector<uint8_t> random_weights(Rng& rng, DType type, int64_t rows, int64_t cols) {
  if (is_float(type)) {
    const std::vector<float> x = normal(rng, rows * cols);
    std::vector<uint8_t> out(static_cast<size_t>(row_bytes(type, rows * cols)));
    quantize_row(type, x.data(), rows * cols, out.data());
    return out;
  }
  std::uniform_real_distribution<float> d(-1.0f, 1.0f);
  return random_weights(rng, type, rows, cols, [&] { return block::float_to_half(d(rng)); });
}

/// Column counts worth trying: one block, several, a part of a panel of 256, several panels.
inline std::vector<int64_t> widths(DType type) {
  const int64_t length = dtype_info(type).block_len;
  if (length == 256) return {256, 512, 1280};
  if (length == 64) return {64, 128, 320, 576, 1536};
  if (length == 32) return {32, 64, 256, 288, 576, 1536};
  return {1, 7, 8, 9, 64, 77, 576};
}

/// A matrix in the layout of quant/packed.h.
inline std::vector<uint8_t> pack(DType type, const void* w, int64_t rows, int64_t cols,
                                 PackForm form = PackForm::plain) {
  const PackedLayout layout = packed_layout(type, rows, cols, form);
  std::vector<uint8_t> out(static_cast<size_t>(layout.bytes));
  const int64_t stride = row_bytes(type, cols);
  for (int64_t g = 0; g < layout.groups; ++g) {
    const int64_t row = g * kGroupRows;
    const UnpackedRows from = {static_cast<const uint8_t*>(w) + row * stride, stride,
                               std::min(kGroupRows, rows - row), 0};
    pack_group(type, from, layout, g, out.data());
  }
  return out;
}

/// Rows of x prepared for weights of a type.
inline std::vector<uint8_t> prepare(const KernelTable& k, DType type, const float* x,
                                    int64_t tokens, int64_t cols) {
  const ActLayout layout = k.act_layout(type);
  std::vector<uint8_t> out(static_cast<size_t>(k.act_bytes(layout, cols, tokens)));
  for (int64_t t = 0; t < tokens; ++t) {
    k.prepare_act(layout, x + t * cols, cols, out.data(), t, tokens);
  }
  return out;
}

/// out [tokens, rows] of one call.
inline std::vector<float> matmul(const KernelTable& k, DType type, const void* w, int64_t rows,
                                 int64_t cols, const float* x, int64_t tokens) {
  const std::vector<uint8_t> act = prepare(k, type, x, tokens, cols);
  std::vector<float> out(static_cast<size_t>(tokens * rows), NAN);
  k.matmul({{w, type, rows, cols}, act.data(), tokens, 0, rows, out.data(), rows});
  return out;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace nibble::test
