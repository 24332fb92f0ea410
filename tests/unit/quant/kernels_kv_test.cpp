// Keys and values in their slabs: what every table stores is what quant/kv_slab.h says, to the bit,
// and rotation is the Hadamard matrix.
#include "quant/kv_slab.h"

#include "tests/support/catch.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/kernel_data.h"

using namespace nibble;
using namespace nibble::test;

namespace {

constexpr KvType kTypes[] = {KvType::f32, KvType::f16, KvType::q8, KvType::q4};
constexpr int64_t kDims[] = {1, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 64, 80, 96, 128, 256, 320};

// Rows with what rounding finds hard: zeros of both signs, nothing but tiny numbers, an outlier,
// all the same, halves that overflow, ties.
std::vector<std::vector<float>> rows_of(Rng& rng, int64_t n) {
  const auto size = static_cast<size_t>(n);
  std::vector<std::vector<float>> rows = {normal(rng, n), normal(rng, n, 1e-6f),
                                          std::vector<float>(size, 0.0f),
                                          std::vector<float>(size, -2.5f)};
  rows.push_back(normal(rng, n));
  rows.back()[size / 2] = -300.0f;
  rows.push_back(normal(rng, n, 1e-35f));
  rows.push_back(normal(rng, n, 1e30f));
  std::vector<float> zeros(size), ties(size);
  for (size_t i = 0; i < size; ++i) {
    zeros[i] = i % 3 == 0 ? -0.0f : 0.0f;
    ties[i] = static_cast<float>(i % 255) / 2 - 63.5f;
  }
  rows.push_back(zeros);
  rows.push_back(ties);
  return rows;
}

float float_at(const uint8_t* p) {
  float x;
  std::memcpy(&x, p, sizeof(x));
  return x;
}
double half_at(const uint8_t* p) {
  uint16_t x;
  std::memcpy(&x, p, sizeof(x));
  return static_cast<double>(block::half_to_float(x));
}

// Dimension i of position `slot`, straight from the table in quant/kv_slab.h. step receives how far
// apart two neighbours are that can be stored.
double decode(KvType type, const uint8_t* slab, bool is_key, int64_t n, int64_t slot, int64_t i,
              double* step) {
  const int64_t row = type == KvType::q4 ? (n + 15) / 16 * 8 : n;
  const int64_t at = type == KvType::q4 ? i / 16 * 8 + i % 8 : i;
  const int64_t element = is_key ? at * 64 + slot : slot * row + at;
  const uint8_t* factors = slab + 64 * row;
  if (type == KvType::q8) {
    const double scale = is_key ? half_at(factors + 2 * (i / 32 * 64 + slot))
                                : static_cast<double>(float_at(factors + 4 * slot));
    *step = scale;
    return scale * static_cast<int8_t>(slab[element]);
  }
  const int64_t blocks = (n + 31) / 32;
  const double scale = half_at(factors + 2 * (i / 32 * 64 + slot));
  const double offset = half_at(factors + 2 * ((blocks + i / 32) * 64 + slot));
  const int code = i % 16 < 8 ? slab[element] & 15 : slab[element] >> 4;
  *step = scale;
  return scale * code + offset;
}

}  // namespace

TEST_CASE("a slab has the size that its type says", "[kernels]") {
  CHECK(kv_key_bytes(KvType::f32, 64) == 64 * 64 * 4);
  CHECK(kv_value_bytes(KvType::f16, 80) == 64 * 80 * 2);
  CHECK(kv_key_bytes(KvType::q8, 64) == 64 * (64 + 2 * 2));
  CHECK(kv_value_bytes(KvType::q8, 64) == 64 * (64 + 4));
  CHECK(kv_key_bytes(KvType::q8, 33) == 64 * (33 + 2 * 2));
  CHECK(kv_value_bytes(KvType::q8, 7) == 64 * (7 + 4));
  CHECK(kv_key_bytes(KvType::q4, 64) == 64 * (32 + 2 * 4));
  CHECK(kv_value_bytes(KvType::q4, 40) == 64 * (24 + 2 * 4));
  CHECK(kv_value_bytes(KvType::q4, 1) == 64 * (8 + 4));
  for (const KvType type : kTypes) {
    for (const int64_t n : kDims) {
      CHECK(kv_key_bytes(type, n) % 64 == 0);
      CHECK(kv_value_bytes(type, n) % 64 == 0);
    }
  }
}

TEST_CASE("every table stores the same bytes and touches no other position", "[kernels]") {
  Rng rng(31);
  for (const KvType type : kTypes) {
    for (const int64_t n : kDims) {
      const std::vector<std::vector<float>> rows = rows_of(rng, n);
      const int64_t bytes = std::max(kv_key_bytes(type, n), kv_value_bytes(type, n));
      for (size_t r = 0; r < rows.size(); ++r) {
        const auto slot = static_cast<int64_t>((17 * r + 63) % 64);
        std::vector<uint8_t> keys(static_cast<size_t>(bytes), 0xa5);
        std::vector<uint8_t> values = keys;
        reference().store_key(type, rows[r].data(), n, keys.data(), slot);
        reference().store_value(type, rows[r].data(), n, values.data(), slot);
        for (const KernelTable* k : fast_tables()) {
          for (const Flush flush : {Flush::begin, Flush::end}) {
            INFO(k->name << " type " << static_cast<int>(type) << " dim " << n << " row " << r);
            GuardedBuffer x(n * 4, flush);
            std::memcpy(x.data(), rows[r].data(), static_cast<size_t>(n) * 4);
            const auto key_bytes = static_cast<size_t>(kv_key_bytes(type, n));
            GuardedBuffer key_slab(kv_key_bytes(type, n), flush);
            std::memset(key_slab.data(), 0xa5, key_bytes);
            k->store_key(type, x.as<float>(), n, key_slab.data(), slot);
            CHECK(std::memcmp(key_slab.data(), keys.data(), key_bytes) == 0);
            const auto value_bytes = static_cast<size_t>(kv_value_bytes(type, n));
            GuardedBuffer value_slab(kv_value_bytes(type, n), flush);
            std::memset(value_slab.data(), 0xa5, value_bytes);
            k->store_value(type, x.as<float>(), n, value_slab.data(), slot);
            CHECK(std::memcmp(value_slab.data(), values.data(), value_bytes) == 0);
          }
        }
      }
    }
  }
}

TEST_CASE("stored codes decode to what was stored, within half a step", "[kernels]") {
  Rng rng(32);
  for (const KvType type : {KvType::q8, KvType::q4}) {
    for (const int64_t n : kDims) {
      std::vector<uint8_t> keys(static_cast<size_t>(kv_key_bytes(type, n)));
      std::vector<uint8_t> values(static_cast<size_t>(kv_value_bytes(type, n)));
      const std::vector<float> x = normal(rng, n);
      double largest = 0;
      for (const float v : x) largest = std::max(largest, std::fabs(static_cast<double>(v)));
      // Scales and offsets are rounded to halves, so an end of the range may be cut off: q8's by
      // half a unit of 11 bits of the largest, q4's by as much of its offset and of its range,
      // which is up to twice that.
      const double slack = (type == KvType::q8 ? 1 : 3) * 0x1p-11 * largest;
      for (const KernelTable* k : tables()) {
        k->store_key(type, x.data(), n, keys.data(), 5);
        k->store_value(type, x.data(), n, values.data(), 5);
        for (int64_t i = 0; i < n; ++i) {
          const auto want = static_cast<double>(x[static_cast<size_t>(i)]);
          double step = 0;
          const double key = decode(type, keys.data(), true, n, 5, i, &step);
          CHECK(std::fabs(key - want) <= step / 2 + slack);
          CHECK(step <= 2.002 * largest / (type == KvType::q8 ? 254 : 15));
          const double value = decode(type, values.data(), false, n, 5, i, &step);
          CHECK(std::fabs(value - want) <= step / 2 + slack);
          CHECK(step <= 2.002 * largest / (type == KvType::q8 ? 254 : 15));
        }
      }
    }
  }
}

TEST_CASE("what is finite is stored as something finite", "[kernels]") {
  const std::vector<float> x = {65504.0f, 65520.0f, -70000.0f, 3e38f,     -3e38f, 1.0f,
                                -1e30f,   0.0f,     INFINITY,  -INFINITY, NAN};
  const std::vector<float> halves = {65504.0f,  65504.0f, -65504.0f, 65504.0f,  -65504.0f, 1.0f,
                                     -65504.0f, 0.0f,     INFINITY,  -INFINITY, NAN};
  const int64_t n = 11;
  std::vector<uint8_t> slab(static_cast<size_t>(kv_key_bytes(KvType::f16, n)));
  const int64_t finite = 8;
  for (const KernelTable* k : tables()) {
    k->store_value(KvType::f16, x.data(), n, slab.data(), 3);
    for (int64_t i = 0; i < n; ++i) {
      const double got = half_at(slab.data() + 2 * (3 * n + i));
      const auto want = static_cast<double>(halves[static_cast<size_t>(i)]);
      CHECK((std::isnan(want) ? std::isnan(got) : got == want));
    }
    for (const KvType type : {KvType::q8, KvType::q4}) {
      double step = 0;
      k->store_key(type, x.data(), finite, slab.data(), 3);
      for (int64_t i = 0; i < finite; ++i) {
        CHECK(std::isfinite(decode(type, slab.data(), true, finite, 3, i, &step)));
      }
      k->store_value(type, x.data(), finite, slab.data(), 3);
      for (int64_t i = 0; i < finite; ++i) {
        CHECK(std::isfinite(decode(type, slab.data(), false, finite, 3, i, &step)));
      }
    }
  }
}

TEST_CASE("rotation is the Hadamard matrix, in parts of powers of two", "[kernels]") {
  Rng rng(33);
  for (const int64_t n : kDims) {
    const int64_t heads = 3;
    const std::vector<float> x = normal(rng, heads * n);
    std::vector<float> want = x;
    reference().rotate(want.data(), heads, n);
    for (const KernelTable* k : fast_tables()) {
      for (const Flush flush : {Flush::begin, Flush::end}) {
        INFO(k->name << " dim " << n);
        GuardedBuffer got(heads * n * 4, flush);
        std::memcpy(got.data(), x.data(), x.size() * 4);
        k->rotate(got.as<float>(), heads, n);
        for (int64_t h = 0; h < heads; ++h) {
          // Up to 5 stages of sums, the factor and the product with it: each a rounding of at most
          // the sum of all |x| / sqrt(part) <= |x| by Cauchy and Schwarz; the reference's is one.
          double size = 0, dot = 0, rotated = 0;
          for (int64_t i = 0; i < n; ++i) {
            const auto v = static_cast<double>(x[static_cast<size_t>(h * n + i)]);
            size += v * v;
          }
          const double bound = 8 * 0x1p-24 * std::sqrt(size);
          for (int64_t i = h * n; i < (h + 1) * n; ++i) {
            const auto at = static_cast<size_t>(i);
            const auto value = static_cast<double>(got.as<float>()[i]);
            CHECK(std::fabs(value - static_cast<double>(want[at])) <= bound);
            // Products stay: with the next head, whose rotation has the same bound.
            const size_t other = (at + static_cast<size_t>(n)) % x.size();
            dot += static_cast<double>(x[at]) * static_cast<double>(x[other]);
            rotated += value * static_cast<double>(got.as<float>()[other]);
          }
          CHECK(std::fabs(dot - rotated) <= 1e-5 * static_cast<double>(n));
        }
      }
    }
  }
  // The first dimension of a part ends in all of it, the last with as many of either sign.
  for (const KernelTable* k : tables()) {
    std::vector<float> x(56);  // 32 + 16 + 8
    x[0] = std::sqrt(32.0f);
    x[32] = 4.0f;
    x[48] = std::sqrt(8.0f);
    k->rotate(x.data(), 1, 56);
    for (const float v : x) CHECK(std::fabs(v - 1.0f) <= 0x1p-22f);
    std::vector<float> y(16);
    y[15] = 4.0f;
    k->rotate(y.data(), 1, 16);
    CHECK(std::count(y.begin(), y.end(), 1.0f) == 8);
    CHECK(std::count(y.begin(), y.end(), -1.0f) == 8);
  }
}
