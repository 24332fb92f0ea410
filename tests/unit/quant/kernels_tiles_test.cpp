// The products in tiles of 16 tokens, on emulated tile instructions over the plain primitives: the
// results must be those of the baseline table, to the bit. So the arithmetic of the amx table is
// tested on CPUs that lack AMX; its instructions are not.
#include "tests/support/catch.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/kernel_data.h"
#include "tests/support/tile_emulated.h"
// clang-format off
#include "quant/kernels/simd_scalar.h"

namespace nibble {
namespace {
namespace simd {

// The plain wide_scales() has each factor twice, as int16.
inline wi wide_mul32(wi a, wi b) {
  return (wi)((Lanes32)a * (Lanes32)(shift_left32(b, 16) >> 16));
}

}  // namespace simd
}  // namespace
}  // namespace nibble

#include "quant/kernels/tiles.inl"
#include "quant/kernels/kernels.inl"
#include "quant/kernels/together.inl"
// clang-format on

using namespace nibble::test;
using nibble::DType;
using nibble::KernelTable;
using nibble::Matrix;
using nibble::PackForm;

namespace {

constexpr KernelTable kTiles = nibble::make_table<nibble::TokensTogether>(
    "tiles", "emulated tiles", nibble::cpu_runs_anything, nibble::Proof::none);

// Of packed weights between guard pages, as are the inputs.
std::vector<float> product(const KernelTable& k, DType type, PackForm form,
                           const std::vector<uint8_t>& w, int64_t rows, int64_t cols,
                           const std::vector<float>& x, Flush flush) {
  const int64_t tokens = static_cast<int64_t>(x.size()) / cols;
  const auto packed = pack(type, w.data(), rows, cols, form);
  const auto act = prepare(k, type, x.data(), tokens, cols);
  GuardedBuffer wb(static_cast<int64_t>(packed.size()), flush);
  GuardedBuffer ab(static_cast<int64_t>(act.size()), flush);
  std::memcpy(wb.data(), packed.data(), packed.size());
  std::memcpy(ab.data(), act.data(), act.size());
  std::vector<float> out(static_cast<size_t>(tokens * rows));
  const Matrix m = {wb.data(), type, rows, cols, true, form};
  k.matmul({m, ab.data(), tokens, 0, rows, out.data(), rows});
  return out;
}

void check_twins(DType type, PackForm form, Rng& rng) {
  const KernelTable& plain = *nibble::kernels_named("baseline");
  const int64_t cols = nibble::dtype_info(type).block_len == 256 ? 512 : 192;
  const auto w = random_weights(rng, type, 37, cols);
  for (const int64_t tokens : {1, 15, 16, 17, 33, 64, 79, 96}) {
    std::vector<float> x = normal(rng, tokens * cols);
    for (size_t i = 0; i < 32; ++i) x[i] *= 100.0f;  // a block that stands out
    const int before = nibble::tile::state.multiplications;
    const auto got = product(kTiles, type, form, w, 37, cols, x, Flush::end);
    const int64_t a_tile = type == DType::Q6_K || type == DType::Q3_K || type == DType::Q2_K ||
                                   form == PackForm::ordered
                               ? 2
                               : 1;
    // 16 rows are two vectors of 8, 37 rows three groups.
    const int64_t tiles = tokens / 16 * (cols / 32) * 2 * 3 * a_tile;
    INFO(nibble::dtype_info(type).name << " tokens " << tokens);
    CHECK(nibble::tile::state.multiplications - before == tiles);
    CHECK(!nibble::tile::state.configured);
    CHECK(same_bits(got, product(plain, type, form, w, 37, cols, x, Flush::end)));
    CHECK(same_bits(got, product(kTiles, type, form, w, 37, cols, x, Flush::begin)));
    if (form == PackForm::plain) {
      CHECK(same_bits(got, matmul(kTiles, type, w.data(), 37, cols, x.data(), tokens)));
    }
  }
}

}  // namespace

TEST_CASE("products in tiles are those of plain C++", "[kernels]") {
  Rng rng(41);
  for (const DType type : all_dtypes()) {
    if (!nibble::is_packed(nibble::recipe_of(type))) continue;
    check_twins(type, PackForm::plain, rng);
    if (nibble::is_packed(nibble::recipe_of(type, PackForm::ordered))) {
      check_twins(type, PackForm::ordered, rng);
    }
  }
}

TEST_CASE("products in tiles hold the largest codes and inputs", "[kernels]") {
  // 32 products of 127 and -128 a block: exact in int32 and, as multiples of 128, in float.
  const KernelTable& plain = *nibble::kernels_named("baseline");
  const int64_t cols = 256;
  for (const int code : {-128, 127}) {
    std::vector<uint8_t> w;
    for (int b = 0; b < 16 * cols / 32; ++b) {
      w.push_back(0x00);
      w.push_back(0x3c);  // 1
      w.insert(w.end(), 32, static_cast<uint8_t>(code));
    }
    const std::vector<float> x(static_cast<size_t>(16 * cols), 127.0f);
    const auto got = product(kTiles, DType::Q8_0, PackForm::plain, w, 16, cols, x, Flush::end);
    CHECK(same_bits(got, product(plain, DType::Q8_0, PackForm::plain, w, 16, cols, x, Flush::end)));
    CHECK(got[0] == static_cast<float>(code * 127 * cols));
  }
}
