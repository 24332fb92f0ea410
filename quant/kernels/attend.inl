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
#include "quant/kernels/kv.inl"

namespace nibble {
namespace {

constexpr int kMostQueries = simd::kTile > 1 ? 6 : 2;  // that share a load: what the registers hold
constexpr int64_t kManyQueries = 8;  // from here on a page is converted to floats once for all

// What one thread works with, one array of floats after the other. Arrays of one float a query have
// room for whole vectors.
struct AttendScratch {
  int64_t acc_stride;
  int64_t slots;  // queries, in whole vectors
  float* tile;    // [max(dim_k, kKvPageLen), kColumns]  keys or values as floats
  float* scores;  // [queries, kKvPageLen]
  float* acc;     // [queries, acc_stride]  of this split
  float* merged;  // [queries, acc_stride]  of the splits before
  float* peak;    // [slots] of this split, and so the next four
  float* total;
  float* correction;
  float* page_peak;  // no lower than peak
  float* page_total;
  float* merged_peak;  // [slots] of the splits before
  float* merged_total;

  static int64_t padded(int64_t dim_v) { return (dim_v + kColumns - 1) / kColumns * kColumns; }
  static int64_t whole_vectors(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }
  static int64_t tile_floats(int64_t dim_k) {
    const int64_t rows = (dim_k + 15) / 16 * 16;  // q4 writes whole sixteens
    return (rows > kKvPageLen ? rows : kKvPageLen) * kColumns;
  }

  AttendScratch(float* p, int64_t queries, int64_t dim_k, int64_t dim_v)
      : acc_stride(padded(dim_v)),
        slots(whole_vectors(queries)),
        tile(p),
        scores(tile + tile_floats(dim_k)),
        acc(scores + queries * kKvPageLen),
        merged(acc + queries * acc_stride),
        peak(merged + queries * acc_stride),
        total(peak + slots),
        correction(total + slots),
        page_peak(correction + slots),
        page_total(page_peak + slots),
        merged_peak(page_total + slots),
        merged_total(merged_peak + slots) {}
};

int64_t attend_scratch(int64_t rows, int64_t group, int64_t dim_k, int64_t dim_v) noexcept {
  const int64_t queries = rows * group;
  return AttendScratch::tile_floats(dim_k) +
         queries * (kKvPageLen + 2 * AttendScratch::padded(dim_v)) +
         7 * AttendScratch::whole_vectors(queries);
}

// ---- the small product ----

// What a product reads and writes: c[q] [columns] = correction[q] * c[q] + sum over k < n of
// a[q][k] * b[k] [columns], columns a multiple of kColumns. b is rows of W, b_stride bytes apart.
// scales are those of block_scale(), where W has some: the sum of each kKvBlock rows is taken times
// theirs.
struct SmallProduct {
  const float* const* a;
  const uint8_t* b;
  int64_t b_stride;
  const uint8_t* scales;
  int64_t n;
  int64_t columns;
  float* c;
  int64_t c_stride;
  const float* correction;
};

// Vectors of columns that Q queries take at a time: enough sums at once that none is waited for.
template <int Q>
constexpr int kVectors = simd::kTile > 1 && Q <= 3 && kKvPageLen >= 4 * kWide
                             ? 4
                             : static_cast<int>(kColumns / kWide);

// acc[q][v] += sum over begin <= k < end of in[q][k] * row k of b's vector v.
template <class W, int Q, int V>
[[gnu::always_inline]] inline void add_rows(const float* const (&in)[Q], int64_t begin, int64_t end,
                                            const uint8_t* b, int64_t b_stride, wf (&acc)[Q][V]) {
  b += begin * b_stride;
  for (int64_t k = begin; k < end; ++k, b += b_stride) {
    // The fewer of the two stay in registers.
    if constexpr (Q < V) {
      wf x[Q];
#pragma GCC unroll simd::kUnroll
      for (int q = 0; q < Q; ++q) x[q] = simd::wide_broadcast(in[q][k]);
#pragma GCC unroll simd::kUnroll
      for (int v = 0; v < V; ++v) {
        const wf y = W::load(b + v * kWide * W::kBytes);
#pragma GCC unroll simd::kUnroll
        for (int q = 0; q < Q; ++q) acc[q][v] = simd::wide_fma(x[q], y, acc[q][v]);
      }
    } else {
      wf y[V];
#pragma GCC unroll simd::kUnroll
      for (int v = 0; v < V; ++v) y[v] = W::load(b + v * kWide * W::kBytes);
#pragma GCC unroll simd::kUnroll
      for (int q = 0; q < Q; ++q) {
        const wf x = simd::wide_broadcast(in[q][k]);
#pragma GCC unroll simd::kUnroll
        for (int v = 0; v < V; ++v) acc[q][v] = simd::wide_fma(x, y[v], acc[q][v]);
      }
    }
  }
}

// V vectors from column `at` on, of queries q0 .. q0 + Q; kFresh starts from zero.
template <class W, int Q, int V, bool kFresh>
inline void multiply(const SmallProduct& m, int64_t q0, int64_t at) {
  static_assert(kFresh || !W::kScaled);
  wf acc[Q][V];
  float* c = m.c + q0 * m.c_stride + at;
  const float* in[Q];
  for (int q = 0; q < Q; ++q) in[q] = m.a[q0 + q];
  const uint8_t* b = m.b + at * W::kBytes;
  const int64_t step = W::kScaled ? kKvBlock : m.n;
  int64_t k = 0;
  do {
    for (int q = 0; q < Q; ++q) {
      const float* sum = c + q * m.c_stride;
      const wf by = simd::wide_broadcast(kFresh ? 0.0f : m.correction[q0 + q]);
      for (int v = 0; v < V; ++v) {
        acc[q][v] = kFresh ? by : simd::wide_mul(simd::wide_loadf(sum + v * kWide), by);
      }
    }
    add_rows<W>(in, k, at_most(k + step, m.n), b, m.b_stride, acc);
    for (int v = 0; v < V; ++v) {
      wf scale = simd::wide_broadcast(1.0f);
      if constexpr (W::kScaled) scale = block_scale(m.scales + (at + v * kWide) * 2, k);
      for (int q = 0; q < Q; ++q) {
        float* to = c + q * m.c_stride + v * kWide;
        wf sum = acc[q][v];
        if constexpr (W::kScaled) {
          sum = k == 0 ? simd::wide_mul(sum, scale)
                       : simd::wide_fma(sum, scale, simd::wide_loadf(to));
        }
        simd::wide_storef(to, sum);
      }
    }
    k += step;
  } while (k < m.n);
}

// All columns, as many at a time as suits.
template <class W, int Q, bool kFresh>
inline void multiply_columns(const SmallProduct& m, int64_t q0) {
  constexpr int kFewest = static_cast<int>(kColumns / kWide);
  constexpr int kMost = kVectors<Q>;
  int64_t at = 0;
  if constexpr (kMost > kFewest) {
    for (; at + kMost * kWide <= m.columns; at += kMost * kWide) {
      multiply<W, Q, kMost, kFresh>(m, q0, at);
    }
  }
  for (; at < m.columns; at += kColumns) multiply<W, Q, kFewest, kFresh>(m, q0, at);
}

// The same for any number of queries.
template <class W, bool kFresh>
inline void multiply_all(const SmallProduct& m, int64_t queries) {
  int64_t q = 0;
  for (; q + kMostQueries <= queries; q += kMostQueries) {
    multiply_columns<W, kMostQueries, kFresh>(m, q);
  }
  if constexpr (kMostQueries == 6) {
    if (queries - q == 5) multiply_columns<W, 5, kFresh>(m, q);
    if (queries - q == 4) multiply_columns<W, 4, kFresh>(m, q);
    if (queries - q == 3) multiply_columns<W, 3, kFresh>(m, q);
    if (queries - q == 2) multiply_columns<W, 2, kFresh>(m, q);
  }
  if (queries - q == 1) multiply_columns<W, 1, kFresh>(m, q);
}

// ---- one page ----

constexpr int64_t kTileStride = kColumns * static_cast<int64_t>(sizeof(float));

inline const uint8_t* bytes_of(const float* tile) {
  return reinterpret_cast<const uint8_t*>(tile);
}

template <class R>
inline void page_scores(const AttendArgs& a, const PageSpan& page, const AttendScratch& s,
                        const float* const* q) {
  using W = typename R::Key;
  const int64_t queries = a.rows * a.group;
  const int64_t begin = page.lo / kColumns * kColumns;
  const int64_t end = (page.hi + kColumns - 1) / kColumns * kColumns;
  SmallProduct m = {q, nullptr, 0, nullptr, a.head_dim_k, 0, nullptr, kKvPageLen, nullptr};
  const uint8_t* scales = page.keys + kv_codes_bytes(a.kv_type, a.head_dim_k);
  if (R::kDirect && queries < kManyQueries) {
    m.b = page.keys + begin * W::kBytes;
    m.b_stride = kKvPageLen * W::kBytes;
    m.scales = scales + begin * 2;
    m.columns = end - begin;
    m.c = s.scores + begin;
    multiply_all<W, true>(m, queries);
    return;
  }
  m.b = bytes_of(s.tile);
  m.b_stride = kTileStride;
  m.columns = kColumns;
  for (int64_t p = begin; p < end; p += kColumns) {
    R::key_tile(a, page, p, s.tile);
    m.scales = scales + p * 2;
    m.c = s.scores + p;
    multiply_all<typename R::KeyTile, true>(m, queries);
  }
}

// First position that row attends to, and one past the last.
inline int64_t row_begin(const AttendArgs& a, int64_t row) {
  const int64_t begin = a.pos + row + 1 - a.window;
  return a.window > 0 && begin > 0 ? begin : 0;
}
inline int64_t row_end(const AttendArgs& a, int64_t row) {
  return a.seen > 0 ? a.seen : a.pos + row + 1;
}

// Weights of `queries` queries from query `first` on, of the positions of a span.
struct Weighed {
  int64_t first;
  int64_t queries;
  int64_t lo;
  int64_t hi;
};

// The span's values, weighed, are added to the sums of its queries.
template <class R>
inline void span_values(const AttendArgs& a, const PageSpan& page, const AttendScratch& s,
                        const Weighed& w) {
  using W = typename R::Value;
  const float* weights[kMostAttendQueries];
  for (int64_t i = 0; i < w.queries; ++i) {
    weights[i] = s.scores + (w.first + i) * kKvPageLen + w.lo;
  }
  SmallProduct m = {weights,
                    nullptr,
                    0,
                    nullptr,
                    w.hi - w.lo,
                    0,
                    s.acc + w.first * s.acc_stride,
                    s.acc_stride,
                    s.correction + w.first};
  int64_t d = 0;
  if (R::kDirect && w.queries < kManyQueries) {
    m.b_stride = a.head_dim_v * W::kBytes;
    m.b = page.values + w.lo * m.b_stride;
    m.columns = d = a.head_dim_v / kColumns * kColumns;
    multiply_all<W, false>(m, w.queries);
  }
  m.b = bytes_of(s.tile);
  m.b_stride = kTileStride;
  m.columns = kColumns;
  PageSpan span = page;
  span.lo = w.lo;
  span.hi = w.hi;
  for (; d < a.head_dim_v; d += kColumns) {
    R::value_tile(a, span, d, s.tile);
    m.c = s.acc + w.first * s.acc_stride + d;
    multiply_all<WideF32, false>(m, w.queries);
  }
}

// Rows that see all of what is read of the page share it. Where one does not, each takes its own
// part: a weight of 0 would not keep out a value that is no number.
template <class R>
inline void page_values(const AttendArgs& a, const PageSpan& page, const AttendScratch& s) {
  const int64_t last = a.rows - 1;
  const int64_t all_lo = row_begin(a, last) - page.start;
  const int64_t all_hi = row_end(a, 0) - page.start;
  if (all_lo <= page.lo && all_hi >= page.hi) {
    span_values<R>(a, page, s, {0, a.rows * a.group, page.lo, page.hi});
    return;
  }
  for (int64_t row = 0; row < a.rows; ++row) {
    const int64_t begin = row_begin(a, row) - page.start;
    const int64_t end = at_most(row_end(a, row) - page.start, page.hi);
    const int64_t lo = begin > page.lo ? begin : page.lo;
    const int64_t hi = end > lo ? end : lo;  // nothing: the sums are still corrected
    span_values<R>(a, page, s,
                   {row * a.group, a.group, at_most(lo, kKvPageLen), at_most(hi, kKvPageLen)});
  }
}

// Of a q8 slab of values, the scales of its positions.
inline const float* value_scales(const AttendArgs& a, const PageSpan& page) {
  return reinterpret_cast<const float*>(page.values + kv_codes_bytes(KvType::q8, a.head_dim_v));
}

// scores[p] += slope * (first + p), of one page. Distances are whole numbers, exact in a float.
inline void slope_scores(vf slope, float first, float* scores) {
  constexpr float kSteps[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7};
  vf distance = simd::load(kSteps) + simd::broadcast(first);
  for (int64_t p = 0; p < kKvPageLen; p += kLanes) {
    simd::store(scores + p, simd::fma(slope, distance, simd::load(scores + p)));
    distance = distance + simd::broadcast(static_cast<float>(kLanes));
  }
}

// Products of one query with a page's keys -> scores in their place; the highest of them and of
// what it was before. What the row does not attend to, where anything may stand, gets -infinity.
inline float score_page(const AttendArgs& a, const PageSpan& page, int64_t query, float peak,
                        float* scores) {
  const int64_t row = query / a.group;
  const vf scale = simd::broadcast(a.scale);
  for (int64_t p = 0; p < kKvPageLen; p += kLanes) {
    vf x = simd::load(scores + p) * scale;
    if (a.softcap > 0) x = capped(x, a.softcap);
    simd::store(scores + p, x);
  }
  if (a.slopes != nullptr) {
    const auto first = static_cast<float>(page.start - (a.pos + row));
    slope_scores(simd::broadcast(a.slopes[query % a.group]), first, scores);
  }
  const int64_t lo = row_begin(a, row) - page.start;
  const int64_t hi = row_end(a, row) - page.start;
  for (int64_t p = 0; p < at_most(lo, kKvPageLen); ++p) scores[p] = -__builtin_inff();
  for (int64_t p = hi > 0 ? hi : 0; p < kKvPageLen; ++p) scores[p] = -__builtin_inff();
  vf high = simd::broadcast(peak);
  for (int64_t p = 0; p < kKvPageLen; p += kLanes) high = simd::max(simd::load(scores + p), high);
  return highest_lane(high);
}

// Scores of one query and page -> what the values are multiplied with; the sum of the weights.
template <class R>
inline float weigh_page(const AttendArgs& a, const PageSpan& page, float peak, float* scores) {
  vf total = simd::zero();
  for (int64_t p = 0; p < kKvPageLen; p += kLanes) {
    vf weight = exp(simd::load(scores + p) - simd::broadcast(peak));
    total = total + weight;
    // Of positions outside the page's span there may be no scale; nor are they read.
    if constexpr (R::kScaled) weight = weight * simd::load(value_scales(a, page) + p);
    simd::store(scores + p, weight);
  }
  return sum_lanes(total);
}

// Scores -> weights; updates peak, total and correction of all queries.
template <class R>
inline void page_softmax(const AttendArgs& a, const PageSpan& page, const AttendScratch& s) {
  const int64_t queries = a.rows * a.group;
  for (int64_t i = 0; i < queries; ++i) {
    s.page_peak[i] = score_page(a, page, i, s.peak[i], s.scores + i * kKvPageLen);
  }
  for (int64_t i = 0; i < queries; ++i) {
    s.page_total[i] = weigh_page<R>(a, page, s.page_peak[i], s.scores + i * kKvPageLen);
  }
  for (int64_t i = 0; i < s.slots; i += kLanes) {
    const vf peak = simd::load(s.page_peak + i);
    const vf correction = exp(simd::load(s.peak + i) - peak);
    simd::store(s.correction + i, correction);
    simd::store(s.total + i, simd::load(s.total + i) * correction + simd::load(s.page_total + i));
    simd::store(s.peak + i, peak);
  }
}

// ---- splits ----

// A slab is read soon: the processor's own prefetching stops at the end of a memory page.
inline void ask_for(const uint8_t* slab, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(slab + i);
}

constexpr float kNoPeak = -3.0e38f;  // finite, so that the first correction is e^-huge = 0

template <class R>
inline void attend_split(const AttendArgs& a, int64_t split, const AttendScratch& s) {
  const int64_t queries = a.rows * a.group;
  const int64_t begin = row_begin(a, 0);
  const int64_t end = row_end(a, a.rows - 1);
  const float* q[kMostAttendQueries];
  for (int64_t i = 0; i < queries; ++i) {
    q[i] = a.q + i / a.group * a.q_stride + i % a.group * a.head_dim_k;
  }
  for (int64_t i = 0; i < s.slots; ++i) {
    s.peak[i] = s.page_peak[i] = kNoPeak;
    s.total[i] = s.page_total[i] = 0.0f;
  }
  std::memset(s.acc, 0, static_cast<size_t>(queries * s.acc_stride) * sizeof(float));
  constexpr int64_t kSplitPages = kSplitLen / kKvPageLen;
  for (int64_t p = split * kSplitPages; p < (split + 1) * kSplitPages; ++p) {
    const int64_t start = p * kKvPageLen;
    if (start >= end || start + kKvPageLen <= begin) continue;
    const auto* base = static_cast<const uint8_t*>(a.pages[p]);
    const PageSpan page = {base + a.k_offset, base + a.v_offset, start,
                           begin > start ? begin - start : 0, at_most(end - start, kKvPageLen)};
    const bool more = start + kKvPageLen < end;
    const auto* next = more ? static_cast<const uint8_t*>(a.pages[p + 1]) : nullptr;
    if (more) ask_for(next + a.k_offset, kv_key_bytes(a.kv_type, a.head_dim_k));
    page_scores<R>(a, page, s, q);
    if (more) ask_for(next + a.v_offset, kv_value_bytes(a.kv_type, a.head_dim_v));
    page_softmax<R>(a, page, s);
    page_values<R>(a, page, s);
  }
}

// What a head has seen before the first split: nothing but its sink, if it has one.
inline void begin_merging(const float* sink, float* peak, float* total) {
  *peak = sink != nullptr ? *sink : kNoPeak;
  *total = sink != nullptr ? 1.0f : 0.0f;
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

template <class R>
void attend_typed(const AttendArgs& a, const AttendScratch& s) {
  const int64_t queries = a.rows * a.group;
  const int64_t first = row_begin(a, 0) / kSplitLen;
  const int64_t last = (row_end(a, a.rows - 1) - 1) / kSplitLen;
  for (int64_t i = 0; i < queries; ++i) {
    const float* sink = a.sinks != nullptr ? a.sinks + i % a.group : nullptr;
    begin_merging(sink, s.merged_peak + i, s.merged_total + i);
  }
  std::memset(s.merged, 0, static_cast<size_t>(queries * s.acc_stride) * sizeof(float));
  for (int64_t split = first; split <= last; ++split) {
    attend_split<R>(a, split, s);
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
  switch (a.kv_type) {
    case KvType::f32:
      attend_typed<ReadF32>(a, s);
      break;
    case KvType::f16:
      attend_typed<ReadF16>(a, s);
      break;
    case KvType::q8:
      attend_typed<ReadQ8>(a, s);
      break;
    case KvType::q4:
      attend_typed<ReadQ4>(a, s);
      break;
  }
}

// One row's partial of one split: per head, sum [head_dim_v], peak, total.
void attend_partial(const AttendArgs& a, int64_t split, float* partial, float* scratch) noexcept {
  const AttendScratch s(scratch, a.group, a.head_dim_k, a.head_dim_v);
  switch (a.kv_type) {
    case KvType::f32:
      attend_split<ReadF32>(a, split, s);
      break;
    case KvType::f16:
      attend_split<ReadF16>(a, split, s);
      break;
    case KvType::q8:
      attend_split<ReadQ8>(a, split, s);
      break;
    case KvType::q4:
      attend_split<ReadQ4>(a, split, s);
      break;
  }
  for (int64_t i = 0; i < a.group; ++i, partial += a.head_dim_v + 2) {
    std::memcpy(partial, s.acc + i * s.acc_stride, static_cast<size_t>(a.head_dim_v) * 4);
    partial[a.head_dim_v] = s.peak[i];
    partial[a.head_dim_v + 1] = s.total[i];
  }
}

void attend_merge(const float* partials, int64_t splits, int64_t stride, int64_t head_dim_v,
                  const float* sink, float* out) noexcept {
  float peak, total;
  begin_merging(sink, &peak, &total);
  std::memset(out, 0, static_cast<size_t>(head_dim_v) * sizeof(float));
  for (int64_t i = 0; i < splits; ++i) {
    const float* p = partials + i * stride;
    merge(p, p[head_dim_v], p[head_dim_v + 1], head_dim_v, out, &peak, &total);
  }
  finish(out, total, head_dim_v, out);
}

}  // namespace
}  // namespace nibble
