// Tables against each other. All prepare the same inputs and add up the same integers; where their
// floats are rounded alike as well, all results are equal to the bit.
#include <string>

#include "tests/support/catch.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/kernel_data.h"

using namespace nibble;
using namespace nibble::test;

namespace {

// Tables that round alike: those without and those with a fused product. The first of each that
// this CPU runs is what the others are compared with.
const std::vector<std::vector<std::string>> kFamilies = {
    {"baseline", "sse"}, {"avx2", "avxvnni", "avx512", "amx"}, {"neon", "dotprod", "i8mm"}};

std::vector<std::vector<const KernelTable*>> families() {
  std::vector<std::vector<const KernelTable*>> out;
  for (const auto& names : kFamilies) {
    out.emplace_back();
    for (const std::string& name : names) {
      const KernelTable* k = kernels_named(name.c_str());
      if (k != nullptr && k->supported()) out.back().push_back(k);
    }
  }
  return out;
}

// Calls check(first, other) for each pair of a family.
template <class Check>
void for_each_twin(Check check) {
  for (const auto& family : families()) {
    for (size_t i = 1; i < family.size(); ++i) {
      INFO(family[i]->name << " and " << family[0]->name);
      check(*family[0], *family[i]);
    }
  }
}

// out [tokens, rows] of packed weights; every buffer ends or begins at guarded memory.
std::vector<float> packed_product(const KernelTable& k, DType type, const std::vector<uint8_t>& w,
                                  int64_t rows, int64_t cols, const std::vector<float>& x,
                                  Flush flush) {
  const int64_t tokens = static_cast<int64_t>(x.size()) / cols;
  const auto packed = pack(type, w.data(), rows, cols);
  const auto act = prepare(k, type, x.data(), tokens, cols);
  GuardedBuffer wb(static_cast<int64_t>(packed.size()), flush);
  GuardedBuffer ab(static_cast<int64_t>(act.size()), flush);
  GuardedBuffer ob(tokens * rows * 4, flush);
  std::memcpy(wb.data(), packed.data(), packed.size());
  std::memcpy(ab.data(), act.data(), act.size());
  k.matmul({{wb.data(), type, rows, cols, true}, ab.data(), tokens, 0, rows, ob.as<float>(), rows});
  std::vector<float> out(static_cast<size_t>(tokens * rows));
  std::memcpy(out.data(), ob.data(), out.size() * sizeof(float));
  return out;
}

// Inputs with an outlying block in some rows, so that both planes of inputs occur.
std::vector<float> uneven_inputs(Rng& rng, int64_t tokens, int64_t cols) {
  std::vector<float> x = normal(rng, tokens * cols);
  for (int64_t t = 0; t < tokens; t += 3) {
    for (int64_t i = 0; i < 32; ++i) x[static_cast<size_t>(t * cols + i)] *= 100.0f;
  }
  return x;
}

}  // namespace

TEST_CASE("tables that round alike give the same products, guarded on both sides", "[kernels]") {
  Rng rng(31);
  for (const DType type : all_dtypes()) {
    if (!is_packed(recipe_of(type))) continue;
    const int64_t cols = dtype_info(type).block_len == 256 ? 512 : 192;
    const auto w = random_weights(rng, type, 21, cols);
    for (const int64_t tokens : {1, 2, 3, 5, 15, 16, 17, 31, 33, 63, 64, 66}) {
      const std::vector<float> x = uneven_inputs(rng, tokens, cols);
      for_each_twin([&](const KernelTable& a, const KernelTable& b) {
        INFO(dtype_info(type).name << " tokens " << tokens);
        const auto want = packed_product(a, type, w, 21, cols, x, Flush::begin);
        CHECK(same_bits(packed_product(b, type, w, 21, cols, x, Flush::begin), want));
        CHECK(same_bits(packed_product(b, type, w, 21, cols, x, Flush::end), want));
        CHECK(same_bits(matmul(b, type, w.data(), 21, cols, x.data(), tokens), want));
      });
    }
  }
}

TEST_CASE("extreme codes and inputs overflow nowhere", "[kernels]") {
  // Every bit of the codes and scales set, none, or the highest of each byte, and inputs of the
  // largest size that int8 has. The integers are those of plain C++, so results differ by the
  // roundings of floats alone: in each of the two tables at most 10 a block and 5 more, each of a
  // partial sum that is below the sum of |x| times the largest weight, 128 * 128 * 1 for any type.
  const int64_t rows = 5;
  const KernelTable& plain = *kernels_named("baseline");
  for (const DType type : all_dtypes()) {
    if (is_float(type)) continue;
    const int64_t cols = dtype_info(type).block_len == 256 ? 256 : 64;
    for (const int fill : {0x00, 0xff, 0x80, 0x7f, 0xf0, 0x0f, 0x88}) {
      Rng fixed(32);
      std::vector<uint8_t> w = random_weights(fixed, type, rows, cols, [] {
        return static_cast<uint16_t>(0x3c00);  // 1
      });
      for_each_type(AllTypes{}, [&]<class Block>() {
        if (Block::kType != type) return;
        for (size_t at = 0; at < w.size(); at += sizeof(Block)) {
          Block b;
          std::memset(static_cast<void*>(&b), fill, sizeof(b));
          if constexpr (requires { b.d; }) b.d = 0x3c00;
          if constexpr (requires { b.m; }) b.m = 0x3c00;
          if constexpr (requires { b.dmin; }) b.dmin = 0x3c00;
          std::memcpy(w.data() + at, &b, sizeof(b));
        }
      });
      for (const int signs : {0, 1, 2}) {
        const int64_t tokens = 18;
        std::vector<float> x(static_cast<size_t>(tokens * cols));
        for (size_t i = 0; i < x.size(); ++i) {
          x[i] = signs == 0 || (signs == 2 && i % 2 == 0) ? 127.0f : -127.0f;
        }
        const double size = 127.0 * static_cast<double>(cols) * 128 * 128;
        const double bound = 2 * 0x1p-24 * static_cast<double>(cols / 32 * 10 + 5) * size;
        const auto want = matmul(plain, type, w.data(), rows, cols, x.data(), tokens);
        for (const KernelTable* k : fast_tables()) {
          const auto got = packed_product(*k, type, w, rows, cols, x, Flush::end);
          double worst = 0;
          for (size_t i = 0; i < got.size(); ++i) {
            const double off = static_cast<double>(got[i]) - static_cast<double>(want[i]);
            worst = std::max(worst, std::fabs(off));
          }
          INFO(k->name << " " << dtype_info(type).name << " fill " << fill << " signs " << signs);
          CHECK(worst <= bound);
        }
      }
    }
  }
}

TEST_CASE("tables that round alike agree on float rows", "[kernels]") {
  Rng rng(33);
  for (const int64_t n : {1, 5, 8, 31, 64, 577}) {
    const std::vector<float> x = normal(rng, n, 3.0f);
    const std::vector<float> y = normal(rng, n);
    for_each_twin([&](const KernelTable& a, const KernelTable& b) {
      const auto run = [&](const KernelTable& k) {
        std::vector<float> out(static_cast<size_t>(4 * n));
        k.rms_norm(x.data(), y.data(), n, 1e-5f, out.data());
        k.glu(Activation::silu, x.data(), y.data(), n, out.data() + n);
        k.glu(Activation::gelu_tanh, x.data(), y.data(), n, out.data() + 2 * n);
        std::memcpy(out.data() + 3 * n, x.data(), static_cast<size_t>(n) * sizeof(float));
        k.softcap(out.data() + 3 * n, n, 2.0f);
        return out;
      };
      INFO("n " << n);
      CHECK(same_bits(run(a), run(b)));
    });
  }
}

TEST_CASE("all tables agree on every half", "[kernels]") {
  // A row of one half times 1 and others times 0: what the conversion of weights gives.
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  const int64_t cols = 8;
  const auto rows = static_cast<int64_t>(halves.size()) / cols;
  for (int64_t lane = 0; lane < cols; ++lane) {
    std::vector<float> x(static_cast<size_t>(cols), 0.0f);
    x[static_cast<size_t>(lane)] = 1.0f;
    const KernelTable& plain = *kernels_named("baseline");
    const auto want = matmul(plain, DType::F16, halves.data(), rows, cols, x.data(), 1);
    for (const KernelTable* k : fast_tables()) {
      const auto got = matmul(*k, DType::F16, halves.data(), rows, cols, x.data(), 1);
      size_t wrong = 0;
      for (size_t i = 0; i < want.size(); ++i) {
        const bool both_nan = std::isnan(want[i]) && std::isnan(got[i]);
        wrong += std::memcmp(&want[i], &got[i], 4) != 0 && !both_nan ? 1 : 0;
      }
      INFO(k->name);
      CHECK(wrong == 0);
    }
  }
}
