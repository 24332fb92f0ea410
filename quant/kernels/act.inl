#pragma once
// The inputs of a matrix product as kernels want them.
//
// q8: each row is rounded to int8 with one scale per 32 columns. Few columns carry values far above
// the rest, and rounding their blocks is nearly the whole error of int8; such blocks get a second
// plane of int8 for what the first left over. Rows are stored in panels of up to 64 tokens, block
// after block, so that what one block of weights needs lies together:
//
//   panel of n tokens x k columns, nb = k / 32 blocks
//     q       int8 [nb][n][32]        first plane
//     fine    int8 [nb][n][32]        second plane, set where a flag is
//     factor  ActFactor [2][nb][n]    of the planes
//     flag    uint8 [nb][64]          255: the token has a second plane in this block
#include "quant/kernels/pointwise.inl"

namespace nibble {
namespace {

constexpr int64_t kBlock = 32;           // columns of a block
constexpr int32_t kTinyBits = 27 << 23;  // 2^-100: a block of inputs below this is zero

inline int64_t at_most(int64_t n, int64_t limit) {
  return n < limit ? n : limit;
}

// Of 32 columns of a token.
struct ActFactor {
  float scale;
  float scaled_sum;  // scale * sum
  int16_t sums[2];   // of the first and the second half
};

constexpr int64_t panel_bytes(int64_t k, int64_t tokens) {
  return k / kBlock * (tokens * (2 * kBlock + 2 * static_cast<int64_t>(sizeof(ActFactor))) + 64);
}

// One panel of prepared rows.
template <class Byte, class Code, class Factor>
struct ActPanelOf {
  Code* q;
  Code* fine;
  Factor* factor;
  Factor* fine_factor;
  Byte* flag;
  int64_t tokens;

  ActPanelOf(Byte* p, int64_t k, int64_t n) : tokens(n) {
    const int64_t blocks = k / kBlock;
    q = reinterpret_cast<Code*>(p);
    fine = q + blocks * n * kBlock;
    factor = reinterpret_cast<Factor*>(fine + blocks * n * kBlock);
    fine_factor = factor + blocks * n;
    flag = reinterpret_cast<Byte*>(fine_factor + blocks * n);
  }
};
using ActPanel = ActPanelOf<const uint8_t, const int8_t, const ActFactor>;
using ActPanelOut = ActPanelOf<uint8_t, int8_t, ActFactor>;

ActLayout act_layout(DType type) noexcept {
  return type == DType::F32 || type == DType::F16 || type == DType::BF16 ? ActLayout::f32
                                                                         : ActLayout::q8;
}

// From one row of floats to the next: an odd number of cache lines, so that the same column of many
// tokens does not fall into the same few cache sets.
inline int64_t float_stride(int64_t k) {
  return ((k * 4 + 63) / 64 | 1) * 64;
}

int64_t act_bytes(ActLayout layout, int64_t k, int64_t tokens) noexcept {
  if (layout == ActLayout::f32) return tokens * float_stride(k);
  const int64_t rest = tokens % kPanelTokens;
  const int64_t bytes =
      tokens / kPanelTokens * panel_bytes(k, kPanelTokens) + (rest != 0 ? panel_bytes(k, rest) : 0);
  return (bytes + 63) / 64 * 64;
}

// Panel `p` of `tokens` prepared rows.
inline ActPanel act_panel(const void* act, int64_t k, int64_t tokens, int64_t p) {
  return {static_cast<const uint8_t*>(act) + p * panel_bytes(k, kPanelTokens), k,
          at_most(tokens - p * kPanelTokens, kPanelTokens)};
}

// The largest |x| of a block, as the bits of a float: their order is that of the sizes, infinity
// and NaN above all. Blocks too small to matter count as zero.
inline int32_t peak_bits(const float* x) {
  vi size[4];
  for (int64_t i = 0; i < 4; ++i) {
    const vi v = simd::as_int(simd::load(x + i * kLanes));
    size[i] = simd::bit_and(v, simd::broadcast32(INT32_MAX));
  }
  const int32_t highest =
      simd::highest32(simd::max32(simd::max32(size[0], size[1]), simd::max32(size[2], size[3])));
  return highest < kTinyBits ? 0 : highest;
}

inline float float_of(int32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

// x [32] -> q = round(x / scale), scale = peak / 127. A block with an infinity or a NaN gets it as
// its scale, so it is not lost.
inline void quantize_block(const float* x, float peak, int8_t* q, ActFactor* factor) {
  const vf inverse = simd::broadcast(peak == 0.0f ? 0.0f : 127.0f / peak);
  const vf shift = simd::broadcast(12582912.0f);  // 1.5 * 2^23: rounds to the nearest, ties to even
  vi n[4];
  for (int64_t i = 0; i < 4; ++i) {
    const vf v = simd::load(x + i * kLanes);
    n[i] = simd::sub32(simd::as_int(v * inverse + shift), simd::as_int(shift));
  }
  simd::store_bytes(q, simd::narrow_to8(n[0], n[1], n[2], n[3]));
  const int32_t first = simd::sum32(simd::add32(n[0], n[1]));
  const int32_t second = simd::sum32(simd::add32(n[2], n[3]));
  factor->sums[0] = static_cast<int16_t>(first);
  factor->sums[1] = static_cast<int16_t>(second);
  factor->scale = peak / 127.0f;
  factor->scaled_sum = factor->scale * static_cast<float>(factor->sums[0] + factor->sums[1]);
}

// What a block of the first plane lost, at most half its scale each, into the second.
inline void quantize_rest(const float* x, const int8_t* q, float scale, int8_t* fine,
                          ActFactor* factor) {
  float rest[kBlock];
  for (int64_t i = 0; i < kBlock; ++i) rest[i] = x[i] - static_cast<float>(q[i]) * scale;
  quantize_block(rest, scale * 0.5f, fine, factor);
}

// A block is given the second plane when its peak is over three times the typical one: the mean of
// the peaks' bits, which is near that of their logarithms.
void prepare_q8(const float* x, int64_t k, const ActPanelOut& to, int64_t t) {
  const int64_t blocks = k / kBlock;
  int64_t total = 0;
  int64_t counted = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t at = b * to.tokens + t;
    const int32_t bits = peak_bits(x + b * kBlock);
    quantize_block(x + b * kBlock, float_of(bits), to.q + at * kBlock, to.factor + at);
    total += bits;
    counted += bits != 0;
  }
  constexpr int32_t kThrice = 3 << 22;  // of a float's bits: one and a half exponents more
  constexpr int64_t kInfinity = 0x7f800000;
  const int64_t typical = counted == 0 ? 0 : total / counted;
  const float limit = float_of(static_cast<int32_t>(at_most(typical + kThrice, kInfinity)));
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t at = b * to.tokens + t;
    const float scale = to.factor[at].scale;
    // An infinite block gains nothing.
    const bool is_fine = scale * 127.0f > limit && scale - scale == 0.0f;
    to.flag[b * 64 + t] = is_fine ? 255 : 0;
    if (is_fine) {
      quantize_rest(x + b * kBlock, to.q + at * kBlock, scale, to.fine + at * kBlock,
                    to.fine_factor + at);
    }
  }
}

void prepare_act(ActLayout layout, const float* x, int64_t k, void* act, int64_t t,
                 int64_t tokens) noexcept {
  auto* bytes = static_cast<uint8_t*>(act);
  if (layout == ActLayout::f32) {
    std::memcpy(bytes + t * float_stride(k), x, static_cast<size_t>(k) * sizeof(float));
    return;
  }
  const int64_t p = t / kPanelTokens;
  const ActPanelOut panel(bytes + p * panel_bytes(k, kPanelTokens), k,
                          at_most(tokens - p * kPanelTokens, kPanelTokens));
  prepare_q8(x, k, panel, t % kPanelTokens);
}

}  // namespace
}  // namespace nibble
