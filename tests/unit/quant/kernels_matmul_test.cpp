// Matrix products of every table against the double-precision reference, and the promise that a
// result's bits depend on its own row and input alone.
#include <limits>
#include <set>
#include <string>

#include "tests/support/catch.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/kernel_data.h"

using namespace nibble;
using namespace nibble::test;

namespace {

// Inputs whose int8 form is exact: integers, with 127 in every block of 32, so its scale is 1.
std::vector<float> whole_numbers(Rng& rng, int64_t n) {
  std::uniform_int_distribution<int> d(-9, 9);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = static_cast<float>(d(rng));
  for (size_t i = 0; i < x.size(); i += 32) {
    x[i + rng() % std::min<size_t>(32, x.size() - i)] = rng() % 2 == 0 ? 127.0f : -127.0f;
  }
  return x;
}

// The largest |d * scale * code| + |m * min| a type can have when |d|, |m| <= 1.
double largest_weight(DType type) {
  switch (type) {
    case DType::Q4_0:
      return 15 + 8;
    case DType::Q4_1:
      return 15 + 1;
    case DType::Q5_0:
      return 31 + 16;
    case DType::Q5_1:
      return 31 + 1;
    case DType::Q8_0:
      return 128;
    case DType::Q2_K:
      return 15 * 3 + 15;
    case DType::Q3_K:
      return 32 * (7 + 4);
    case DType::Q4_K:
      return 63 * 15 + 63;
    case DType::Q5_K:
      return 63 * 31 + 63;
    case DType::Q6_K:
      return 128 * (63 + 32);
    case DType::IQ4_NL:
      return 127;
    case DType::IQ4_XS:
      return 32 * 127;
    case DType::MXFP4:
      return 12;
    case DType::NF4:
      return 1.5;  // 1, and two more roundings of d a plane
    default:
      return 0;
  }
}

// How far the levels that a kernel multiplies with are off, relative to the weight.
double level_error(DType type) {
  if (type != DType::NF4) return 0;
  double worst = 0;
  for (int k = 0; k < 16; ++k) {
    const auto level = static_cast<double>(block::kNF4Levels[k]);
    if (level == 0) continue;  // and its value is 0
    const double value = block::kNF4Values[k] / static_cast<double>(block::kNF4Unit);
    worst = std::max(worst, std::fabs(value / level - 1));
  }
  return worst;
}

// Bound of |fast - exact| for one output of quantized weights.
// The input is rounded to a grid of step s = max|x| / 127 in each block of 32: at most s/2 an
// element, s itself and the quotients being off by a few eps (1 + 2^-20 covers them); blocks that
// stand out are rounded no worse. Every block then adds at most 5 float roundings (sum to float,
// d * s, product, sum, and the same for the minimum) for each of its planes, each at most eps of a
// partial sum that |x| * (largest weight) bounds; the sums grow over the blocks, hence
// n_blocks * 10 + 5 roundings of the whole. Levels that are off add their share of each product.
double quantized_bound(DType type, const float* x, const float* w, int64_t cols) {
  const double eps = 0x1p-24;
  const double off = level_error(type);
  double rounding = 0;
  double size = 0;
  for (int64_t b = 0; b < cols; b += 32) {
    double peak = 0;
    double weights = 0;
    for (int64_t i = b; i < b + 32; ++i) {
      peak = std::max(peak, std::fabs(static_cast<double>(x[i])));
      weights += std::fabs(static_cast<double>(w[i]));
      size += std::fabs(static_cast<double>(x[i])) * largest_weight(type);
      rounding += std::fabs(static_cast<double>(x[i]) * static_cast<double>(w[i])) * off;
    }
    rounding += peak / 254 * weights * (1 + off) * (1 + 0x1p-20);
  }
  return rounding + eps * static_cast<double>(cols / 32 * 10 + 5) * size * 1.01;
}

// 8 lanes of cols / 8 products each, then 3 levels of sums: every product passes at most
// cols / 8 + 1 + 3 additions and one multiplication.
double float_bound(const float* x, const float* w, int64_t cols) {
  double size = 0;
  for (int64_t i = 0; i < cols; ++i) {
    size += std::fabs(static_cast<double>(x[i]) * static_cast<double>(w[i]));
  }
  return 0x1p-24 * static_cast<double>(cols / 8 + 6) * size * 1.01;
}

std::vector<float> decoded(DType type, const std::vector<uint8_t>& w, int64_t rows, int64_t cols) {
  std::vector<float> out(static_cast<size_t>(rows * cols));
  for (int64_t r = 0; r < rows; ++r) {
    dequantize_row(type, w.data() + r * row_bytes(type, cols), cols, out.data() + r * cols);
  }
  return out;
}

void check_against_reference(const KernelTable& k, DType type, int64_t rows, int64_t cols,
                             const std::vector<float>& x, const std::vector<uint8_t>& w) {
  const int64_t tokens = static_cast<int64_t>(x.size()) / cols;
  const std::vector<float> got = matmul(k, type, w.data(), rows, cols, x.data(), tokens);
  const std::vector<float> want = matmul(reference(), type, w.data(), rows, cols, x.data(), tokens);
  const std::vector<float> weights = decoded(type, w, rows, cols);
  double worst = 0;  // error as a share of its bound
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < rows; ++r) {
      const float* xt = x.data() + t * cols;
      const float* wr = weights.data() + r * cols;
      const double bound =
          is_float(type) ? float_bound(xt, wr, cols) : quantized_bound(type, xt, wr, cols);
      const auto i = static_cast<size_t>(t * rows + r);
      // The reference itself is rounded to float once.
      const double slack = std::fabs(static_cast<double>(want[i])) * 0x1p-24 + 1e-30;
      const double error = std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
      if (!(error <= bound + slack)) worst = std::max(worst, error / (bound + slack));
    }
  }
  INFO(k.name << " " << dtype_info(type).name << " rows " << rows << " cols " << cols);
  CHECK(worst == 0);
}

}  // namespace

TEST_CASE("tables: best first, reference last, all named and complete", "[kernels]") {
  int count = 0;
  const KernelTable* const* all = all_kernels(&count);
  REQUIRE(count >= 2);
  CHECK(std::string(all[count - 1]->name) == "reference");
  CHECK(all[count - 1]->supported());
  CHECK(best_kernels()->supported());
  CHECK(std::string(best_kernels()->name) != "reference");
  CHECK(best_kernels()->proof != Proof::none);
  CHECK(kernels_named("no such table") == nullptr);
  std::set<std::string> names;
  for (int i = 0; i < count; ++i) {
    CHECK(names.insert(all[i]->name).second);
    CHECK(kernels_named(all[i]->name) == all[i]);
  }
}

TEST_CASE("quantized products are exact where every number is representable", "[kernels]") {
  // Factors are powers of two and inputs whole, so every partial sum is a multiple of 1/8 below
  // 2^21 and no float operation rounds: the result must equal the double-precision one.
  Rng rng(1);
  for (DType type : all_dtypes()) {
    if (is_float(type) || type == DType::NF4) continue;  // whose levels are rounded
    for (int64_t cols : widths(type)) {
      const int64_t rows = 11;
      const int64_t tokens = 6;
      const auto w = random_weights(rng, type, rows, cols, [&] {
        return static_cast<uint16_t>(rng() % 2 == 0 ? 0x3000 : 0xb000);  // +-1/8
      });
      const std::vector<float> x = whole_numbers(rng, tokens * cols);
      const auto want = matmul(reference(), type, w.data(), rows, cols, x.data(), tokens);
      for (const float v : want) REQUIRE(std::fabs(v) < 0x1p21f);
      for (const KernelTable* k : fast_tables()) {
        INFO(k->name << " " << dtype_info(type).name << " cols " << cols);
        CHECK(matmul(*k, type, w.data(), rows, cols, x.data(), tokens) == want);
      }
    }
  }
}

TEST_CASE("products are within the derived bound of the reference", "[kernels]") {
  Rng rng(2);
  for (const KernelTable* k : fast_tables()) {
    for (DType type : all_dtypes()) {
      for (int64_t cols : widths(type)) {
        for (int64_t rows : {1, 7, 8, 19}) {
          const auto w = random_weights(rng, type, rows, cols);
          check_against_reference(*k, type, rows, cols, normal(rng, 5 * cols), w);
        }
      }
    }
  }
}

TEST_CASE("products of difficult inputs are within the bound", "[kernels]") {
  Rng rng(3);
  const int64_t cols = 512;
  std::vector<std::vector<float>> inputs;
  inputs.push_back(normal(rng, cols));
  for (size_t i = 5; i < inputs[0].size(); i += 97) inputs[0][i] *= 1e4f;  // outliers
  inputs.push_back(std::vector<float>(static_cast<size_t>(cols), 0.0f));   // zeros
  inputs.push_back(normal(rng, cols, 1e-18f));                             // small
  inputs.push_back(normal(rng, cols, 1e18f));                              // large
  inputs.push_back(std::vector<float>(static_cast<size_t>(cols), -1.0f));  // constant
  inputs.push_back(normal(rng, cols));
  for (size_t i = 0; i < 64; ++i) inputs.back()[i] = 0.0f;  // some blocks of zeros
  for (const KernelTable* k : fast_tables()) {
    for (DType type : all_dtypes()) {
      const auto w = random_weights(rng, type, 9, cols);
      for (const auto& x : inputs) check_against_reference(*k, type, 9, cols, x, w);
    }
  }
}

TEST_CASE("blocks of inputs that stand out keep 15 bits", "[kernels]") {
  // Block 5 is a thousand times the others. Its step is peak / 127 / 254 of the second plane, so
  // its rounding is at most half of that; the others have one plane.
  Rng rng(8);
  const int64_t cols = 512;
  std::vector<float> x = normal(rng, cols);
  for (size_t i = 5 * 32; i < 6 * 32; ++i) x[i] *= 1000.0f;
  for (const KernelTable* k : fast_tables()) {
    for (DType type : all_dtypes()) {
      if (is_float(type)) continue;
      const auto w = random_weights(rng, type, 9, cols);
      const auto got = matmul(*k, type, w.data(), 9, cols, x.data(), 1);
      const auto want = matmul(reference(), type, w.data(), 9, cols, x.data(), 1);
      const std::vector<float> weights = decoded(type, w, 9, cols);
      const double off = level_error(type);
      for (size_t r = 0; r < 9; ++r) {
        double bound = std::fabs(static_cast<double>(want[r])) * 0x1p-24;
        double size = 0;
        for (size_t b = 0; b < 16; ++b) {
          double peak = 0;
          double sum = 0;
          for (size_t i = b * 32; i < b * 32 + 32; ++i) {
            peak = std::max(peak, std::fabs(static_cast<double>(x[i])));
            sum += std::fabs(static_cast<double>(weights[r * 512 + i]));
            size += std::fabs(static_cast<double>(x[i])) * largest_weight(type);
            bound +=
                std::fabs(static_cast<double>(x[i]) * static_cast<double>(weights[r * 512 + i])) *
                off;
          }
          const double step = b == 5 ? peak / 127 / 254 : peak / 127;
          // What the first plane left is computed in float: eps of the peak an element.
          bound += (step / 2 * (1 + off) * (1 + 0x1p-20) + (b == 5 ? peak * 0x1p-23 : 0)) * sum;
        }
        bound += 0x1p-24 * (16 * 10 + 5) * size;
        INFO(k->name << " " << dtype_info(type).name << " row " << r);
        CHECK(std::fabs(static_cast<double>(got[r]) - static_cast<double>(want[r])) <= bound);
      }
    }
  }
}

TEST_CASE("subnormal inputs count as zero and change nothing else", "[kernels]") {
  Rng rng(4);
  const auto w = random_weights(rng, DType::Q4_1, 8, 64);
  std::vector<float> x = normal(rng, 64);
  for (size_t i = 32; i < 64; ++i) x[i] = 1e-41f * static_cast<float>(i);
  std::vector<float> zeroed = x;
  for (size_t i = 32; i < 64; ++i) zeroed[i] = 0.0f;
  for (const KernelTable* k : fast_tables()) {
    CHECK(same_bits(matmul(*k, DType::Q4_1, w.data(), 8, 64, x.data(), 1),
                    matmul(*k, DType::Q4_1, w.data(), 8, 64, zeroed.data(), 1)));
  }
}

TEST_CASE("an infinity or NaN in the input shows in its own outputs only", "[kernels]") {
  Rng rng(5);
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    for (const KernelTable* k : fast_tables()) {
      const auto w = random_weights(rng, DType::Q5_0, 8, 96);
      std::vector<float> x = normal(rng, 3 * 96);
      x[96 + 40] = bad;
      const auto out = matmul(*k, DType::Q5_0, w.data(), 8, 96, x.data(), 3);
      for (size_t i = 0; i < out.size(); ++i) CHECK(std::isfinite(out[i]) == (i / 8 != 1));
    }
  }
}

TEST_CASE("prepared inputs are the same bytes in every table", "[kernels]") {
  Rng rng(6);
  const int64_t n = 1024;
  std::vector<std::vector<float>> inputs = {normal(rng, n), normal(rng, n, 1e-30f),
                                            normal(rng, n, 1e-39f), normal(rng, n, 1e30f),
                                            std::vector<float>(static_cast<size_t>(n), 0.0f)};
  std::vector<float> ties(static_cast<size_t>(n));  // exact halves: ties go to the even number
  for (size_t i = 0; i < ties.size(); ++i) {
    ties[i] = i % 32 == 0 ? 127.0f : static_cast<float>(i % 254) * 0.5f - 63.0f;
  }
  inputs.push_back(ties);
  const auto all = fast_tables();
  for (const auto& x : inputs) {
    for (const KernelTable* k : all) {
      CHECK(k->act_bytes(ActLayout::q8, n, 1) == all[0]->act_bytes(ActLayout::q8, n, 1));
      CHECK(prepare(*k, DType::Q8_0, x.data(), 1, n) ==
            prepare(*all[0], DType::Q8_0, x.data(), 1, n));
    }
  }
}

TEST_CASE("an output's bits do not depend on tokens or rows of the call", "[kernels]") {
  Rng rng(7);
  const int64_t rows = 21;
  const int64_t tokens = 70;  // more than the tile of 64
  for (const KernelTable* k : tables()) {
    for (DType type : all_dtypes()) {
      const int64_t length = dtype_info(type).block_len;
      const int64_t cols = length == 256 ? 512 : length == 64 ? 320 : 288;
      const auto w = random_weights(rng, type, rows, cols);
      const std::vector<float> x = normal(rng, tokens * cols);
      std::vector<float> one(static_cast<size_t>(tokens * rows));
      for (int64_t t = 0; t < tokens; ++t) {
        const auto act = prepare(*k, type, x.data() + t * cols, 1, cols);
        for (int64_t r = 0; r < rows; ++r) {
          k->matmul(
              {{w.data(), type, rows, cols}, act.data(), 1, r, r + 1, one.data() + t * rows, rows});
        }
      }
      INFO(k->name << " " << dtype_info(type).name);
      for (int64_t n : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 64, 65, 70}) {
        const auto act = prepare(*k, type, x.data(), n, cols);
        for (int64_t split : {int64_t{0}, int64_t{1}, int64_t{8}, int64_t{13}}) {
          std::vector<float> out(static_cast<size_t>(n * rows), NAN);
          const Matrix m = {w.data(), type, rows, cols};
          k->matmul({m, act.data(), n, 0, split, out.data(), rows});
          k->matmul({m, act.data(), n, split, rows, out.data(), rows});
          const std::vector<float> want(one.begin(), one.begin() + n * rows);
          INFO("tokens " << n << " split " << split);
          REQUIRE(same_bits(out, want));
        }
      }
    }
  }
}

TEST_CASE("packed weights give the bits of the file's", "[kernels]") {
  Rng rng(11);
  const int64_t rows = 150;  // more than a tile of 128, and not a multiple of 16
  for (const KernelTable* k : fast_tables()) {
    for (DType type : all_dtypes()) {
      if (!is_packed(recipe_of(type))) continue;
      for (int64_t cols : widths(type)) {
        const auto w = random_weights(rng, type, rows, cols);
        const auto packed = pack(type, w.data(), rows, cols);
        GuardedBuffer pb(static_cast<int64_t>(packed.size()), Flush::end);
        std::memcpy(pb.data(), packed.data(), packed.size());
        const auto floats = decoded(type, w, rows, cols);
        for (int64_t r : {int64_t{0}, int64_t{17}, rows - 1}) {
          const auto n = static_cast<size_t>(cols);
          std::vector<float> row(n, NAN), plain(n, NAN);
          k->dequantize_row({pb.data(), type, rows, cols, true}, r, row.data());
          k->dequantize_row({w.data(), type, rows, cols}, r, plain.data());
          INFO(k->name << " " << dtype_info(type).name << " row " << r);
          CHECK(same_bits(
              row, std::vector<float>(floats.begin() + r * cols, floats.begin() + (r + 1) * cols)));
          CHECK(same_bits(plain, row));
        }
        for (int64_t tokens : {1, 3, 66}) {
          const auto x = normal(rng, tokens * cols);
          const auto act = prepare(*k, type, x.data(), tokens, cols);
          std::vector<float> out(static_cast<size_t>(tokens * rows), NAN);
          const Matrix m = {pb.data(), type, rows, cols, true};
          k->matmul({m, act.data(), tokens, 0, 48, out.data(), rows});
          k->matmul({m, act.data(), tokens, 48, rows, out.data(), rows});
          INFO(k->name << " " << dtype_info(type).name << " cols " << cols << " x " << tokens);
          CHECK(same_bits(out, matmul(*k, type, w.data(), rows, cols, x.data(), tokens)));
        }
      }
    }
  }
}

TEST_CASE("products touch nothing beyond their buffers", "[kernels]") {
  Rng rng(8);
  for (const KernelTable* k : tables()) {
    for (DType type : all_dtypes()) {
      for (int64_t rows : {1, 3, 8, 13}) {
        for (int64_t cols : {widths(type).front(), widths(type)[2]}) {
          for (Flush flush : {Flush::begin, Flush::end}) {
            const int64_t tokens = 1 + static_cast<int64_t>(rng() % 9);
            const auto w = random_weights(rng, type, rows, cols);
            const auto x = normal(rng, tokens * cols);
            const ActLayout layout = k->act_layout(type);
            const int64_t act_bytes = k->act_bytes(layout, cols, tokens);
            REQUIRE(act_bytes % 64 == 0);
            GuardedBuffer wb(static_cast<int64_t>(w.size()), flush);
            GuardedBuffer xb(cols * 4, flush);
            GuardedBuffer ab(act_bytes, flush);
            GuardedBuffer ob(tokens * rows * 4, flush);
            std::memcpy(wb.data(), w.data(), w.size());
            for (int64_t t = 0; t < tokens; ++t) {
              std::memcpy(xb.data(), x.data() + t * cols, static_cast<size_t>(cols) * 4);
              k->prepare_act(layout, xb.as<float>(), cols, ab.data(), t, tokens);
            }
            k->matmul(
                {{wb.data(), type, rows, cols}, ab.data(), tokens, 0, rows, ob.as<float>(), rows});
            const auto want = matmul(*k, type, w.data(), rows, cols, x.data(), tokens);
            CHECK(std::memcmp(want.data(), ob.data(), want.size() * 4) == 0);
            GuardedBuffer row(cols * 4, flush);
            k->dequantize_row({wb.data(), type, rows, cols}, rows - 1, row.as<float>());
          }
        }
      }
    }
  }
}

TEST_CASE("a row range writes its own outputs only", "[kernels]") {
  Rng rng(9);
  for (const KernelTable* k : tables()) {
    const auto w = random_weights(rng, DType::Q8_0, 30, 64);
    const auto x = normal(rng, 2 * 64);
    const auto act = prepare(*k, DType::Q8_0, x.data(), 2, 64);
    std::vector<float> out(2 * 40, -7.0f);  // wider than the matrix
    k->matmul({{w.data(), DType::Q8_0, 30, 64}, act.data(), 2, 5, 17, out.data(), 40});
    for (size_t i = 0; i < out.size(); ++i) {
      CHECK((out[i] == -7.0f) == (i % 40 < 5 || i % 40 >= 17));
    }
  }
}
