#pragma once
// Attention of the query heads that share one key/value head.
//
// Pages are taken in order of position. A page's scores are a tile of dot products, its values a
// weighted sum that starts from the running result; the running maximum and total are corrected
// once a page. Up to 4 query heads share each load of a key or value. A result depends only on
// which positions are attended to, never on how many heads share a load.
#include "quant/kernels/matmul.inl"

namespace nibble {
namespace {

void store_kv(KvType type, const float* x, int64_t n, void* out) noexcept {
  if (type == KvType::f32) {
    std::memcpy(out, x, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  auto* p = static_cast<uint8_t*>(out);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) simd::store_f16(p + 2 * i, simd::load(x + i));
  if (i < n) {
    uint8_t padded[2 * kLanes];
    simd::store_f16(padded, load_some(x + i, n - i));
    std::memcpy(p + 2 * i, padded, static_cast<size_t>(2 * (n - i)));
  }
}

// Scratch: scores [group][kKvPageLen], then maximum, total, correction [group].
int64_t attend_scratch(int64_t group, int64_t) noexcept {
  return group * (kKvPageLen + 3);
}

struct AttendState {
  float* scores;
  float* peak;
  float* total;
  float* correction;
};

// Positions lo <= p < hi of one page, as offsets into it.
struct PageSpan {
  const uint8_t* keys;
  const uint8_t* values;
  int64_t lo;
  int64_t hi;
};

// Dot products of G query heads with P positions from p on; positions past the last repeat it.
template <class W, int G, int P>
inline void score_tile(const AttendArgs& a, const PageSpan& page, int64_t g, int64_t p,
                       float* scores) {
  static_assert(G * P <= 8);
  const int64_t dim = a.head_dim_k;
  const uint8_t* key[P];
  for (int j = 0; j < P; ++j) {
    key[j] = page.keys + at_most(p + j, page.hi - 1) * dim * W::kBytes;
  }
  const float* q = a.q + g * dim;
  vf acc[8];
  for (vf& v : acc) v = simd::zero();
  int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
#pragma GCC unroll simd::kUnroll
    for (int j = 0; j < P; ++j) {
      const vf k = W::load(key[j] + d * W::kBytes);
#pragma GCC unroll simd::kUnroll
      for (int i = 0; i < G; ++i) {
        acc[i * P + j] = simd::fma(k, simd::load(q + i * dim + d), acc[i * P + j]);
      }
    }
  }
  if (d < dim) {
#pragma GCC unroll simd::kUnroll
    for (int j = 0; j < P; ++j) {
      const vf k = load_some_of<W>(key[j] + d * W::kBytes, dim - d);
#pragma GCC unroll simd::kUnroll
      for (int i = 0; i < G; ++i) {
        acc[i * P + j] = simd::fma(k, load_some(q + i * dim + d, dim - d), acc[i * P + j]);
      }
    }
  }
  float sums[8];
  simd::store(sums, simd::sum_each(acc));
  for (int i = 0; i < G; ++i) {
    for (int j = 0; j < P && p + j < page.hi; ++j) {
      scores[(g + i) * kKvPageLen + p + j] = sums[i * P + j];
    }
  }
}

template <class W, int G>
inline void page_scores(const AttendArgs& a, const PageSpan& page, int64_t g, float* scores) {
  constexpr int kPositions = G == 1 ? 8 : (G == 2 ? 4 : 2);
  for (int64_t p = page.lo; p < page.hi; p += kPositions) {
    score_tile<W, G, kPositions>(a, page, g, p, scores);
  }
}

// out[g][d ...] = out * correction + sum over positions of weight * value, for G heads and V
// vectors from element d on; n elements of the last vector exist.
template <class W, int G, int V>
inline void value_tile(const AttendArgs& a, const PageSpan& page, const AttendState& s, int64_t g,
                       int64_t d, int64_t n) {
  const int64_t dim = a.head_dim_v;
  vf acc[G][V];
  for (int i = 0; i < G; ++i) {
    const float* out = a.out + (g + i) * dim + d;
    const vf correction = simd::broadcast(s.correction[g + i]);
    for (int v = 0; v < V; ++v) {
      const vf old = n < kLanes ? load_some(out, n) : simd::load(out + v * kLanes);
      acc[i][v] = old * correction;
    }
  }
  for (int64_t p = page.lo; p < page.hi; ++p) {
    const uint8_t* value = page.values + (p * dim + d) * W::kBytes;
#pragma GCC unroll simd::kUnroll
    for (int v = 0; v < V; ++v) {
      const vf x = n < kLanes ? load_some_of<W>(value, n) : W::load(value + v * kLanes * W::kBytes);
#pragma GCC unroll simd::kUnroll
      for (int i = 0; i < G; ++i) {
        const vf weight = simd::broadcast(s.scores[(g + i) * kKvPageLen + p]);
        acc[i][v] = simd::fma(weight, x, acc[i][v]);
      }
    }
  }
  for (int i = 0; i < G; ++i) {
    float* out = a.out + (g + i) * dim + d;
    for (int v = 0; v < V; ++v) {
      if (n < kLanes) {
        store_some(out, acc[i][v], n);
      } else {
        simd::store(out + v * kLanes, acc[i][v]);
      }
    }
  }
}

template <class W, int G>
inline void page_values(const AttendArgs& a, const PageSpan& page, const AttendState& s,
                        int64_t g) {
  int64_t d = 0;
  for (; d + 2 * kLanes <= a.head_dim_v; d += 2 * kLanes) {
    value_tile<W, G, 2>(a, page, s, g, d, kLanes);
  }
  for (; d < a.head_dim_v; d += kLanes) {
    value_tile<W, G, 1>(a, page, s, g, d, at_most(a.head_dim_v - d, kLanes));
  }
}

// Scores of one head and page -> weights in their place; updates maximum, total and correction.
inline void page_softmax(const AttendArgs& a, const PageSpan& page, const AttendState& s,
                         int64_t g) {
  float* scores = s.scores + g * kKvPageLen;
  // Lanes outside of the span stand for positions that are not attended to.
  for (int64_t p = 0; p < page.lo; ++p) scores[p] = -__builtin_inff();
  for (int64_t p = page.hi; p < kKvPageLen; ++p) scores[p] = -__builtin_inff();
  const vf scale = simd::broadcast(a.scale);
  vf high = simd::broadcast(s.peak[g]);
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
  float lanes[kLanes];
  simd::store(lanes, exp(simd::broadcast(s.peak[g] - peak)));
  s.correction[g] = lanes[0];
  s.total[g] = s.total[g] * lanes[0] + sum_lanes(total);
  s.peak[g] = peak;
}

template <class W, int G>
inline void attend_page(const AttendArgs& a, const PageSpan& page, const AttendState& s,
                        int64_t g) {
  page_scores<W, G>(a, page, g, s.scores);
  for (int64_t i = g; i < g + G; ++i) page_softmax(a, page, s, i);
  page_values<W, G>(a, page, s, g);
}

template <class W>
void attend_typed(const AttendArgs& a, const AttendState& s) {
  const int64_t first = a.pos_begin / kKvPageLen;
  for (int64_t p = first; p * kKvPageLen < a.pos_end; ++p) {
    const auto* base = static_cast<const uint8_t*>(a.pages[p]);
    const int64_t start = p * kKvPageLen;
    const PageSpan page = {base + a.k_offset, base + a.v_offset,
                           a.pos_begin > start ? a.pos_begin - start : 0,
                           at_most(a.pos_end - start, kKvPageLen)};
    int64_t g = 0;
    for (; g + simd::kTile <= a.group; g += simd::kTile) attend_page<W, simd::kTile>(a, page, s, g);
    if constexpr (simd::kTile > 1) {
      if (a.group - g == 3) attend_page<W, 3>(a, page, s, g);
      if (a.group - g == 2) attend_page<W, 2>(a, page, s, g);
      if (a.group - g == 1) attend_page<W, 1>(a, page, s, g);
    }
  }
}

void attend(const AttendArgs& a, float* scratch) noexcept {
  float* rest = scratch + a.group * kKvPageLen;
  const AttendState s = {scratch, rest, rest + a.group, rest + 2 * a.group};
  std::memset(a.out, 0, static_cast<size_t>(a.group * a.head_dim_v) * sizeof(float));
  if (a.pos_begin >= a.pos_end) return;
  for (int64_t g = 0; g < a.group; ++g) {
    s.peak[g] = -3.0e38f;  // finite, so that the first correction is e^-huge = 0
    s.total[g] = 0.0f;
  }
  if (a.kv_type == KvType::f16) {
    attend_typed<FloatF16>(a, s);
  } else {
    attend_typed<FloatF32>(a, s);
  }
  for (int64_t g = 0; g < a.group; ++g) {
    const vf total = simd::broadcast(s.total[g]);
    float* out = a.out + g * a.head_dim_v;
    map(out, out, a.head_dim_v, out, [=](vf v, vf) { return v / total; });
  }
}

}  // namespace
}  // namespace nibble
