// A block's codes apart from its scales, for every type that has codes, against the codec.
#include "quant/block_codes.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "quant/codec.h"
#include "tests/support/catch.h"

using namespace nibble;

namespace {

struct Case {
  DType type;
  int64_t len;
  std::vector<std::byte> block;
};

std::vector<Case> cases() {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<Case> out;
  int count = 0;
  const DTypeInfo* all = all_dtypes(&count);
  for (int i = 0; i < count; ++i) {
    if (code_levels(all[i].type) == nullptr) continue;
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::vector<float> x(static_cast<size_t>(all[i].block_len));
      for (float& v : x) v = normal(random);
      Case c{all[i].type, all[i].block_len, {}};
      c.block.resize(static_cast<size_t>(all[i].block_bytes));
      quantize_row(c.type, x.data(), c.len, c.block.data());
      out.push_back(std::move(c));
    }
  }
  return out;
}

std::vector<float> decoded(const Case& c, const std::vector<std::byte>& block) {
  std::vector<float> out(static_cast<size_t>(c.len));
  dequantize_row(c.type, block.data(), c.len, out.data());
  return out;
}

}  // namespace

TEST_CASE("types without codes are those of plain numbers", "[block_codes]") {
  int count = 0;
  const DTypeInfo* all = all_dtypes(&count);
  for (int i = 0; i < count; ++i) {
    CHECK((code_levels(all[i].type) == nullptr) == (all[i].block_len == 1));
  }
}

TEST_CASE("any codes can be set and decode to their levels", "[block_codes]") {
  std::mt19937 random(11);
  for (const Case& c : cases()) {
    CAPTURE(dtype_info(c.type).name);
    const CodeLevels& levels = *code_levels(c.type);
    std::uniform_int_distribution<int> any(levels.least, levels.most);
    std::vector<int8_t> codes(static_cast<size_t>(c.len));
    for (int8_t& code : codes) code = static_cast<int8_t>(any(random));
    float base[kMostBlockLen], unit[kMostBlockLen];
    block_levels(c.type, c.block.data(), base, unit);
    std::vector<std::byte> changed = c.block;
    set_block_codes(c.type, changed.data(), codes.data());
    const std::vector<float> weights = decoded(c, changed);
    float base_after[kMostBlockLen], unit_after[kMostBlockLen];
    block_levels(c.type, changed.data(), base_after, unit_after);
    for (size_t i = 0; i < weights.size(); ++i) {
      const float part = unit[i] * levels.value(codes[i]);
      // Four roundings: of the two weights that give the unit, their difference and the quotient,
      // each half an ulp (2^-24) of a number no larger than the sum below; two more here.
      const float bound =
          6 * std::ldexp(std::fabs(base[i]) + std::fabs(part) + std::fabs(unit[i]) * 128, -24);
      CHECK(std::fabs(base[i] + part - weights[i]) <= bound);
      CHECK(base_after[i] == base[i]);
      CHECK(unit_after[i] == unit[i]);
    }
  }
}

TEST_CASE("the nearest code to a decoded weight is its own", "[block_codes]") {
  for (const Case& c : cases()) {
    CAPTURE(dtype_info(c.type).name);
    const std::vector<float> weights = decoded(c, c.block);
    float base[kMostBlockLen], unit[kMostBlockLen];
    block_levels(c.type, c.block.data(), base, unit);
    std::vector<int8_t> codes;
    for (size_t i = 0; i < weights.size(); ++i) {
      codes.push_back(
          static_cast<int8_t>(nearest_code_to(*code_levels(c.type), base[i], unit[i], weights[i])));
    }
    std::vector<std::byte> again = c.block;
    set_block_codes(c.type, again.data(), codes.data());
    CHECK(decoded(c, again) == weights);
  }
}

TEST_CASE("the nearest code is the nearest of all", "[block_codes]") {
  for (const Case& c : cases()) {
    const CodeLevels& levels = *code_levels(c.type);
    float base[kMostBlockLen], unit[kMostBlockLen];
    block_levels(c.type, c.block.data(), base, unit);
    for (int step = -40; step <= 40; ++step) {
      const float x = static_cast<float>(step) * 0.0831f;
      const auto distance = [&](int code) {
        return std::fabs(base[0] + unit[0] * levels.value(code) - x);
      };
      const int found = nearest_code_to(levels, base[0], unit[0], x);
      REQUIRE(found >= levels.least);
      REQUIRE(found <= levels.most);
      for (int code = levels.least; code <= levels.most; ++code) {
        CHECK(distance(found) <= distance(code) + 1e-5f * std::fabs(unit[0]));
      }
    }
  }
}
