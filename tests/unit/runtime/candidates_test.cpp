// The cuts against a naive twin: everything sorted, std::exp in long double, no partial selection.
#include "runtime/engine/candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/engine/philox.h"
#include "tests/support/catch.h"

using namespace nibble;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Naive {
  int32_t id;
  long double logit;
  long double p;
};

std::vector<Naive> naive_all(const std::vector<float>& logits, double t = 1) {
  std::vector<Naive> all;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float x = std::min(logits[i], std::numeric_limits<float>::max());
    if (std::isnan(logits[i]) || x == -kInf) continue;
    all.push_back({static_cast<int32_t>(i), static_cast<long double>(x) / t, 0});
  }
  std::sort(all.begin(), all.end(), [](const Naive& a, const Naive& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  });
  long double sum = 0;
  for (const Naive& c : all) sum += std::exp(c.logit - all[0].logit);
  for (Naive& c : all) c.p = std::exp(c.logit - all[0].logit) / sum;
  return all;
}

std::vector<int32_t> sorted_ids(std::vector<Naive> list, size_t n) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < std::min(n, list.size()); ++i) ids.push_back(list[i].id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

size_t mass_prefix(const std::vector<Naive>& list, double p) {
  long double sum = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    sum += list[i].p;
    if (sum >= p) return i + 1;
  }
  return list.size();
}

std::vector<int32_t> naive_ratio(const std::vector<float>& logits, double p, double t) {
  const auto all = naive_all(logits, t);
  size_t n = 0;
  while (n < all.size() && all[n].p >= p * all[0].p) ++n;
  return sorted_ids(all, n);
}

std::vector<int32_t> naive_typical(const std::vector<float>& logits, double p) {
  auto all = naive_all(logits);
  long double entropy = 0;
  for (const Naive& c : all) entropy -= c.p > 0 ? c.p * std::log(c.p) : 0;
  std::stable_sort(all.begin(), all.end(), [&](const Naive& a, const Naive& b) {
    return std::abs(-std::log(a.p) - entropy) < std::abs(-std::log(b.p) - entropy);
  });
  return sorted_ids(all, mass_prefix(all, p));
}

std::vector<int32_t> ids_of(Candidates& c) {
  std::vector<int32_t> ids;
  for (const Candidate& x : c.list()) ids.push_back(x.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

// Standard normal by the Box-Muller transform, times `width`.
std::vector<float> random_logits(size_t n, double width, uint64_t seed) {
  std::vector<float> out(n);
  for (size_t i = 0; i < n; ++i) {
    const double u = 1 - philox_uniform(seed, 2 * i), v = philox_uniform(seed, 2 * i + 1);
    out[i] = static_cast<float>(width * std::sqrt(-2 * std::log(u)) * std::cos(6.283185307 * v));
  }
  return out;
}

const size_t kSizes[] = {1, 2, 7, 64, 65, 300, 1000, 5000, 20000};

}  // namespace

TEST_CASE("keep_top agrees with sorting everything") {
  for (const size_t n : kSizes) {
    const auto logits = random_logits(n, 3, n);
    for (const int64_t k : {1, 2, 5, 40, 63, 64, 200, 1000, 4999, 100000}) {
      Candidates c;
      c.start(logits);
      c.keep_top(k);
      REQUIRE(ids_of(c) == sorted_ids(naive_all(logits), static_cast<size_t>(k)));
      Candidates from_list;
      from_list.start(logits);
      from_list.list();
      from_list.keep_top(k);
      REQUIRE(ids_of(from_list) == ids_of(c));
    }
  }
}

TEST_CASE("keep_top of rising, falling and equal logits") {
  for (const int kind : {0, 1, 2, 3}) {
    std::vector<float> logits(3000);
    for (size_t i = 0; i < logits.size(); ++i) {
      const auto x = static_cast<float>(i);
      logits[i] = kind == 0 ? x : kind == 1 ? -x : kind == 2 ? 1.0f : static_cast<float>(i % 7);
    }
    for (const int64_t k : {1, 40, 500}) {
      Candidates c;
      c.start(logits);
      c.keep_top(k);
      REQUIRE(ids_of(c) == sorted_ids(naive_all(logits), static_cast<size_t>(k)));
    }
  }
}

TEST_CASE("keep_mass keeps the shortest prefix that reaches the mass") {
  for (const size_t n : kSizes) {
    for (const double width : {0.1, 1.0, 4.0}) {
      const auto logits = random_logits(n, width, n + 1);
      for (const double p : {0.0, 0.1, 0.5, 0.9, 0.95, 0.999}) {
        Candidates c;
        c.start(logits);
        c.keep_mass(p);
        const auto all = naive_all(logits);
        REQUIRE(ids_of(c) == sorted_ids(all, mass_prefix(all, p)));
      }
    }
  }
}

TEST_CASE("keep_ratio keeps what is likely enough, with and without temperature") {
  for (const size_t n : kSizes) {
    const auto logits = random_logits(n, 3, n + 2);
    for (const double p : {1e-30, 0.01, 0.05, 0.5, 1.0}) {
      for (const double t : {1.0, 0.5, 3.0}) {
        Candidates c;
        c.start(logits);
        c.divide(t);
        c.keep_ratio(p);
        REQUIRE(ids_of(c) == naive_ratio(logits, p, t));
        Candidates from_list;
        from_list.start(logits);
        from_list.list();
        from_list.divide(t);
        from_list.keep_ratio(p);
        REQUIRE(ids_of(from_list) == ids_of(c));
      }
    }
  }
}

TEST_CASE("keep_typical keeps what is nearest to the entropy") {
  for (const size_t n : kSizes) {
    const auto logits = random_logits(n, 2, n + 3);
    for (const double p : {0.0, 0.2, 0.5, 0.9, 0.99}) {
      Candidates c;
      c.start(logits);
      c.keep_typical(p);
      REQUIRE(ids_of(c) == naive_typical(logits, p));
    }
  }
}

TEST_CASE("at() walks the cumulated distribution") {
  // Logits whose weights are powers of two: sums are exact.
  const auto ln2 = static_cast<float>(std::log(2.0));
  std::vector<float> logits = {0, -ln2, -2 * ln2, -2 * ln2};  // 1/2, 1/4, 1/8, 1/8
  Candidates c;
  for (const bool as_list : {false, true}) {
    c.start(logits);
    if (as_list) c.list();
    CHECK(c.at(0.0) == 0);
    CHECK(c.at(0.49) == 0);
    CHECK(c.at(0.51) == 1);
    CHECK(c.at(0.74) == 1);
    CHECK(c.at(0.76) == 2);
    CHECK(c.at(0.874) == 2);
    CHECK(c.at(0.876) == 3);
    CHECK(c.at(std::nextafter(1.0, 0.0)) == 3);
  }
}

TEST_CASE("at() over several blocks agrees with the list") {
  const auto logits = random_logits(20000, 1, 9);
  Candidates whole, list;
  for (uint64_t n = 0; n < 500; ++n) {
    const double u = philox_uniform(3, n);
    whole.start(logits);
    list.start(logits);
    list.list();
    REQUIRE(whole.at(u) == list.at(u));
  }
}

TEST_CASE("best is the lowest id of the largest logits") {
  Candidates c;
  std::vector<float> logits(1000, 1.0f);
  c.start(logits);
  CHECK(c.best() == 0);
  logits[700] = logits[130] = logits[999] = 2.0f;
  c.start(logits);
  CHECK(c.best() == 130);
  c.list();
  CHECK(c.best() == 130);
}

TEST_CASE("NaN and infinities") {
  std::vector<float> logits = {kNan, -kInf, 1.0f, kNan, 3.0f, -kInf, 2.0f, kNan};
  Candidates c;
  c.start(logits);
  CHECK(c.best() == 4);
  c.keep_top(100);
  CHECK(ids_of(c) == std::vector<int32_t>{2, 4, 6});
  c.start(logits);
  c.keep_mass(0.9999999);
  CHECK(ids_of(c) == std::vector<int32_t>{2, 4, 6});
  for (uint64_t n = 0; n < 100; ++n) {
    c.start(logits);
    const int32_t id = c.at(philox_uniform(5, n));
    CHECK((id == 2 || id == 4 || id == 6));
  }
  logits[7] = kInf;  // counts as the largest float: everything else is infinitely less likely
  for (const double u : {0.0, 0.5, 0.999}) {
    c.start(logits);
    CHECK(c.at(u) == 7);
    c.start(logits);
    c.keep_mass(1.0);
    CHECK(c.at(u) == 7);
  }
  std::vector<float> nothing = {kNan, -kInf, kNan};
  c.start(nothing);
  CHECK(c.best() == -1);
  CHECK(c.empty());
}

TEST_CASE("extreme temperatures stay finite") {
  const std::vector<float> logits = {3.4e38f, -3.4e38f, 3.4e38f, 0.0f};
  Candidates c;
  for (const double t : {1e-45, 1e-30, 1.0, 1e30, 3.4e38}) {
    for (const bool as_list : {false, true}) {
      c.start(logits);
      if (as_list) c.list();
      c.divide(t);
      const int32_t low = c.at(0.1), high = c.at(0.99999);
      CHECK(low == 0);
      // At the largest temperature the differences are about 1; otherwise 0 and 2 share it all.
      CHECK((t > 1e35 ? high == 3 : high == 2));
    }
  }
}
