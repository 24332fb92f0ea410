// Attention of every table against the double-precision reference.
#include <algorithm>
#include <memory>

#include "tests/support/catch.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/kernel_data.h"

using namespace nibble;
using namespace nibble::test;

namespace {

// The last row attends to [pos_begin, pos_end); the rows before it are one position behind each.
struct Shape {
  int64_t group;
  int64_t dim_k;
  int64_t dim_v;
  int64_t pos_begin;
  int64_t pos_end;
  float softcap;
  int64_t rows = 1;
  float slope = 0;     // ALiBi of the first head; the others' are parts of it
  bool ahead = false;  // all rows attend to all positions
  bool sinks = false;
};

constexpr KvType kTypes[] = {KvType::f32, KvType::f16, KvType::q8, KvType::q4};

// Queries, and pages of random keys and values; what no row attends to is NaN.
struct Case {
  Shape s;
  KvType type;
  std::vector<float> q;
  std::vector<float> slopes;  // [group]
  std::vector<float> sinks;   // [group]
  std::vector<std::unique_ptr<GuardedBuffer>> buffers;
  std::vector<const void*> pages;
  int64_t v_offset = 0;
  double largest_key = 0;
  double largest_value = 0;

  Case(Rng& rng, const Shape& shape, KvType t, Flush flush = Flush::end) : s(shape), type(t) {
    q = normal(rng, s.rows * s.group * s.dim_k);
    for (int64_t g = 0; g < s.group; ++g) slopes.push_back(s.slope / static_cast<float>(g + 1));
    sinks = normal(rng, s.group);
    sinks[0] = 20.0f;  // and one that takes nearly all
    v_offset = kv_key_bytes(type, s.dim_k);
    const int64_t bytes = v_offset + kv_value_bytes(type, s.dim_v);
    const int64_t first = std::max<int64_t>(0, s.pos_begin - (s.rows - 1));
    for (int64_t start = 0; start < s.pos_end; start += kKvPageLen) {
      buffers.push_back(std::make_unique<GuardedBuffer>(bytes, flush));
      uint8_t* page = buffers.back()->data();
      for (int64_t p = 0; p < kKvPageLen; ++p) {
        const bool seen = start + p >= first && start + p < s.pos_end;
        reference().store_key(type, numbers(rng, s.dim_k, seen, largest_key).data(), s.dim_k, page,
                              p);
        reference().store_value(type, numbers(rng, s.dim_v, seen, largest_value).data(), s.dim_v,
                                page + v_offset, p);
      }
      pages.push_back(page);
    }
  }

  // What is stored of a number may be larger by half a unit of its last place: in q4, of its
  // block's offset and of 15 times its scale, halves that add up to 2^-11 of at most 3 times the
  // largest.
  static std::vector<float> numbers(Rng& rng, int64_t n, bool seen, double& largest) {
    std::vector<float> x = normal(rng, n);
    for (float& v : x) {
      if (!seen) v = NAN;
      largest = std::max(largest, std::fabs(static_cast<double>(v)) * 1.002);
    }
    return x;
  }

  int64_t window() const { return s.pos_begin == 0 ? 0 : s.pos_end - s.pos_begin; }

  AttendArgs args(int64_t first_row, int64_t rows, int64_t first_head, int64_t heads,
                  float* out) const {
    AttendArgs a;
    a.q_stride = s.group * s.dim_k;
    a.q = q.data() + first_row * a.q_stride + first_head * s.dim_k;
    a.out = out;
    a.out_stride = heads * s.dim_v;
    a.rows = rows;
    a.group = heads;
    a.head_dim_k = s.dim_k;
    a.head_dim_v = s.dim_v;
    a.pages = pages.data();
    a.k_offset = 0;
    a.v_offset = v_offset;
    a.pos = s.pos_end - s.rows + first_row;
    a.window = window();
    a.scale = 1.0f / std::sqrt(static_cast<float>(s.dim_k));
    a.softcap = s.softcap;
    a.kv_type = type;
    if (s.slope > 0) a.slopes = slopes.data() + first_head;
    if (s.ahead) a.seen = s.pos_end;
    if (s.sinks) a.sinks = sinks.data() + first_head;
    return a;
  }

  // out [rows, heads, dim_v]
  std::vector<float> run(const KernelTable& k, int64_t first_row, int64_t rows, int64_t first_head,
                         int64_t heads) const {
    std::vector<float> out(static_cast<size_t>(rows * heads * s.dim_v), NAN);
    std::vector<float> scratch(
        static_cast<size_t>(k.attend_scratch(rows, heads, s.dim_k, s.dim_v)));
    k.attend(args(first_row, rows, first_head, heads, out.data()), scratch.data());
    return out;
  }
  std::vector<float> run(const KernelTable& k) const { return run(k, 0, s.rows, 0, s.group); }

  // One row, each split on its own, then merged.
  std::vector<float> run_in_parts(const KernelTable& k, int64_t row) const {
    std::vector<float> out(static_cast<size_t>(s.group * s.dim_v), NAN);
    std::vector<float> scratch(static_cast<size_t>(k.attend_scratch(1, s.group, s.dim_k, s.dim_v)));
    const AttendArgs a = args(row, 1, 0, s.group, nullptr);
    const int64_t first =
        window() == 0 ? 0 : std::max<int64_t>(0, a.pos + 1 - window()) / kSplitLen;
    const int64_t last = s.ahead ? s.pos_end - 1 : a.pos;
    const int64_t splits = last / kSplitLen + 1 - first;
    const int64_t stride = s.group * (s.dim_v + 2);
    std::vector<float> partials(static_cast<size_t>(splits * stride));
    for (int64_t i = splits - 1; i >= 0; --i) {
      k.attend_partial(a, first + i, partials.data() + i * stride, scratch.data());
    }
    for (int64_t g = 0; g < s.group; ++g) {
      k.attend_merge(partials.data() + g * (s.dim_v + 2), splits, stride, s.dim_v,
                     s.sinks ? sinks.data() + g : nullptr, out.data() + g * s.dim_v);
    }
    return out;
  }

  // A score's error is at most dim_k + 6 roundings of sum |q k| times scale, and 6 more ulp for
  // the cap; e^x turns an absolute error d of its argument into a relative one of about d, and adds
  // 2 ulp; a weight passes one correction (3 roundings) a page, three a split and one division.
  // Then n products are added: n roundings. Where keys and values have scales, each product with
  // one, or a decoded q4 element, is one more rounding: of a score, and of a weight. All of it is
  // relative to sums of weights of 1 times the largest value, and counts twice, in numerator and
  // denominator.
  double bound() const {
    double size = 0;
    for (int64_t g = 0; g < s.rows * s.group; ++g) {
      double sum = 0;
      for (int64_t d = 0; d < s.dim_k; ++d) {
        sum += std::fabs(static_cast<double>(q[static_cast<size_t>(g * s.dim_k + d)]));
      }
      size = std::max(size, sum * largest_key / std::sqrt(static_cast<double>(s.dim_k)));
    }
    const auto n = static_cast<double>(s.pos_end - s.pos_begin);
    size += static_cast<double>(s.slope) * n;  // added with one more rounding
    const double score = (static_cast<double>(s.dim_k) + 13) * size;
    const double pages_passed = n / kKvPageLen + 2;
    return 0x1p-24 * 2 * (score + 5 + 5 * pages_passed + n) * largest_value;
  }
};

const Shape kShapes[] = {
    {3, 64, 64, 0, 1, 0},
    {3, 64, 64, 0, 63, 0},
    {3, 64, 64, 0, 64, 0},
    {3, 64, 64, 0, 65, 0},
    {1, 64, 64, 5, 130, 0},
    {2, 64, 64, 64, 128, 0},
    {4, 256, 256, 0, 200, 0},
    {4, 256, 256, 100, 611, 50},
    {5, 80, 80, 127, 129, 0},
    {7, 96, 128, 3, 100, 30},
    {8, 7, 5, 0, 70, 0},
    {9, 13, 33, 1, 2, 0},
    {6, 128, 128, 63, 64, 0},
    {16, 64, 64, 0, 300, 0},
    {3, 64, 64, 0, 16, 0, 16},
    {3, 64, 64, 0, 300, 0, 16},
    {1, 80, 72, 0, 270, 0, 33},
    {4, 256, 256, 600, 1111, 0, 12},
    {2, 24, 40, 70, 90, 20, 5},
    {3, 64, 64, 255, 258, 0, 3},
    {1, 40, 40, 0, 90, 0, 7},
    {3, 96, 80, 33, 140, 0, 20},
    {1, 40, 40, 0, 300, 0, 5, 0.05f},
    {4, 24, 24, 0, 77, 0, 1, 0.02f},
    {3, 64, 64, 0, 300, 0, 7, 0, true},
    {2, 20, 20, 0, 31, 0, 31, 0.01f, true},
    {3, 64, 64, 0, 300, 0, 7, 0, false, true},
    {8, 64, 64, 200, 328, 0, 1, 0, false, true},
    {1, 40, 40, 0, 1, 0, 1, 0, false, true},
    {2, 24, 24, 250, 260, 15, 3, 0, false, true},
};

template <class F>
void for_all_cases(Rng& rng, F f) {
  for (const KvType type : kTypes) {
    for (const Shape& shape : kShapes) {
      INFO("type " << static_cast<int>(type) << " group " << shape.group << " rows " << shape.rows
                   << " dim " << shape.dim_k << " positions " << shape.pos_begin << ".."
                   << shape.pos_end);
      f(Case(rng, shape, type));
    }
  }
}

}  // namespace

TEST_CASE("attention is within the derived bound of the reference", "[kernels]") {
  Rng rng(21);
  for_all_cases(rng, [](const Case& c) {
    const std::vector<float> want = c.run(reference());
    for (const KernelTable* k : fast_tables()) {
      const std::vector<float> got = c.run(*k);
      double worst = 0;
      for (size_t i = 0; i < want.size(); ++i) {
        const double error = std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
        worst = std::isnan(error) ? INFINITY : std::max(worst, error);
      }
      INFO(k->name);
      CHECK(worst <= c.bound());
    }
  });
}

TEST_CASE("a head's attention does not depend on what it shares loads with", "[kernels]") {
  Rng rng(22);
  for_all_cases(rng, [](const Case& c) {
    const Shape& shape = c.s;
    for (const KernelTable* k : tables()) {
      const std::vector<float> together = c.run(*k);
      for (int64_t row = 0; row < shape.rows; ++row) {
        const auto begin = together.begin() + row * shape.group * shape.dim_v;
        const std::vector<float> want(begin, begin + shape.group * shape.dim_v);
        INFO(k->name << " row " << row);
        CHECK(same_bits(c.run(*k, row, 1, 0, shape.group), want));
        if (k->attend_partial != nullptr) CHECK(same_bits(c.run_in_parts(*k, row), want));
        for (int64_t g = 0; g < shape.group; ++g) {
          const auto head = want.begin() + g * shape.dim_v;
          CHECK(same_bits(c.run(*k, row, 1, g, 1), std::vector<float>(head, head + shape.dim_v)));
        }
      }
    }
  });
}

TEST_CASE("attention reads its positions only, wherever the pages lie", "[kernels]") {
  // The unseen positions hold NaN and the pages end at guarded memory on either side.
  for (const KvType type : kTypes) {
    for (const Shape& shape : kShapes) {
      Rng one(23);
      Rng two(23);
      const Case a(one, shape, type, Flush::begin);
      const Case b(two, shape, type, Flush::end);
      for (const KernelTable* k : tables()) CHECK(same_bits(a.run(*k), b.run(*k)));
    }
  }
}

TEST_CASE("what is no number stays with the rows that attend to it", "[kernels]") {
  for (const KvType type : kTypes) {
    for (const Shape& shape : kShapes) {
      if (shape.rows == 1 || shape.ahead) continue;
      for (const float poison : {NAN, INFINITY}) {
        Rng one(26);
        Rng two(26);
        const Case clean(one, shape, type);
        const Case spoilt(two, shape, type);
        // The last position: only the last row attends to it.
        const int64_t at = shape.pos_end - 1;
        auto* page = const_cast<uint8_t*>(
            static_cast<const uint8_t*>(spoilt.pages[static_cast<size_t>(at / kKvPageLen)]));
        const std::vector<float> bad(static_cast<size_t>(std::max(shape.dim_k, shape.dim_v)),
                                     poison);
        for (const KernelTable* k : tables()) {
          INFO(k->name << " type " << static_cast<int>(type) << " rows " << shape.rows);
          k->store_key(type, bad.data(), shape.dim_k, page, at % kKvPageLen);
          k->store_value(type, bad.data(), shape.dim_v, page + spoilt.v_offset, at % kKvPageLen);
          const std::vector<float> want = clean.run(*k);
          const std::vector<float> got = spoilt.run(*k);
          const auto others =
              static_cast<std::ptrdiff_t>((shape.rows - 1) * shape.group * shape.dim_v);
          CHECK(std::equal(want.begin(), want.begin() + others, got.begin()));
          CHECK(std::none_of(got.begin() + others, got.end(),
                             [](float x) { return std::isfinite(x); }));
        }
      }
    }
  }
}

TEST_CASE("attention to one position is its value", "[kernels]") {
  Rng rng(24);
  const Case one(rng, {2, 16, 16, 70, 71, 0}, KvType::f32);
  for (const KernelTable* k : tables()) {
    const std::vector<float> out = one.run(*k);
    const auto* page = static_cast<const uint8_t*>(one.pages[1]) + one.v_offset;
    for (int g = 0; g < 2; ++g) CHECK(std::memcmp(out.data() + 16 * g, page + 6 * 64, 64) == 0);
  }
}

TEST_CASE("attention survives scores far apart", "[kernels]") {
  // One position outweighs all others by more than float can hold; its value is the result.
  Rng rng(25);
  const Shape shape = {1, 64, 64, 0, 200, 0};
  for (const int64_t winner : {0, 63, 64, 199}) {
    Case c(rng, shape, KvType::f32);
    auto* page =
        static_cast<uint8_t*>(const_cast<void*>(c.pages[static_cast<size_t>(winner / 64)]));
    std::vector<float> key;
    for (const float x : c.q) key.push_back(1e4f * x);
    reference().store_key(KvType::f32, key.data(), 64, page, winner % 64);
    const float* value = reinterpret_cast<float*>(page + c.v_offset) + winner % 64 * 64;
    for (const KernelTable* k : tables()) {
      const std::vector<float> out = c.run(*k);
      CHECK(std::memcmp(out.data(), value, 64 * 4) == 0);
    }
  }
}
