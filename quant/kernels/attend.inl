#pragma once
// Attention of a run of rows, and the query heads of each, over one key/value head.
//
// Keys lie transposed in their page, [head_dim][position], so scores and weighted values are the
// same small product: Q queries x 16 columns, one step of the sum a load of two vectors that all
// queries share. Every lane is one output, added up in order of the head's dimensions or of the
// positions, so a result does not depend on what it shares the loads with.
//
// Positions are taken in splits of kSplitLen; each starts from nothing, page by page with a running
// maximum, and splits are merged in order. So one thread may do all of them or several threads one
// each, with the same bits.
#include "quant/kernels/matmul.inl"

namespace nibble {
namespace {

constexpr int64_t kColumns = 2 * kLanes;               // of a small product
constexpr int kMostQueries = simd::kTile > 1 ? 6 : 2;  // that share a load: what the registers hold
constexpr int64_t kManyQueries = 8;  // from here on a page is converted to floats once for all

void store_key(KvType type, const float* x, int64_t n, void* slab, int64_t slot) noexcept {
  if (type == KvType::f32) {
    auto* out = static_cast<float*>(slab) + slot;  // [n, kKvPageLen]
    for (int64_t i = 0; i < n; ++i) out[i * kKvPageLen] = x[i];
    return;
  }
  auto* out = static_cast<uint16_t*>(slab) + slot;
  uint16_t halves[kLanes];
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = at_most(n - i, kLanes);
    simd::store_f16(halves, count == kLanes ? simd::load(x + i) : load_some(x + i, count));
    for (int64_t j = 0; j < count; ++j) out[(i + j) * kKvPageLen] = halves[j];
  }
}

void store_value(KvType type, const float* x, int64_t n, void* slab, int64_t slot) noexcept {
  if (type == KvType::f32) {
    std::memcpy(static_cast<float*>(slab) + slot * n, x, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  auto* out = static_cast<uint16_t*>(slab) + slot * n;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) simd::store_f16(out + i, simd::load(x + i));
  if (i < n) {
    uint16_t padded[kLanes];
    simd::store_f16(padded, load_some(x + i, n - i));
    std::memcpy(out + i, padded, static_cast<size_t>(2 * (n - i)));
  }
}

// What one thread works with, one array of floats after the other.
struct AttendScratch {
  int64_t acc_stride;
  float* tile;    // [max(dim_k, kKvPageLen), kColumns]  keys or values as floats
  float* scores;  // [queries, kKvPageLen]
  float* acc;     // [queries, acc_stride]  of this split
  float* merged;  // [queries, acc_stride]  of the splits before
  float* peak;    // [queries] of this split, and so the next two
  float* total;
  float* correction;
  float* merged_peak;  // [queries] of the splits before
  float* merged_total;

  static int64_t padded(int64_t dim_v) { return (dim_v + kColumns - 1) / kColumns * kColumns; }
  static int64_t tile_floats(int64_t dim_k) {
    return (dim_k > kKvPageLen ? dim_k : kKvPageLen) * kColumns;
  }

  AttendScratch(float* p, int64_t queries, int64_t dim_k, int64_t dim_v)
      : acc_stride(padded(dim_v)),
        tile(p),
        scores(tile + tile_floats(dim_k)),
        acc(scores + queries * kKvPageLen),
        merged(acc + queries * acc_stride),
        peak(merged + queries * acc_stride),
        total(peak + queries),
        correction(total + queries),
        merged_peak(correction + queries),
        merged_total(merged_peak + queries) {}
};

int64_t attend_scratch(int64_t rows, int64_t group, int64_t dim_k, int64_t dim_v) noexcept {
  const int64_t a_query = kKvPageLen + 2 * AttendScratch::padded(dim_v) + 5;
  return AttendScratch::tile_floats(dim_k) + rows * group * a_query;
}

// ---- the small product ----

// c[q] [kColumns] = correction[q] * c[q] + sum over k < n of a[q][k] * b[k] [kColumns]; kFresh
// starts from zero. b is rows of W, b_stride bytes apart.
template <class W, int Q, bool kFresh>
inline void multiply(const float* const* a, const uint8_t* b, int64_t b_stride, int64_t n, float* c,
                     int64_t c_stride, const float* correction) {
  vf acc[Q][2];
  for (int q = 0; q < Q; ++q) {
    for (int v = 0; v < 2; ++v) {
      acc[q][v] = kFresh
                      ? simd::zero()
                      : simd::load(c + q * c_stride + v * kLanes) * simd::broadcast(correction[q]);
    }
  }
  const float* in[Q];
  for (int q = 0; q < Q; ++q) in[q] = a[q];
  for (int64_t k = 0; k < n; ++k, b += b_stride) {
    const vf low = W::load(b);
    const vf high = W::load(b + kLanes * W::kBytes);
#pragma GCC unroll simd::kUnroll
    for (int q = 0; q < Q; ++q) {
      const vf x = simd::broadcast(in[q][k]);
      acc[q][0] = simd::fma(x, low, acc[q][0]);
      acc[q][1] = simd::fma(x, high, acc[q][1]);
    }
  }
  for (int q = 0; q < Q; ++q) {
    for (int v = 0; v < 2; ++v) simd::store(c + q * c_stride + v * kLanes, acc[q][v]);
  }
}

// The same for any number of queries.
template <class W, bool kFresh>
inline void multiply_all(const float* const* a, int64_t queries, const uint8_t* b, int64_t b_stride,
                         int64_t n, float* c, int64_t c_stride, const float* correction) {
  int64_t q = 0;
  for (; q + kMostQueries <= queries; q += kMostQueries) {
    multiply<W, kMostQueries, kFresh>(a + q, b, b_stride, n, c + q * c_stride, c_stride,
                                      correction + q);
  }
  const auto rest = [&]<int Q>() {
    multiply<W, Q, kFresh>(a + q, b, b_stride, n, c + q * c_stride, c_stride, correction + q);
  };
  if constexpr (kMostQueries == 6) {
    if (queries - q == 5) rest.template operator()<5>();
    if (queries - q == 4) rest.template operator()<4>();
    if (queries - q == 3) rest.template operator()<3>();
    if (queries - q == 2) rest.template operator()<2>();
  }
  if (queries - q == 1) rest.template operator()<1>();
}

// n rows of `columns` <= kColumns elements -> tile [n, kColumns] floats, zeros behind them.
template <class W>
inline const uint8_t* as_floats(const uint8_t* b, int64_t b_stride, int64_t n, int64_t columns,
                                float* tile) {
  for (int64_t k = 0; k < n; ++k, b += b_stride) {
    for (int64_t v = 0; v < 2; ++v) {
      const int64_t count = at_most(columns - v * kLanes, kLanes);
      const uint8_t* from = b + v * kLanes * W::kBytes;
      vf x = simd::zero();
      if (count == kLanes) {
        x = W::load(from);
      } else if (count > 0) {
        x = load_some_of<W>(from, count);
      }
      simd::store(tile + k * kColumns + v * kLanes, x);
    }
  }
  return reinterpret_cast<const uint8_t*>(tile);
}

// ---- one page ----

// Positions lo <= p < hi of one page that some row attends to, as offsets into it.
struct PageSpan {
  const uint8_t* keys;    // [head_dim_k, kKvPageLen]
  const uint8_t* values;  // [kKvPageLen, head_dim_v]
  int64_t start;          // position of the page's first
  int64_t lo;
  int64_t hi;
};

constexpr int64_t kTileStride = kColumns * static_cast<int64_t>(sizeof(float));

template <class W>
inline void page_scores(const AttendArgs& a, const PageSpan& page, const AttendScratch& s,
                        const float* const* q) {
  const int64_t queries = a.rows * a.group;
  constexpr int64_t kStride = kKvPageLen * W::kBytes;
  for (int64_t p = page.lo / kColumns * kColumns; p < page.hi; p += kColumns) {
    const uint8_t* keys = page.keys + p * W::kBytes;
    if (queries >= kManyQueries) {
      const uint8_t* tile = as_floats<W>(keys, kStride, a.head_dim_k, kColumns, s.tile);
      multiply_all<FloatF32, true>(q, queries, tile, kTileStride, a.head_dim_k, s.scores + p,
                                   kKvPageLen, s.correction);
    } else {
      multiply_all<W, true>(q, queries, keys, kStride, a.head_dim_k, s.scores + p, kKvPageLen,
                            s.correction);
    }
  }
}

template <class W>
inline void page_values(const AttendArgs& a, const PageSpan& page, const AttendScratch& s,
                        const float* const* weights) {
  const int64_t queries = a.rows * a.group;
  const int64_t n = page.hi - page.lo;
  const int64_t stride = a.head_dim_v * W::kBytes;
  for (int64_t d = 0; d < a.head_dim_v; d += kColumns) {
    const uint8_t* values = page.values + page.lo * stride + d * W::kBytes;
    const int64_t columns = at_most(a.head_dim_v - d, kColumns);
    if (queries >= kManyQueries || columns < kColumns) {
      const uint8_t* tile = as_floats<W>(values, stride, n, columns, s.tile);
      multiply_all<FloatF32, false>(weights, queries, tile, kTileStride, n, s.acc + d, s.acc_stride,
                                    s.correction);
    } else {
      multiply_all<W, false>(weights, queries, values, stride, n, s.acc + d, s.acc_stride,
                             s.correction);
    }
  }
}

// First position that row attends to, and one past the last.
inline int64_t row_begin(const AttendArgs& a, int64_t row) {
  const int64_t begin = a.pos + row + 1 - a.window;
  return a.window > 0 && begin > 0 ? begin : 0;
}
inline int64_t row_end(const AttendArgs& a, int64_t row) {
  return a.pos + row + 1;
}

// Scores of one query and page -> weights in their place; updates peak, total and correction.
inline void page_softmax(const AttendArgs& a, const PageSpan& page, const AttendScratch& s,
                         int64_t query) {
  float* scores = s.scores + query * kKvPageLen;
  const int64_t row = query / a.group;
  const int64_t lo = row_begin(a, row) - page.start;
  const int64_t hi = row_end(a, row) - page.start;
  // What the row does not attend to, and what was not computed.
  for (int64_t p = 0; p < at_most(lo, kKvPageLen); ++p) scores[p] = -__builtin_inff();
  for (int64_t p = hi > 0 ? hi : 0; p < kKvPageLen; ++p) scores[p] = -__builtin_inff();
  const vf scale = simd::broadcast(a.scale);
  vf high = simd::broadcast(s.peak[query]);
  for (int64_t p = 0; p < kKvPageLen; p += kLanes) {
    vf x = simd::load(scores + p) * scale;
    if (a.softcap > 0) {
      // tanh would turn -infinity into -softcap.
      x = simd::if_less(simd::broadcast(-__builtin_inff()), x, capped(x, a.softcap), x);
    }
    simd::store(scores + p, x);
    high = simd::max(x, high);
  }
  const float peak = highest_lane(high);
  vf total = simd::zero();
  for (int64_t p = 0; p < kKvPageLen; p += kLanes) {
    const vf weight = exp(simd::load(scores + p) - simd::broadcast(peak));
    simd::store(scores + p, weight);
    total = total + weight;
  }
  const float correction = exp_of(s.peak[query] - peak);
  s.correction[query] = correction;
  s.total[query] = s.total[query] * correction + sum_lanes(total);
  s.peak[query] = peak;
}

// ---- splits ----

constexpr float kNoPeak = -3.0e38f;  // finite, so that the first correction is e^-huge = 0

template <class W>
inline void attend_split(const AttendArgs& a, int64_t split, const AttendScratch& s) {
  const int64_t queries = a.rows * a.group;
  const int64_t begin = row_begin(a, 0);
  const int64_t end = row_end(a, a.rows - 1);
  const float* q[kMostAttendQueries];
  const float* weights[kMostAttendQueries];
  for (int64_t i = 0; i < queries; ++i) {
    q[i] = a.q + i / a.group * a.q_stride + i % a.group * a.head_dim_k;
    s.peak[i] = kNoPeak;
    s.total[i] = 0.0f;
  }
  std::memset(s.acc, 0, static_cast<size_t>(queries * s.acc_stride) * sizeof(float));
  constexpr int64_t kSplitPages = kSplitLen / kKvPageLen;
  for (int64_t p = split * kSplitPages; p < (split + 1) * kSplitPages; ++p) {
    const int64_t start = p * kKvPageLen;
    if (start >= end || start + kKvPageLen <= begin) continue;
    const auto* base = static_cast<const uint8_t*>(a.pages[p]);
    const PageSpan page = {base + a.k_offset, base + a.v_offset, start,
                           begin > start ? begin - start : 0, at_most(end - start, kKvPageLen)};
    page_scores<W>(a, page, s, q);
    for (int64_t i = 0; i < queries; ++i) {
      page_softmax(a, page, s, i);
      weights[i] = s.scores + i * kKvPageLen + page.lo;
    }
    page_values<W>(a, page, s, weights);
  }
}

// to += from, each an unnormalized sum with its peak and total.
inline void merge(const float* from, float from_peak, float from_total, int64_t n, float* to,
                  float* to_peak, float* to_total) {
  const float peak = from_peak > *to_peak ? from_peak : *to_peak;
  const float old_part = exp_of(*to_peak - peak);
  const float new_part = exp_of(from_peak - peak);
  const vf keep = simd::broadcast(old_part);
  const vf add = simd::broadcast(new_part);
  map(to, from, n, to, [=](vf x, vf y) { return simd::fma(y, add, x * keep); });
  *to_total = *to_total * old_part + from_total * new_part;
  *to_peak = peak;
}

inline void finish(const float* sum, float total, int64_t n, float* out) {
  const vf by = simd::broadcast(total);
  map(sum, sum, n, out, [=](vf v, vf) { return v / by; });
}

template <class W>
void attend_typed(const AttendArgs& a, const AttendScratch& s) {
  const int64_t queries = a.rows * a.group;
  const int64_t first = row_begin(a, 0) / kSplitLen;
  const int64_t last = (row_end(a, a.rows - 1) - 1) / kSplitLen;
  for (int64_t i = 0; i < queries; ++i) {
    s.merged_peak[i] = kNoPeak;
    s.merged_total[i] = 0.0f;
  }
  std::memset(s.merged, 0, static_cast<size_t>(queries * s.acc_stride) * sizeof(float));
  for (int64_t split = first; split <= last; ++split) {
    attend_split<W>(a, split, s);
    for (int64_t i = 0; i < queries; ++i) {
      merge(s.acc + i * s.acc_stride, s.peak[i], s.total[i], a.head_dim_v,
            s.merged + i * s.acc_stride, s.merged_peak + i, s.merged_total + i);
    }
  }
  for (int64_t i = 0; i < queries; ++i) {
    finish(s.merged + i * s.acc_stride, s.merged_total[i], a.head_dim_v,
           a.out + i / a.group * a.out_stride + i % a.group * a.head_dim_v);
  }
}

void attend(const AttendArgs& a, float* scratch) noexcept {
  const AttendScratch s(scratch, a.rows * a.group, a.head_dim_k, a.head_dim_v);
  if (a.kv_type == KvType::f16) {
    attend_typed<FloatF16>(a, s);
  } else {
    attend_typed<FloatF32>(a, s);
  }
}

// One row's partial of one split: per head, sum [head_dim_v], peak, total.
void attend_partial(const AttendArgs& a, int64_t split, float* partial, float* scratch) noexcept {
  const AttendScratch s(scratch, a.group, a.head_dim_k, a.head_dim_v);
  if (a.kv_type == KvType::f16) {
    attend_split<FloatF16>(a, split, s);
  } else {
    attend_split<FloatF32>(a, split, s);
  }
  for (int64_t i = 0; i < a.group; ++i, partial += a.head_dim_v + 2) {
    std::memcpy(partial, s.acc + i * s.acc_stride, static_cast<size_t>(a.head_dim_v) * 4);
    partial[a.head_dim_v] = s.peak[i];
    partial[a.head_dim_v + 1] = s.total[i];
  }
}

void attend_merge(const float* partials, int64_t splits, int64_t stride, int64_t head_dim_v,
                  float* out) noexcept {
  float peak = kNoPeak;
  float total = 0.0f;
  std::memset(out, 0, static_cast<size_t>(head_dim_v) * sizeof(float));
  for (int64_t i = 0; i < splits; ++i) {
    const float* p = partials + i * stride;
    merge(p, p[head_dim_v], p[head_dim_v + 1], head_dim_v, out, &peak, &total);
  }
  finish(out, total, head_dim_v, out);
}

}  // namespace
}  // namespace nibble
