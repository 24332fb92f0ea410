#include "runtime/engine/philox.h"

#include "tests/support/catch.h"

using namespace nibble;

// The three known answers for philox4x32-10 that its authors publish with Random123 (kat_vectors):
// all bits zero, all bits one, digits of pi.
TEST_CASE("philox4x32-10 gives the published answers") {
  using Block = std::array<uint32_t, 4>;
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr uint32_t kOnes = 0xffffffff;
  CHECK(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
        Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a uniform draw is the first two words of its block, and below 1") {
  const auto block = philox4x32({7, 1, 0, 0}, {0x89abcdef, 0x01234567});
  const double expected =
      static_cast<double>((uint64_t{block[0]} << 32 | block[1]) >> 11) / 9007199254740992.0;
  CHECK(philox_uniform(0x0123456789abcdef, 0x100000007) == expected);
  for (uint64_t n = 0; n < 10000; ++n) {
    const double u = philox_uniform(42, n);
    REQUIRE(u >= 0.0);
    REQUIRE(u < 1.0);
  }
}
