// The codec against the Python package gguf, bit for bit, on the committed fixture
// (tests/oracle/quant_fixture.py; quant_check.py beside it compares a million blocks a type),
// and its own properties on every type of AllTypes.
#include "quant/codec.h"

#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <vector>

#include "quant/all_types.h"
#include "tests/support/catch.h"

using namespace nibble;

namespace {

enum Kind : uint32_t { kDecode = 0, kEncode = 1 };

struct Record {
  int64_t rows;
  int64_t cols;
  std::vector<uint8_t> blocks;  // [rows, row_bytes]
  std::vector<float> floats;    // [rows, cols]
};

std::vector<char> read_fixture() {
  std::ifstream file(NIBBLE_SOURCE_DIR "/tests/fixtures/quant/codec.bin.zst", std::ios::binary);
  REQUIRE(file);
  const std::vector<char> packed{std::istreambuf_iterator<char>(file), {}};
  std::vector<char> data(ZSTD_getFrameContentSize(packed.data(), packed.size()));
  REQUIRE(ZSTD_decompress(data.data(), data.size(), packed.data(), packed.size()) == data.size());
  return data;
}

// (type, kind) -> record
std::map<std::pair<DType, uint32_t>, Record> read_records() {
  const std::vector<char> data = read_fixture();
  std::map<std::pair<DType, uint32_t>, Record> records;
  size_t pos = 0;
  const auto take = [&](void* to, size_t n) {
    REQUIRE(n <= data.size() - pos);
    std::memcpy(to, data.data() + pos, n);
    pos += n;
  };
  while (pos < data.size()) {
    uint32_t header[4];
    take(header, sizeof header);
    const DType type{header[0]};
    Record r{header[2], header[3], {}, {}};
    r.blocks.resize(static_cast<size_t>(r.rows * row_bytes(type, r.cols)));
    r.floats.resize(static_cast<size_t>(r.rows * r.cols));
    take(r.blocks.data(), r.blocks.size());
    take(r.floats.data(), r.floats.size() * sizeof(float));
    records[{type, header[1]}] = std::move(r);
  }
  return records;
}

bool same_float(float a, float b) {
  return block::float_bits(a) == block::float_bits(b) || (std::isnan(a) && std::isnan(b));
}

std::vector<float> normal_row(std::mt19937& rng, int64_t cols, float scale) {
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> row(static_cast<size_t>(cols));
  for (float& x : row) x = normal(rng);
  return row;
}

// What float32 arithmetic of encoder and decoder adds: see error_bound.
constexpr double kSlack = 1.0 + 0x1p-13;

// How far rounding to half precision can move a number: half its last place, of the subnormals at
// least.
double half_error(double x) {
  return std::max(std::abs(x) * 0x1p-11, 0x1p-25);
}

// The same for groups of scales that are integers (`least` the one of the largest magnitude) times
// a factor. Codes reach `reach` steps from zero to one side, at least `other` to the other, gaps
// between their values are at most `gap` steps.
double group_bound(DType type, const float* x, int64_t i, double least, double reach, double other,
                   double gap) {
  const int64_t length = type == DType::IQ4_XS ? 32 : 16;
  const auto extreme = [&](int64_t from, int64_t n) {
    double largest = 0;
    for (int64_t k = 0; k < n; ++k) {
      largest = std::max(largest, std::abs(static_cast<double>(x[from + k])));
    }
    return largest;
  };
  const double step = extreme(i / length * length, length) / reach;  // wanted
  const double d = extreme(0, 256) / reach / least;
  // Decoded, a scale is off by half an integer and by the factor's rounding; of the sign that the
  // largest has not, integers end one lower.
  const double off = d * 1.0 + half_error(d) * least;
  const double within = (step + off) * gap / 2;
  const double beyond = std::max(0.0, step * reach - std::max(0.0, step - off) * other);
  return std::max(within, beyond) * kSlack;
}

// The same for lines: steps and minima are integers up to `most` times factors.
double line_bound(const float* x, int64_t i, int64_t length, double codes, double most) {
  double low = 0;
  double high = 0;
  double step = 0;
  double largest_step = 0;
  double largest_low = 0;
  for (int64_t g = 0; g < 256 / length; ++g) {
    double least = 0;
    double top = x[g * length];
    for (int64_t k = 0; k < length; ++k) {
      least = std::min(least, static_cast<double>(x[g * length + k]));
      top = std::max(top, static_cast<double>(x[g * length + k]));
    }
    largest_step = std::max(largest_step, (top - least) / codes);
    largest_low = std::max(largest_low, -least);
    if (g == i / length) {
      low = least;
      high = top;
      step = (top - least) / codes;
    }
  }
  const double off = largest_step / most / 2 + half_error(largest_step / most) * most;
  const double low_off = largest_low / most / 2 + half_error(largest_low / most) * most;
  const double rounding = (std::abs(low) + std::abs(high) + codes * off + low_off) * 0x1p-20;
  return ((step + off) / 2 + codes * off + low_off) * kSlack + rounding;
}

// Largest |x - decode(encode(x))| that the type's rounding allows for element i of one block.
// Derivation, with d the step before it is stored: the code is the nearest, so at most d/2 off, and
// storing d in half precision moves the result by d's error times the code. kSlack covers what the
// float32 arithmetic of encoder and decoder adds: fewer than 8 roundings of values of at most 127.5
// steps, 8 * 2^-24 * 127.5 steps < 2^-13 half steps.
double error_bound(DType type, const float* x, int64_t i) {
  const double xi = x[i];
  const auto [least, most] = std::minmax_element(x, x + dtype_info(type).block_len);
  const double range = static_cast<double>(*most) - static_cast<double>(*least);
  const double largest = std::max(std::abs(static_cast<double>(*least)),  //
                                  std::abs(static_cast<double>(*most)));
  switch (type) {
    case DType::F32:
      return 0.0;
    case DType::F16:
      return half_error(xi);
    case DType::BF16:
      return std::max(std::abs(xi) * 0x1p-8, 0x1p-134);
    case DType::Q8_0: {
      const double d = largest / 127.0;
      return (d / 2 + 127 * half_error(d)) * kSlack;
    }
    case DType::Q4_0: {
      // Codes reach from -8 to 7 steps, so a weight opposite to the extreme can be 8 steps out and
      // lose a whole one.
      const double d = largest / 8.0;
      return ((std::abs(xi) > 7.49 * d ? d : d / 2) + 8 * half_error(d)) * kSlack;
    }
    case DType::Q4_1: {
      const double d = range / 15.0;
      const double m = static_cast<double>(*least);
      // d * q + m is rounded to float once more, relative to the larger of the two.
      return (d / 2 + 15 * half_error(d) + half_error(m) + largest * 0x1p-22) * kSlack;
    }
    case DType::Q5_0: {
      const double d = largest / 16.0;
      return ((std::abs(xi) > 15.49 * d ? d : d / 2) + 16 * half_error(d)) * kSlack;
    }
    case DType::Q5_1: {
      const double d = range / 31.0;
      const double m = static_cast<double>(*least);
      return (d / 2 + 31 * half_error(d) + half_error(m) + largest * 0x1p-22) * kSlack;
    }
    case DType::MXFP4: {
      // Steps of 4 (twice that counted from the last value, 12, to where the next exponent begins).
      const double d = std::exp2(std::floor(std::log2(largest)) - 3);
      return d * 4 * kSlack;
    }
    case DType::NF4:  // the widest gap is between the two lowest levels
      return (largest * (1 - 0.6961928) / 2 + half_error(largest)) * kSlack;
    case DType::IQ4_NL: {
      // The widest gap is 24 steps; opposite to the extreme the last value is 113.
      const double d = largest / 127.0;
      return (std::max(d * 12, std::abs(xi) - 113 * d) + 127 * half_error(d)) * kSlack;
    }
    case DType::IQ4_XS:
      return group_bound(type, x, i, 32, 127, 113, 24);
    case DType::Q3_K:
      return group_bound(type, x, i, 32, 4, 3, 1);
    case DType::Q6_K:
      return group_bound(type, x, i, 128, 32, 31, 1);
    case DType::Q2_K:
      return line_bound(x, i, 16, 3, 15);
    case DType::Q4_K:
      return line_bound(x, i, 32, 15, 63);
    case DType::Q5_K:
      return line_bound(x, i, 32, 31, 63);
    default:
      FAIL("derive an error bound for this type");
      return 0.0;
  }
}

}  // namespace

TEST_CASE("decoding equals gguf's, bit for bit") {
  const auto records = read_records();
  for_each_type(AllTypes{}, [&]<typename Block>() {
    CAPTURE(Block::kName);
    const auto found = records.find({Block::kType, kDecode});
    REQUIRE(found != records.end());
    const Record& r = found->second;
    std::vector<float> out(static_cast<size_t>(r.cols));
    for (int64_t row = 0; row < r.rows; ++row) {
      dequantize_row(Block::kType, r.blocks.data() + row * row_bytes(Block::kType, r.cols), r.cols,
                     out.data());
      for (int64_t i = 0; i < r.cols; ++i) {
        const float expected = r.floats[static_cast<size_t>(row * r.cols + i)];
        const float got = out[static_cast<size_t>(i)];
        if (!same_float(expected, got))
          FAIL_CHECK(row << "," << i << ": " << got << " " << expected);
      }
    }
  });
}

TEST_CASE("encoding equals gguf's, byte for byte") {
  const auto records = read_records();
  for_each_type(AllTypes{}, [&]<typename Block>() {
    CAPTURE(Block::kName);
    const auto found = records.find({Block::kType, kEncode});
    REQUIRE(can_quantize(Block::kType));
    // gguf has no encoder for these.
    const bool own = Block::kLength == 256 || Block::kType == DType::IQ4_NL;
    REQUIRE(own == (found == records.end()));
    if (own) return;
    const Record& r = found->second;
    const int64_t bytes = row_bytes(Block::kType, r.cols);
    std::vector<uint8_t> out(static_cast<size_t>(bytes));
    for (int64_t row = 0; row < r.rows; ++row) {
      CAPTURE(row);
      quantize_row(Block::kType, r.floats.data() + row * r.cols, r.cols, out.data());
      CHECK(std::memcmp(out.data(), r.blocks.data() + row * bytes, out.size()) == 0);
    }
  });
}

TEST_CASE("decode(encode(x)) stays within the error that the type's rounding allows") {
  std::mt19937 rng(3);
  for_each_type(AllTypes{}, [&]<typename Block>() {
    if (!can_quantize(Block::kType)) return;
    CAPTURE(Block::kName);
    const int64_t cols = 1024;
    std::vector<uint8_t> blocks(static_cast<size_t>(row_bytes(Block::kType, cols)));
    std::vector<float> back(static_cast<size_t>(cols));
    for (const float scale : {1e-8f, 1e-6f, 1e-4f, 0.02f, 1.0f, 100.0f, 5000.0f}) {
      for (int repeat = 0; repeat < 20; ++repeat) {
        const std::vector<float> x = normal_row(rng, cols, scale);
        quantize_row(Block::kType, x.data(), cols, blocks.data());
        dequantize_row(Block::kType, blocks.data(), cols, back.data());
        for (int64_t i = 0; i < cols; ++i) {
          const float* of_block = x.data() + i / Block::kLength * Block::kLength;
          const double bound = error_bound(Block::kType, of_block, i % Block::kLength);
          const double error = std::abs(static_cast<double>(x[static_cast<size_t>(i)]) -
                                        static_cast<double>(back[static_cast<size_t>(i)]));
          if (!(error <= bound))
            FAIL_CHECK(i << " of scale " << scale << ": " << error << " > " << bound);
        }
      }
    }
  });
}

TEST_CASE("a block decodes the same wherever it lies") {
  std::mt19937 rng(4);
  for_each_type(AllTypes{}, [&]<typename Block>() {
    CAPTURE(Block::kName);
    const int64_t blocks = 5;
    const auto n = static_cast<size_t>(Block::kLength);
    std::vector<uint8_t> row(blocks * sizeof(Block));
    for (uint8_t& byte : row) byte = static_cast<uint8_t>(rng());
    std::vector<float> whole(blocks * n);
    dequantize_row(Block::kType, row.data(), blocks * Block::kLength, whole.data());
    for (size_t b = 0; b < blocks; ++b) {
      // At an odd address, and with nothing behind it that a sanitizer would let be read.
      std::vector<uint8_t> odd(1 + sizeof(Block));
      std::memcpy(odd.data() + 1, row.data() + b * sizeof(Block), sizeof(Block));
      std::vector<float> one(n);
      dequantize_row(Block::kType, odd.data() + 1, Block::kLength, one.data());
      for (size_t i = 0; i < n; ++i) CHECK(same_float(one[i], whole[b * n + i]));
    }
  });
}

TEST_CASE("encoders write every byte and nothing else, at any alignment") {
  std::mt19937 rng(5);
  for_each_type(AllTypes{}, [&]<typename Block>() {
    if (!can_quantize(Block::kType)) return;
    CAPTURE(Block::kName);
    const std::vector<float> x = normal_row(rng, Block::kLength, 1.0f);
    std::vector<uint8_t> zeros(sizeof(Block) + 2, 0x00);
    std::vector<uint8_t> ones(sizeof(Block) + 2, 0xff);
    quantize_row(Block::kType, x.data(), Block::kLength, zeros.data() + 1);
    quantize_row(Block::kType, x.data(), Block::kLength, ones.data() + 1);
    CHECK(std::memcmp(zeros.data() + 1, ones.data() + 1, sizeof(Block)) == 0);
    CHECK((zeros.front() == 0 && zeros.back() == 0));
    CHECK((ones.front() == 0xff && ones.back() == 0xff));
  });
}

TEST_CASE("no input is undefined: infinities, NaN and every float pattern encode to something") {
  std::mt19937 rng(6);
  for_each_type(AllTypes{}, [&]<typename Block>() {
    if (!can_quantize(Block::kType)) return;
    const auto n = static_cast<size_t>(Block::kLength);
    std::vector<float> x(n);
    std::vector<float> back(n);
    std::vector<uint8_t> bytes(sizeof(Block));
    for (int repeat = 0; repeat < 2000; ++repeat) {
      for (float& v : x) v = block::float_from_bits(static_cast<uint32_t>(rng()));
      if (repeat % 3 == 0) x[rng() % n] = repeat % 2 == 0 ? INFINITY : NAN;
      quantize_row(Block::kType, x.data(), Block::kLength, bytes.data());
      dequantize_row(Block::kType, bytes.data(), Block::kLength, back.data());
    }
  });
  SUCCEED("the sanitizers saw it");
}

TEST_CASE("a type that nibble does not know is left alone") {
  const DType unknown{9999};
  float out[2] = {1.0f, 2.0f};
  uint8_t bytes[2] = {3, 4};
  dequantize_row(unknown, bytes, 2, out);
  quantize_row(unknown, out, 2, bytes);
  CHECK((out[0] == 1.0f && out[1] == 2.0f && bytes[0] == 3 && bytes[1] == 4));
  CHECK_FALSE(can_quantize(unknown));
}
