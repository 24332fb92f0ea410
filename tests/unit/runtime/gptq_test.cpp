// GPTQ against an independent program's codes (tests/oracle/gptq_fixture.py), against a plain twin
// in double precision, and by what it is for: less loss than rounding each weight for itself.
#include "runtime/convert/gptq.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>

#include "formats/io/error.h"
#include "quant/block/half.h"
#include "quant/block_codes.h"
#include "quant/codec.h"
#include "quant/search.h"
#include "runtime/convert/activation_scales.h"
#include "tests/support/catch.h"

using namespace nibble;

namespace {

/// As the fixture's program has it.
struct Numbers {
  uint32_t state = 12345;
  int next(int size) {
    state = state * 1664525u + 1013904223u;
    return static_cast<int>((state >> 16) % static_cast<uint32_t>(size)) - size / 2;
  }
};

struct Problem {
  int64_t rows, cols, tokens;
  std::vector<float> inputs;   // [cols, tokens]
  std::vector<float> weights;  // [rows, cols]
};

Problem fixture_problem() {
  Problem p{5, 320, 96, {}, {}};
  Numbers numbers;
  p.inputs.resize(static_cast<size_t>(p.cols * p.tokens));
  for (int64_t t = 0; t < p.tokens; ++t) {
    std::vector<int> raw;
    for (int64_t c = 0; c < p.cols; ++c) raw.push_back(numbers.next(17));
    for (int64_t c = 0; c < p.cols; ++c) {
      const int value = raw[static_cast<size_t>(c)] * static_cast<int>(1 + c % 3) +
                        2 * raw[static_cast<size_t>(c > 0 ? c - 1 : 0)] +
                        static_cast<int>(c % 5) * raw[0];
      p.inputs[static_cast<size_t>(c * p.tokens + t)] = static_cast<float>(value);
    }
  }
  for (int64_t i = 0; i < p.rows * p.cols; ++i) {
    p.weights.push_back(static_cast<float>(numbers.next(2001)) / 1024);
  }
  return p;
}

/// Normal weights, inputs that share three directions.
Problem random_problem(int64_t rows, int64_t cols, int64_t tokens, unsigned seed) {
  Problem p{rows, cols, tokens, {}, {}};
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> shared(static_cast<size_t>(3 * tokens));
  for (float& v : shared) v = normal(random);
  for (int64_t c = 0; c < cols; ++c) {
    const float size = std::exp(normal(random) * 0.5f);
    const float part[3] = {normal(random), normal(random), normal(random)};
    for (int64_t t = 0; t < tokens; ++t) {
      float x = normal(random);
      for (int64_t k = 0; k < 3; ++k) x += part[k] * shared[static_cast<size_t>(k * tokens + t)];
      p.inputs.push_back(x * size);
    }
  }
  for (int64_t i = 0; i < rows * cols; ++i) p.weights.push_back(normal(random));
  return p;
}

Hessian hessian_of(const Problem& p, Gptq& gptq) {
  Hessian h;
  h.reset(p.cols);
  gptq.add(h, p.inputs.data(), p.tokens);
  return h;
}

std::vector<std::byte> encode(const Problem& p, DType type, int n_threads) {
  Team team(n_threads);
  Gptq gptq(*best_kernels(), team, nullptr);
  const Hessian h = hessian_of(p, gptq);
  HessianFactor factor;
  gptq.factor(h, dtype_info(type).block_len, factor);
  std::vector<std::byte> out(static_cast<size_t>(p.rows * row_bytes(type, p.cols)));
  gptq.encode(factor, type, p.weights.data(), p.rows, out.data());
  return out;
}

std::vector<double> decode(const Problem& p, DType type, const std::vector<std::byte>& bytes) {
  std::vector<float> row(static_cast<size_t>(p.cols));
  std::vector<double> out;
  for (int64_t r = 0; r < p.rows; ++r) {
    dequantize_row(type, bytes.data() + r * row_bytes(type, p.cols), p.cols, row.data());
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

/// Sum over tokens of the squared difference of what the rows make of them.
double loss(const Problem& p, const std::vector<double>& decoded) {
  double sum = 0;
  for (int64_t r = 0; r < p.rows; ++r) {
    for (int64_t t = 0; t < p.tokens; ++t) {
      double difference = 0;
      for (int64_t c = 0; c < p.cols; ++c) {
        const auto i = static_cast<size_t>(r * p.cols + c);
        difference += (decoded[i] - static_cast<double>(p.weights[i])) *
                      static_cast<double>(p.inputs[static_cast<size_t>(c * p.tokens + t)]);
      }
      sum += difference * difference;
    }
  }
  return sum;
}

std::vector<std::byte> searched(const Problem& p, DType type) {
  std::vector<std::byte> out(static_cast<size_t>(p.rows * row_bytes(type, p.cols)));
  for (int64_t r = 0; r < p.rows; ++r) {
    search_row(type, p.weights.data() + r * p.cols, nullptr, p.cols,
               out.data() + r * row_bytes(type, p.cols));
  }
  return out;
}

/// The twin: LDLQ in double precision, column by column, with the scales of the blocks given.
std::vector<double> twin(const Problem& p, DType type, const HessianFactor& factor,
                         const std::vector<std::byte>& scales) {
  const auto n = static_cast<size_t>(p.cols);
  std::vector<double> h(n * n);
  double mean = 0;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      for (int64_t t = 0; t < p.tokens; ++t) {
        h[i * n + j] += static_cast<double>(
                            p.inputs[i * static_cast<size_t>(p.tokens) + static_cast<size_t>(t)]) *
                        static_cast<double>(
                            p.inputs[j * static_cast<size_t>(p.tokens) + static_cast<size_t>(t)]);
      }
    }
    mean += h[i * n + i] / static_cast<double>(n);
  }
  std::vector<double> u(n * n);  // U^T U = damped H in the factor's order
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i; j < n; ++j) {
      const auto a = static_cast<size_t>(factor.order[i]);
      const auto b = static_cast<size_t>(factor.order[j]);
      double sum = h[a * n + b] + (i == j ? Gptq::kDamping * mean : 0);
      for (size_t m = 0; m < i; ++m) sum -= u[m * n + i] * u[m * n + j];
      u[i * n + j] = i == j ? std::sqrt(sum) : sum / u[i * n + i];
    }
  }
  const CodeLevels& levels = *code_levels(type);
  const auto len = static_cast<size_t>(dtype_info(type).block_len);
  std::vector<double> out(static_cast<size_t>(p.rows) * n);
  for (size_t r = 0; r < static_cast<size_t>(p.rows); ++r) {
    for (size_t s = n; s-- > 0;) {
      const auto column = static_cast<size_t>(factor.order[s]);
      double wanted = static_cast<double>(p.weights[r * n + column]);
      for (size_t t = s + 1; t < n; ++t) {
        const auto other = r * n + static_cast<size_t>(factor.order[t]);
        wanted +=
            u[s * n + t] / u[s * n + s] * (static_cast<double>(p.weights[other]) - out[other]);
      }
      float base[kMostBlockLen], unit[kMostBlockLen];
      const std::byte* block = scales.data() + static_cast<int64_t>(r) * row_bytes(type, p.cols) +
                               static_cast<int64_t>(column / len) * dtype_info(type).block_bytes;
      block_levels(type, block, base, unit);
      const size_t i = column % len;
      double best = std::numeric_limits<double>::infinity();
      for (int code = levels.least; code <= levels.most; ++code) {
        const double value = static_cast<double>(base[i] + unit[i] * levels.value(code));
        if (std::fabs(value - wanted) >= best) continue;
        best = std::fabs(value - wanted);
        out[r * n + column] = value;
      }
    }
  }
  return out;
}

std::vector<DType> types_with_codes() {
  std::vector<DType> out;
  int count = 0;
  const DTypeInfo* all = all_dtypes(&count);
  for (int i = 0; i < count; ++i) {
    if (code_levels(all[i].type) != nullptr) out.push_back(all[i].type);
  }
  return out;
}

}  // namespace

TEST_CASE("the codes are those of the paper's algorithm", "[gptq]") {
  const Problem p = fixture_problem();
  std::ifstream file(NIBBLE_SOURCE_DIR "/tests/fixtures/quant/gptq.txt");
  REQUIRE(file);
  std::string line;
  std::getline(file, line);
  std::getline(file, line);
  std::vector<int8_t> expected;
  std::vector<std::byte> blocks;
  for (int64_t r = 0; r < p.rows; ++r) {
    for (int64_t b = 0; b < p.cols / 32; ++b) {
      uint16_t d = 0;
      file >> d;
      std::byte block[18] = {};
      std::memcpy(block, &d, sizeof(d));
      blocks.insert(blocks.end(), block, block + 18);
    }
    for (int64_t c = 0; c < p.cols; ++c) {
      int code = 0;
      file >> code;
      expected.push_back(static_cast<int8_t>(code));
    }
  }
  REQUIRE(file);
  Team team(2);
  Gptq gptq(*best_kernels(), team, nullptr);
  HessianFactor factor;
  gptq.factor(hessian_of(p, gptq), 32, factor);
  std::vector<std::byte> out = blocks;
  gptq.encode(factor, DType::Q4_0, p.weights.data(), p.rows, out.data(), Gptq::Scales::given);
  for (size_t b = 0; b < blocks.size() / 18; ++b) {
    set_block_codes(DType::Q4_0, blocks.data() + b * 18, expected.data() + b * 32);
  }
  CHECK(out == blocks);
}

TEST_CASE("every type's codes are the double-precision twin's under the same scales", "[gptq]") {
  const Problem p = random_problem(3, 256, 120, 3);
  for (const DType type : types_with_codes()) {
    CAPTURE(dtype_info(type).name);
    Team team(1);
    Gptq gptq(*best_kernels(), team, nullptr);
    const std::vector<std::byte> out = encode(p, type, 1);
    HessianFactor factor;
    gptq.factor(hessian_of(p, gptq), dtype_info(type).block_len, factor);
    const std::vector<double> exact = twin(p, type, factor, out);
    const std::vector<double> got = decode(p, type, out);
    // A weight that lies nearer to the middle of two codes than single precision can tell may get
    // the other one, and the columns after it then differ as well; the loss must not.
    CHECK(loss(p, got) == Approx(loss(p, exact)).epsilon(0.02));
    int64_t same = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      // The twin's values are base + unit * level: within some roundings of the decoded ones.
      same += std::fabs(got[i] - exact[i]) <= 1e-5 * (1 + std::fabs(exact[i])) ? 1 : 0;
    }
    CHECK(same >= static_cast<int64_t>(got.size()) * 2 / 3);
  }
}

TEST_CASE("less is lost than by a search of each row", "[gptq]") {
  const Problem p = random_problem(8, 256, 400, 5);
  for (const DType type : types_with_codes()) {
    CAPTURE(dtype_info(type).name);
    const double plain = loss(p, decode(p, type, searched(p, type)));
    CHECK(loss(p, decode(p, type, encode(p, type, 2))) < 0.8 * plain);
  }
}

TEST_CASE("rows are encoded the same by any number of threads", "[gptq]") {
  const Problem p = random_problem(150, 320, 100, 9);
  CHECK(encode(p, DType::Q4_0, 1) == encode(p, DType::Q4_0, 3));
  CHECK(encode(p, DType::NF4, 1) == encode(p, DType::NF4, 3));
}

TEST_CASE("inputs that say little are no trouble", "[gptq]") {
  Problem p = random_problem(4, 256, 3, 13);  // three tokens: rank three
  CHECK(loss(p, decode(p, DType::Q4_K, encode(p, DType::Q4_K, 1))) <
        loss(p, decode(p, DType::Q4_K, searched(p, DType::Q4_K))));
  std::fill(p.inputs.begin(), p.inputs.end(), 0.0f);  // every column for itself
  const std::vector<double> out = decode(p, DType::Q4_0, encode(p, DType::Q4_0, 1));
  for (size_t i = 0; i < out.size(); ++i) {
    CHECK(std::fabs(out[i] - static_cast<double>(p.weights[i])) < 0.7);
  }
  p.inputs[5] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_AS(encode(p, DType::Q4_0, 1), Error);
}

TEST_CASE("a cancelled encoding says so", "[gptq]") {
  const Problem p = random_problem(4, 256, 64, 13);
  CancelToken cancel;
  cancel.request();
  Team team(1);
  Gptq gptq(*best_kernels(), team, &cancel);
  Hessian h;
  h.reset(p.cols);
  CHECK_THROWS_AS(gptq.add(h, p.inputs.data(), p.tokens), Error);
}

TEST_CASE("columns that are used more are scaled up where that loses less", "[awq]") {
  Problem p = random_problem(32, 256, 300, 17);
  for (int64_t c = 0; c < 8; ++c) {  // some columns stand out
    for (int64_t t = 0; t < p.tokens; ++t)
      p.inputs[static_cast<size_t>(c * 32 * p.tokens + t)] *= 30;
  }
  Team team(2);
  Gptq gptq(*best_kernels(), team, nullptr);
  ActivationScales awq(*best_kernels(), team, nullptr);
  Hessian h = hessian_of(p, gptq);
  const ScaledUser user = {DType::Q4_0, p.weights.data(), p.rows, nullptr};
  const ColumnScales found = awq.search(h, {&user, 1});
  REQUIRE(found.values.size() == 256);
  CHECK(found.values[0] > found.values[1]);

  Problem scaled = p;
  for (int64_t r = 0; r < p.rows; ++r) {
    for (int64_t c = 0; c < p.cols; ++c) {
      scaled.weights[static_cast<size_t>(r * p.cols + c)] *= found.values[static_cast<size_t>(c)];
    }
  }
  std::vector<double> out = decode(scaled, DType::Q4_0, searched(scaled, DType::Q4_0));
  for (size_t i = 0; i < out.size(); ++i) out[i] /= static_cast<double>(found.values[i % 256]);
  const double plain = loss(p, decode(p, DType::Q4_0, searched(p, DType::Q4_0)));
  // All rows were the sample: what the search says is what is gained, up to float sums.
  CHECK(plain / loss(p, out) == Approx(found.gain).epsilon(0.01));
  CHECK(found.gain > 1.2);

  unscale(h, found.values);
  Problem inputs = p;
  for (int64_t c = 0; c < p.cols; ++c) {
    for (int64_t t = 0; t < p.tokens; ++t) {
      inputs.inputs[static_cast<size_t>(c * p.tokens + t)] /= found.values[static_cast<size_t>(c)];
    }
  }
  const Hessian again = hessian_of(inputs, gptq);
  for (int64_t i = 0; i < h.n; i += 17) {
    for (int64_t j = i; j < h.n; j += 13) {
      const double size =
          std::sqrt(static_cast<double>(again.at(i, i)) * static_cast<double>(again.at(j, j)));
      // Sums of 300 products in float, two ways: 300 ulps of their size are never reached.
      CHECK(std::fabs(static_cast<double>(h.at(i, j)) - static_cast<double>(again.at(i, j))) <
            300 * 1.2e-7 * size);
    }
  }
}
