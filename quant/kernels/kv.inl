#pragma once
// Keys and values in their slabs (quant/kv_slab.h): stored, rotated before that, and read as
// floats. The codes are those of reference.cpp to the bit.
#include "quant/block/half.h"
#include "quant/kernels/matmul.inl"

namespace nibble {
namespace {

constexpr int64_t kColumns = 2 * kWide < 16 ? 16 : 2 * kWide;  // of a tile of keys or values
static_assert(kKvBlock % kColumns == 0 && kKvPageLen % kColumns == 0);

// ---- rotation ----

// Sums of the two halves to even places, differences to odd ones.
inline void rotate_stage(const float* __restrict from, int64_t n, float* __restrict to) {
  for (int64_t i = 0; i < n / 2; ++i) {
    to[2 * i] = from[i] + from[n / 2 + i];
    to[2 * i + 1] = from[i] - from[n / 2 + i];
  }
}

// x [n] times the Hadamard matrix / sqrt(n), n a power of two: log2(n) stages, all alike.
inline void rotate_part(float* x, int64_t n) {
  float a[kKvBlock];
  float b[kKvBlock];
  const float* from = x;
  for (int64_t done = 1; done < n; done *= 2) {
    float* const to = from == a ? b : a;
    rotate_stage(from, n, to);
    from = to;
  }
  const float norm = 1.0f / __builtin_sqrtf(static_cast<float>(n));
  for (int64_t i = 0; i < n; ++i) x[i] = from[i] * norm;
}

void rotate(float* x, int64_t heads, int64_t head_dim) noexcept {
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t rest = head_dim; rest > 0;) {
      const int64_t part = kv_rotated_part(rest);
      rotate_part(x, part);
      x += part;
      rest -= part;
    }
  }
}

// ---- storing ----

// x [n] in blocks of 32: f(first dimension, count, block [32]), the last one filled up with `fill`.
template <class F>
inline void for_blocks(const float* x, int64_t n, float fill, F f) {
  for (int64_t i = 0; i < n; i += kKvBlock) {
    const int64_t count = at_most(n - i, kKvBlock);
    float padded[kKvBlock];
    if (count < kKvBlock) {
      std::memcpy(padded, x + i, static_cast<size_t>(count) * sizeof(float));
      for (int64_t j = count; j < kKvBlock; ++j) padded[j] = fill;
    }
    f(i, count, count < kKvBlock ? padded : x + i);
  }
}

// to[i * step] = from[i]
template <class T>
inline void spread(const T* from, int64_t n, int64_t step, T* to) {
  if (step == 1) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < n; ++i) to[i * step] = from[i];
}

// Half precision ends at 65504; what is finite stays finite.
constexpr float kLargestHalf = 65504.0f;

void store_f16(const float* x, int64_t n, uint16_t* out, int64_t step) {
  const vf most = simd::broadcast(kLargestHalf);
  const vf infinity = simd::broadcast(__builtin_inff());
  uint16_t halves[kLanes];
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = at_most(n - i, kLanes);
    const vf v = count == kLanes ? simd::load(x + i) : load_some(x + i, count);
    const vf size = simd::max(v, simd::zero() - v);
    const vf limited = simd::min(most, simd::max(simd::zero() - most, v));
    simd::store_f16(halves, simd::if_less(size, infinity, limited, v));
    spread(halves, count, step, out + i * step);
  }
}

// The same of one number that is a scale or an offset.
inline uint16_t finite_half(float x) {
  const float size = __builtin_fabsf(x);
  if (size > kLargestHalf && size < __builtin_inff()) x = x < 0 ? -kLargestHalf : kLargestHalf;
  return block::float_to_half(x);
}

// round(v) of 32 values that are within int8's range -> out [32]
template <class F>
inline void round_block(int8_t* out, F value) {
  const vf shift = simd::broadcast(12582912.0f);  // 1.5 * 2^23: rounds to the nearest, ties to even
  vi n[4];
  for (int64_t i = 0; i < 4; ++i) {
    n[i] = simd::sub32(simd::as_int(value(i * kLanes) + shift), simd::as_int(shift));
  }
  simd::store_bytes(out, simd::narrow_to8(n[0], n[1], n[2], n[3]));
}

// Each block of 32: scale = largest |x| / 127 as a half, code = round(x / scale). scales:
// [blocks][kKvPageLen].
void store_key_q8(const float* x, int64_t n, int8_t* codes, uint16_t* scales) {
  for_blocks(x, n, 0.0f, [&](int64_t i, int64_t count, const float* block) {
    const uint16_t scale = finite_half(float_of(peak_bits(block)) / 127.0f);
    scales[i / kKvBlock * kKvPageLen] = scale;
    const float size = block::half_to_float(scale);
    const vf inverse = simd::broadcast(size == 0.0f ? 0.0f : 1.0f / size);
    int8_t rounded[kKvBlock];
    round_block(rounded, [&](int64_t at) {
      const vf code = simd::max(simd::broadcast(-127.0f), simd::load(block + at) * inverse);
      return simd::min(simd::broadcast(127.0f), code);
    });
    spread(rounded, count, kKvPageLen, codes + i * kKvPageLen);
  });
}

// One scale for all: largest |x| / 127.
void store_value_q8(const float* x, int64_t n, int8_t* codes, float* scale) {
  int32_t highest = 0;
  for_blocks(x, n, 0.0f, [&](int64_t, int64_t, const float* block) {
    const int32_t bits = peak_bits(block);
    highest = bits > highest ? bits : highest;
  });
  const float peak = float_of(highest);
  *scale = peak / 127.0f;
  const vf inverse = simd::broadcast(peak == 0.0f ? 0.0f : 127.0f / peak);
  for_blocks(x, n, 0.0f, [&](int64_t i, int64_t count, const float* block) {
    int8_t rounded[kKvBlock];
    round_block(rounded, [&](int64_t at) { return simd::load(block + at) * inverse; });
    spread(rounded, count, 1, codes + i);
  });
}

inline float lowest_of(const float* block) {
  vf low = simd::load(block);
  for (int64_t i = kLanes; i < kKvBlock; i += kLanes) low = simd::min(simd::load(block + i), low);
  return -highest_lane(simd::zero() - low);
}
inline float highest_of(const float* block) {
  vf high = simd::load(block);
  for (int64_t i = kLanes; i < kKvBlock; i += kLanes) high = simd::max(simd::load(block + i), high);
  return highest_lane(high);
}

// A block's offset is its lowest value, its scale a fifteenth of the range; both are rounded to
// halves before the codes are made. factors: [scale, offset][blocks][kKvPageLen].
void store_q4(const float* x, int64_t n, uint8_t* codes, int64_t step, uint16_t* factors) {
  const int64_t to_offset = kv_blocks(n) * kKvPageLen;
  for_blocks(x, n, x[n - 1], [&](int64_t i, int64_t count, const float* block) {
    // Plus 0: no -0, so that the order of zeros is no matter. The range of halves of the numbers:
    // their own may be more than a float holds.
    const float low = lowest_of(block);
    const uint16_t scale = finite_half((highest_of(block) * 0.5f - low * 0.5f + 0.0f) / 7.5f);
    const uint16_t offset = finite_half(low + 0.0f);
    uint16_t* to = factors + i / kKvBlock * kKvPageLen;
    to[0] = scale;
    to[to_offset] = offset;
    const float size = block::half_to_float(scale);
    const vf inverse = simd::broadcast(size == 0.0f ? 0.0f : 1.0f / size);
    const vf from = simd::broadcast(block::half_to_float(offset));
    int8_t rounded[kKvBlock];
    round_block(rounded, [&](int64_t at) {
      const vf code = (simd::load(block + at) - from) * inverse;
      return simd::min(simd::broadcast(15.0f), simd::max(simd::zero(), code));
    });
    uint8_t nibbles[kKvBlock / 2];
    for (int64_t j = 0; j < kKvBlock / 2; ++j) {
      const int8_t* pair = rounded + j / 8 * 16 + j % 8;
      nibbles[j] = static_cast<uint8_t>((pair[0] & 15) | pair[8] << 4);
    }
    spread(nibbles, kv_nibble_row(count), step, codes + i / 2 * step);
  });
}

void store_key(KvType type, const float* x, int64_t n, void* slab, int64_t slot) noexcept {
  auto* codes = static_cast<uint8_t*>(slab);
  uint8_t* factors = codes + kv_codes_bytes(type, n);
  switch (type) {
    case KvType::f32:
      spread(x, n, kKvPageLen, static_cast<float*>(slab) + slot);
      break;
    case KvType::f16:
      store_f16(x, n, static_cast<uint16_t*>(slab) + slot, kKvPageLen);
      break;
    case KvType::q8:
      store_key_q8(x, n, reinterpret_cast<int8_t*>(codes) + slot,
                   reinterpret_cast<uint16_t*>(factors) + slot);
      break;
    case KvType::q4:
      store_q4(x, n, codes + slot, kKvPageLen, reinterpret_cast<uint16_t*>(factors) + slot);
      break;
  }
}

void store_value(KvType type, const float* x, int64_t n, void* slab, int64_t slot) noexcept {
  auto* codes = static_cast<uint8_t*>(slab);
  uint8_t* factors = codes + kv_codes_bytes(type, n);
  switch (type) {
    case KvType::f32:
      spread(x, n, 1, static_cast<float*>(slab) + slot * n);
      break;
    case KvType::f16:
      store_f16(x, n, static_cast<uint16_t*>(slab) + slot * n, 1);
      break;
    case KvType::q8:
      store_value_q8(x, n, reinterpret_cast<int8_t*>(codes) + slot * n,
                     reinterpret_cast<float*>(factors) + slot);
      break;
    case KvType::q4:
      store_q4(x, n, codes + slot * kv_nibble_row(n), 1,
               reinterpret_cast<uint16_t*>(factors) + slot);
      break;
  }
}

// ---- reading ----

// kWide elements as floats.
struct WideF32 {
  static constexpr int64_t kBytes = 4;
  static constexpr bool kScaled = false;
  static wf load(const uint8_t* p) { return simd::wide_loadf(reinterpret_cast<const float*>(p)); }
};
struct WideF16 {
  static constexpr int64_t kBytes = 2;
  static constexpr bool kScaled = false;
  static wf load(const uint8_t* p) { return simd::wide_halves(p); }
};
struct WideI8 {
  static constexpr int64_t kBytes = 1;
  static constexpr bool kScaled = false;
  static wf load(const uint8_t* p) { return simd::wide_int8s(reinterpret_cast<const int8_t*>(p)); }
};
// Sums over kKvBlock rows are still to be multiplied with the scales of their columns.
template <class W>
struct Scaled : W {
  static constexpr bool kScaled = true;
};

// Of the block of rows that k belongs to, the scales of kWide columns. scales: half
// [blocks][kKvPageLen] from the first of these columns on.
inline wf block_scale(const uint8_t* scales, int64_t k) {
  return simd::wide_halves(scales + k / kKvBlock * kKvPageLen * 2);
}

// n rows of `columns` <= kColumns elements -> tile [n, kColumns] floats, zeros behind them.
template <class W>
inline void as_floats(const uint8_t* b, int64_t b_stride, int64_t n, int64_t columns, float* tile) {
  for (int64_t k = 0; k < n; ++k, b += b_stride, tile += kColumns) {
    uint8_t padded[kColumns * 4];
    const uint8_t* from = b;
    if (columns < kColumns) {
      std::memset(padded, 0, sizeof(padded));
      std::memcpy(padded, b, static_cast<size_t>(columns * W::kBytes));
      from = padded;
    }
    for (int64_t v = 0; v < kColumns; v += kWide) {
      simd::wide_storef(tile + v, W::load(from + v * W::kBytes));
    }
  }
}

// Positions lo <= p < hi of one page that some row attends to, as offsets into it.
struct PageSpan {
  const uint8_t* keys;    // slab of head_dim_k
  const uint8_t* values;  // slab of head_dim_v
  int64_t start;          // position of the page's first
  int64_t lo;
  int64_t hi;
};

// How a type of slab is read. kDirect: products may take rows straight from the slab, as Key and
// Value; KeyTile: what key_tile() makes; kScaled: values are codes, and there is a scale for each
// position.
template <class W>
struct ReadElements {
  using Key = W;
  using KeyTile = WideF32;
  using Value = W;
  static constexpr bool kDirect = true;
  static constexpr bool kScaled = false;

  // Keys p .. p + kColumns -> tile [head_dim_k, kColumns]
  static void key_tile(const AttendArgs& a, const PageSpan& page, int64_t p, float* tile) {
    as_floats<W>(page.keys + p * W::kBytes, kKvPageLen * W::kBytes, a.head_dim_k, kColumns, tile);
  }
  // Dimensions d .. d + kColumns of the span's values -> tile [hi - lo, kColumns]
  static void value_tile(const AttendArgs& a, const PageSpan& page, int64_t d, float* tile) {
    const int64_t stride = a.head_dim_v * W::kBytes;
    as_floats<W>(page.values + page.lo * stride + d * W::kBytes, stride, page.hi - page.lo,
                 at_most(a.head_dim_v - d, kColumns), tile);
  }
};
using ReadF32 = ReadElements<WideF32>;
using ReadF16 = ReadElements<WideF16>;

struct ReadQ8 : ReadElements<WideI8> {
  using Key = Scaled<WideI8>;
  using KeyTile = Scaled<WideF32>;
  static constexpr bool kScaled = true;
};

// 8 bytes -> their low and their high halves.
inline void split_nibbles(const uint8_t* bytes, int8_t* low, int8_t* high) {
  constexpr uint64_t kLow = 0x0f0f0f0f0f0f0f0f;
  uint64_t x;
  std::memcpy(&x, bytes, sizeof(x));
  const uint64_t halves[2] = {x & kLow, x >> 4 & kLow};
  std::memcpy(low, halves, sizeof(x));
  std::memcpy(high, halves + 1, sizeof(x));
}

struct ReadQ4 {
  using Key = WideF32;
  using KeyTile = WideF32;
  using Value = WideF32;
  static constexpr bool kDirect = false;
  static constexpr bool kScaled = false;

  static void key_tile(const AttendArgs& a, const PageSpan& page, int64_t p, float* tile) {
    const int64_t blocks = kv_blocks(a.head_dim_k);
    const uint8_t* factors = page.keys + kv_codes_bytes(KvType::q4, a.head_dim_k) + p * 2;
    for (int64_t row = 0; row < kv_nibble_row(a.head_dim_k); ++row) {
      const uint8_t* scale = factors + row * 2 / kKvBlock * kKvPageLen * 2;
      const uint8_t* offset = scale + blocks * kKvPageLen * 2;
      const uint8_t* bytes = page.keys + row * kKvPageLen + p;
      int8_t codes[2][kColumns];
      for (int64_t j = 0; j < kColumns; j += 8) {
        split_nibbles(bytes + j, codes[0] + j, codes[1] + j);
      }
      float* to = tile + (row / 8 * 16 + row % 8) * kColumns;
      for (int64_t v = 0; v < kColumns; v += kWide) {
        const wf size = simd::wide_halves(scale + v * 2);
        const wf low = simd::wide_halves(offset + v * 2);
        for (int64_t half = 0; half < 2; ++half) {
          const wf code = simd::wide_int8s(codes[half] + v);
          simd::wide_storef(to + 8 * half * kColumns + v, simd::wide_fma(code, size, low));
        }
      }
    }
  }

  static void value_tile(const AttendArgs& a, const PageSpan& page, int64_t d, float* tile) {
    const int64_t stride = kv_nibble_row(a.head_dim_v);
    const uint8_t* factors =
        page.values + kv_codes_bytes(KvType::q4, a.head_dim_v) + d / kKvBlock * kKvPageLen * 2;
    float scale[kKvPageLen];
    float offset[kKvPageLen];
    for (int64_t p = 0; p < kKvPageLen; p += kLanes) {
      simd::store(scale + p, simd::load_f16(factors + p * 2));
      simd::store(offset + p,
                  simd::load_f16(factors + (kv_blocks(a.head_dim_v) * kKvPageLen + p) * 2));
    }
    const int64_t count = at_most(stride - d / 2, kColumns / 2);  // bytes
    int8_t codes[kColumns] = {};
    for (int64_t p = page.lo; p < page.hi; ++p, tile += kColumns) {
      const uint8_t* bytes = page.values + p * stride + d / 2;
      for (int64_t j = 0; j < count; j += 8) {
        split_nibbles(bytes + j, codes + 2 * j, codes + 2 * j + 8);
      }
      const wf size = simd::wide_broadcast(scale[p]);
      const wf low = simd::wide_broadcast(offset[p]);
      for (int64_t v = 0; v < kColumns; v += kWide) {
        simd::wide_storef(tile + v, simd::wide_fma(simd::wide_int8s(codes + v), size, low));
      }
    }
  }
};

}  // namespace
}  // namespace nibble
