// The sampler from outside: order, names, penalties, ties, seeds, the file's keys, and that what it
// draws has the distribution that the formulas give.
#include "runtime/engine/sampler.h"

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "formats/io/error.h"
#include "formats/tensor_file.h"
#include "runtime/engine/philox.h"
#include "tests/support/catch.h"

using namespace nibble;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// All stages off, seed fixed.
SamplerOptions plain() {
  SamplerOptions o;
  o.temperature = 1;
  o.top_k = 0;
  o.top_p = 1;
  o.min_p = 0;
  o.random_seed = false;
  o.seed = 1234;
  return o;
}

SamplerOptions greedy() {
  SamplerOptions o = plain();
  o.temperature = 0;
  return o;
}

int32_t first_of(const SamplerOptions& o, const std::vector<float>& logits,
                 const std::vector<int32_t>& history = {}) {
  Sampler sampler(o, static_cast<int32_t>(logits.size()));
  sampler.set_history(history);
  return sampler.sample(logits);
}

std::string message_of(const std::function<void()>& call, ErrorCode code) {
  try {
    call();
  } catch (const Error& e) {
    CHECK(e.code() == code);
    return e.message();
  }
  FAIL("no error");
  return {};
}

using Probabilities = std::vector<double>;  // [vocabulary], 0: cut

Probabilities softmax(const std::vector<double>& logits) {
  double max = -INFINITY, sum = 0;
  for (const double x : logits) max = std::max(max, x);
  Probabilities p;
  for (const double x : logits) p.push_back(std::exp(x - max));
  for (const double x : p) sum += x;
  for (double& x : p) x /= sum;
  return p;
}

// p of the kept, renormalized at temperature t.
Probabilities renormalized(const Probabilities& p, const std::function<bool(size_t)>& keep,
                           double t = 1) {
  Probabilities out(p.size());
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += out[i] = keep(i) ? std::pow(p[i], 1 / t) : 0;
  for (double& x : out) x /= sum;
  return out;
}

// Ids in the order of `key`, lowest first, ties by id.
std::vector<size_t> ranks(size_t n, const std::function<double(size_t)>& key) {
  std::vector<size_t> order(n);
  for (size_t i = 0; i < n; ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  return order;
}

Probabilities until_mass(const Probabilities& p, const std::vector<size_t>& order, double mass) {
  std::vector<bool> kept(p.size());
  double sum = 0;
  for (const size_t i : order) {
    kept[i] = true;
    if ((sum += p[i]) >= mass) break;
  }
  return renormalized(p, [&](size_t i) { return kept[i]; });
}

// Draws n tokens and compares with the expected distribution by Pearson's chi-square. Cells that
// expect fewer than 5 are pooled. The bound is the 1e-6 quantile by Wilson and Hilferty's cube-root
// approximation, so a correct sampler fails for one seed in a million; the seed is fixed.
void check_distribution(const SamplerOptions& o, const std::vector<float>& logits,
                        const Probabilities& expected, int n,
                        const std::vector<int32_t>& history = {}) {
  Sampler sampler(o, static_cast<int32_t>(logits.size()));
  sampler.set_history(history);
  std::vector<int> seen(logits.size());
  for (int i = 0; i < n; ++i) ++seen[static_cast<size_t>(sampler.sample(logits))];
  double statistic = 0, pool_expected = 0, pool_seen = 0;
  int cells = 0;
  const auto cell = [&](double e, double s) {
    statistic += (s - e) * (s - e) / e;
    ++cells;
  };
  for (size_t i = 0; i < seen.size(); ++i) {
    if (expected[i] == 0) {
      REQUIRE(seen[i] == 0);
    } else if (expected[i] * n >= 5) {
      cell(expected[i] * n, seen[i]);
    } else {
      pool_expected += expected[i] * n;
      pool_seen += seen[i];
    }
  }
  if (pool_expected >= 5) cell(pool_expected, pool_seen);
  if (cells < 2) return;
  const double k = cells - 1;
  const double z = 4.7534;  // standard normal quantile of 1 - 1e-6
  const double bound = k * std::pow(1 - 2 / (9 * k) + z * std::sqrt(2 / (9 * k)), 3);
  INFO("chi-square " << statistic << ", cells " << cells << ", bound " << bound);
  CHECK(statistic < bound);
}

void check_stages(size_t vocabulary, int n) {
  std::vector<float> logits(vocabulary);
  for (size_t i = 0; i < vocabulary; ++i) {
    logits[i] = static_cast<float>(8 * philox_uniform(77, i) - 4);
  }
  const std::vector<double> exact(logits.begin(), logits.end());
  const Probabilities p = softmax(exact);
  const auto order = ranks(vocabulary, [&](size_t i) { return -exact[i]; });

  check_distribution(plain(), logits, p, n);
  {
    SamplerOptions o = plain();
    o.temperature = 0.7f;
    check_distribution(o, logits,
                       renormalized(
                           p, [](size_t) { return true; }, 0.7),
                       n);
  }
  {
    SamplerOptions o = plain();
    o.top_k = 7;
    std::vector<bool> kept(vocabulary);
    for (size_t i = 0; i < 7; ++i) kept[order[i]] = true;
    check_distribution(o, logits, renormalized(p, [&](size_t i) { return kept[i]; }), n);
  }
  {
    SamplerOptions o = plain();
    o.top_p = 0.8f;
    check_distribution(o, logits, until_mass(p, order, double{0.8f}), n);
  }
  {
    SamplerOptions o = plain();
    o.min_p = 0.1f;
    const double least = double{0.1f} * p[order[0]];
    check_distribution(o, logits, renormalized(p, [&](size_t i) { return p[i] >= least; }), n);
  }
  {
    SamplerOptions o = plain();
    o.typical_p = 0.6f;
    double entropy = 0;
    for (const double x : p) entropy -= x * std::log(x);
    const auto typical =
        ranks(vocabulary, [&](size_t i) { return std::abs(-std::log(p[i]) - entropy); });
    check_distribution(o, logits, until_mass(p, typical, double{0.6f}), n);
  }
  {
    SamplerOptions o = plain();
    o.repeat_penalty = 1.3f;
    o.frequency_penalty = 0.2f;
    o.presence_penalty = 0.1f;
    o.logit_bias = {{3, 1.5f}, {4, -kInf}, {3, 0.5f}};
    const std::vector<int32_t> history = {1, 2, 2, 3, 1, 2};
    std::vector<double> changed = exact;
    changed[3] += 2;
    changed[4] = -INFINITY;
    for (const auto& [id, count] : std::map<size_t, int>{{1, 2}, {2, 3}, {3, 1}}) {
      double& x = changed[id];
      x = x > 0 ? x / double{1.3f} : x * double{1.3f};
      x -= count * double{0.2f} + double{0.1f};
    }
    check_distribution(o, logits, softmax(changed), n, history);
  }
  {
    // Everything, in the default order: the cuts see temperature 1, the draw sees 0.7.
    SamplerOptions o = plain();
    o.top_k = 20;
    o.top_p = 0.9f;
    o.min_p = 0.05f;
    o.temperature = 0.7f;
    std::vector<bool> kept(vocabulary);
    double top = 0, sum = 0;
    const size_t k = std::min<size_t>(20, vocabulary);
    for (size_t i = 0; i < k; ++i) top += p[order[i]];
    for (size_t i = 0; i < k; ++i) {
      kept[order[i]] = p[order[i]] >= double{0.05f} * p[order[0]];
      if ((sum += p[order[i]]) >= double{0.9f} * top) break;
    }
    check_distribution(o, logits,
                       renormalized(
                           p, [&](size_t i) { return kept[i]; }, 0.7),
                       n);
  }
}

}  // namespace

TEST_CASE("every stage draws what its formula says") {
  check_stages(40, 20000);
  check_stages(5000, 3000);
}

TEST_CASE("every stage draws what its formula says, a million times", "[slow]") {
  check_stages(40, 1000000);
  check_stages(300, 1000000);
}

TEST_CASE("the stages and their default order") {
  const std::vector<std::string> expected = {"logit_bias", "penalties", "top_k",       "typical",
                                             "top_p",      "min_p",     "temperature", "dist"};
  CHECK(SamplerOptions::default_stages() == expected);
  CHECK(sampler_stage_names().size() == expected.size());
  const SamplerOptions o;
  CHECK(o.temperature == 0.8f);
  CHECK(o.top_k == 40);
  CHECK(o.top_p == 0.95f);
  CHECK(o.min_p == 0.05f);
  CHECK(o.repeat_last_n == 64);
}

TEST_CASE("--samplers changes the order") {
  // Temperature 4 before top-p flattens the distribution, so more survives than after it.
  const std::vector<float> logits = {8, 4, 2, 0};
  SamplerOptions o = plain();
  o.temperature = 4;
  o.top_p = 0.9f;
  const Probabilities cold = softmax({8, 4, 2, 0}), warm = softmax({2, 1, 0.5, 0});
  o.stages = {"top_p", "temperature"};
  check_distribution(o, logits, {1, 0, 0, 0}, 1000);
  CHECK(cold[0] > 0.9);
  o.stages = {"temperature", "top_p"};
  check_distribution(o, logits, until_mass(warm, {0, 1, 2, 3}, double{0.9f}), 10000);
  o.stages = {};  // nothing but the draw
  check_distribution(o, logits, cold, 10000);
}

TEST_CASE("penalties and bias work wherever they stand") {
  const std::vector<float> logits = {3, 2.5f, 1, -1};
  SamplerOptions o = plain();
  o.repeat_penalty = 2;
  o.logit_bias = {{3, 2.0f}};
  o.temperature = 0.5f;
  // Halved by the temperature first: logits 6, 5, 2, -2; token 0 penalized, token 3 raised.
  o.stages = {"temperature", "logit_bias", "penalties"};
  check_distribution(o, logits, softmax({3, 5, 2, 0}), 10000, {0});
  o.top_k = 3;
  o.stages = {"top_k", "logit_bias", "penalties", "temperature"};
  check_distribution(o, logits, softmax({3, 5, 2, -INFINITY}), 10000, {0});
}

TEST_CASE("stages by llama.cpp's names and by common spellings") {
  for (const char* name : {"top_k", "top-k", "topk", "typ_p", "typical", "typical_p", "top-p",
                           "nucleus", "min_p", "minp", "temp", "temperature", "penalties"}) {
    SamplerOptions o = plain();
    o.stages = {name};
    CHECK_NOTHROW(o.check(10));
  }
}

TEST_CASE("a wrong list of stages is refused, and the known ones are named") {
  SamplerOptions o = plain();
  const auto check = [&] { o.check(10); };
  o.stages = {"top_k", "mirostat"};
  std::string message = message_of(check, ErrorCode::bad_argument);
  CHECK(message.find("'mirostat'") != std::string::npos);
  for (const std::string_view name : sampler_stage_names()) {
    CHECK(message.find(name) != std::string::npos);
  }
  o.stages = {""};
  message_of(check, ErrorCode::bad_argument);
  o.stages = {"top_k", "topk"};
  CHECK(message_of(check, ErrorCode::bad_argument).find("twice") != std::string::npos);
  o.stages = {"dist", "top_k"};
  CHECK(message_of(check, ErrorCode::bad_argument).find("dist") != std::string::npos);
}

TEST_CASE("options out of range are refused by name") {
  const auto refused = [](const char* name, const std::function<void(SamplerOptions&)>& change) {
    SamplerOptions o = plain();
    change(o);
    const std::string message = message_of([&] { Sampler(o, 10); }, ErrorCode::bad_argument);
    INFO(message);
    CHECK(message.find(name) == 0);
  };
  refused("temp", [](auto& o) { o.temperature = -0.1f; });
  refused("temp", [](auto& o) { o.temperature = kInf; });
  refused("temp", [](auto& o) { o.temperature = kNan; });
  refused("top-p", [](auto& o) { o.top_p = 1.01f; });
  refused("top-p", [](auto& o) { o.top_p = kNan; });
  refused("min-p", [](auto& o) { o.min_p = -0.5f; });
  refused("typical", [](auto& o) { o.typical_p = 2; });
  refused("repeat-penalty", [](auto& o) { o.repeat_penalty = 0; });
  refused("frequency-penalty", [](auto& o) { o.frequency_penalty = kInf; });
  refused("presence-penalty", [](auto& o) { o.presence_penalty = kNan; });
  refused("repeat-last-n", [](auto& o) { o.repeat_last_n = -2; });
  refused("logit-bias", [](auto& o) { o.logit_bias = {{10, 1.0f}}; });
  refused("logit-bias", [](auto& o) { o.logit_bias = {{-1, 1.0f}}; });
  refused("logit-bias", [](auto& o) { o.logit_bias = {{1, kNan}}; });
  CHECK_THROWS_AS(Sampler(plain(), 0), Error);
}

TEST_CASE("temperature 0 takes the largest logit, the lowest id of equal ones") {
  CHECK(first_of(greedy(), {1, 5, 5, 2}) == 1);
  CHECK(first_of(greedy(), {-3, -1, -1}) == 1);
  CHECK(first_of(greedy(), {kNan, -kInf, -7, kNan}) == 2);
  CHECK(first_of(greedy(), {kNan, kInf, 7, kInf}) == 1);
  // The cuts do not matter, not even typical, which may drop the likeliest token.
  SamplerOptions o = greedy();
  o.typical_p = 0.1f;
  CHECK(first_of(o, {5, 1, 1, 1, 1, 1}) == 0);
  o.stages = {"top_k"};  // greedy also without a temperature stage
  CHECK(first_of(o, {1, 5, 5, 2}) == 1);
}

TEST_CASE("ties go to the lowest id in the cuts") {
  SamplerOptions o = plain();
  o.top_k = 2;
  check_distribution(o, {1, 1, 1, 1}, {0.5, 0.5, 0, 0}, 1000);
  o = plain();
  o.top_p = 0.5f;
  check_distribution(o, {0, 1, 1, 1, 1}, until_mass(softmax({0, 1, 1, 1, 1}), {1, 2, 3, 4, 0}, 0.5),
                     1000);
  o = plain();
  o.typical_p = 0.5f;
  check_distribution(o, {1, 1, 1, 1}, {0.5, 0.5, 0, 0}, 1000);
}

TEST_CASE("the repeat penalty divides positive and multiplies negative logits") {
  SamplerOptions o = greedy();
  o.repeat_penalty = 2;
  CHECK(first_of(o, {3.9f, 2}, {0}) == 1);    // 1.95
  CHECK(first_of(o, {4.1f, 2}, {0}) == 0);    // 2.05
  CHECK(first_of(o, {-1, -1.9f}, {0}) == 1);  // -2
  CHECK(first_of(o, {-1, -2.1f}, {0}) == 0);
  o.stages = {"top_k"};  // the stage is off
  CHECK(first_of(o, {3.9f, 2}, {0}) == 0);
}

TEST_CASE("frequency counts occurrences, presence does not") {
  SamplerOptions o = greedy();
  o.frequency_penalty = 1;
  CHECK(first_of(o, {5, 2.5f}, {0, 0}) == 0);     // 3
  CHECK(first_of(o, {5, 2.5f}, {0, 0, 0}) == 1);  // 2
  o.frequency_penalty = 0;
  o.presence_penalty = 1;
  CHECK(first_of(o, {5, 3.5f}, {0, 0, 0, 0}) == 0);  // 4
}

TEST_CASE("penalties look back on the last repeat_last_n tokens") {
  SamplerOptions o = greedy();
  o.presence_penalty = 10;
  o.repeat_last_n = 2;
  CHECK(first_of(o, {5, 1, 0}, {0}) == 1);
  CHECK(first_of(o, {5, 1, 0}, {0, 2}) == 1);
  CHECK(first_of(o, {5, 1, 0}, {0, 2, 2}) == 0);
  o.repeat_last_n = 0;
  CHECK(first_of(o, {5, 1, 0}, {0}) == 0);
  o.repeat_last_n = -1;
  std::vector<int32_t> history(5000, 2);
  history[0] = 0;
  CHECK(first_of(o, {5, 1, 0}, history) == 1);
}

TEST_CASE("the history: accept, set_history, reset") {
  SamplerOptions o = greedy();
  o.presence_penalty = 10;
  Sampler sampler(o, 3);
  const std::vector<float> logits = {5, 4, 3};
  for (const int32_t expected : {0, 1, 2, 0}) {
    const int32_t id = sampler.sample(logits);
    CHECK(id == expected);
    CHECK(sampler.sample(logits) == expected);  // sampling alone changes nothing
    sampler.accept(id);
  }
  sampler.set_history(std::vector<int32_t>{0});
  CHECK(sampler.sample(logits) == 1);
  sampler.reset();
  CHECK(sampler.sample(logits) == 0);
  CHECK_THROWS_AS(sampler.accept(3), Error);
  CHECK_THROWS_AS(sampler.accept(-1), Error);
}

TEST_CASE("bias is added first") {
  SamplerOptions o = greedy();
  o.logit_bias = {{2, 5.5f}};
  CHECK(first_of(o, {5, 1, 0}) == 2);
  o.logit_bias = {{0, -kInf}};
  CHECK(first_of(o, {5, 1, 0}) == 1);
  o.logit_bias = {{2, kInf}};
  CHECK(first_of(o, {5, 1, 0}) == 2);
  o = plain();
  o.top_k = 1;
  o.logit_bias = {{2, 5.5f}};
  o.stages = {"top_k"};  // logit_bias comes first all the same
  CHECK(first_of(o, {5, 1, 0}) == 2);
}

TEST_CASE("nothing to choose from is an error") {
  const std::vector<float> nothing = {kNan, -kInf, kNan};
  for (SamplerOptions o : {plain(), greedy(), SamplerOptions{}}) {
    const std::string message = message_of([&] { first_of(o, nothing); }, ErrorCode::internal);
    CHECK(message.find("NaN") != std::string::npos);
  }
  SamplerOptions o = plain();
  o.logit_bias = {{0, -kInf}, {1, -kInf}};
  message_of([&] { first_of(o, {1, 2}); }, ErrorCode::internal);
  o.stages = {"temperature", "logit_bias", "top_p"};
  o.temperature = 2;
  message_of([&] { first_of(o, {1, 2}); }, ErrorCode::internal);
  Sampler sampler(plain(), 3);
  message_of([&] { sampler.sample(std::vector<float>{1, 2}); }, ErrorCode::bad_argument);
}

TEST_CASE("every combination of extreme options and logits gives a token of the vocabulary") {
  const float big = std::numeric_limits<float>::max();
  const float tiny = std::numeric_limits<float>::denorm_min();
  const std::vector<std::vector<float>> inputs = {
      {big, -big, 0, 1},       {-big, -big, -big, -big}, {kInf, kInf, kNan, -kInf},
      {tiny, -tiny, 0, -0.0f}, {kNan, kNan, -kInf, 3},   {big, big, big, kInf}};
  for (const auto& logits : inputs) {
    for (const float temperature : {0.0f, tiny, 1.0f, big}) {
      for (const float p : {0.0f, tiny, 1.0f}) {
        for (const float penalty : {tiny, 1.0f, big}) {
          for (const float minus : {-big, 0.0f, big}) {
            SamplerOptions o = plain();
            o.temperature = temperature;
            o.top_k = 3;
            o.top_p = o.typical_p = p;
            o.min_p = p;
            o.repeat_penalty = penalty;
            o.frequency_penalty = o.presence_penalty = minus;
            o.logit_bias = {{1, -minus}};
            for (const bool reversed : {false, true}) {
              if (reversed) std::reverse(o.stages.begin(), o.stages.end() - 1);
              const int32_t id = first_of(o, logits, {0, 1, 1, 3});
              REQUIRE(id >= 0);
              REQUIRE(id < 4);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("the seed decides, and nothing else") {
  std::vector<float> logits(100, 0.0f);
  const auto sequence = [&](uint64_t seed) {
    SamplerOptions o = plain();
    o.seed = seed;
    Sampler sampler(o, 100);
    std::vector<int32_t> out;
    for (int i = 0; i < 50; ++i) out.push_back(sampler.sample(logits));
    sampler.reset();
    for (int i = 0; i < 50; ++i) CHECK(sampler.sample(logits) == out[static_cast<size_t>(i)]);
    return out;
  };
  CHECK(sequence(1) == sequence(1));
  CHECK(sequence(1) != sequence(2));
  CHECK(sequence(1) != sequence(1ull << 32 | 1));  // all 64 bits count
  SamplerOptions o = plain();
  o.random_seed = true;
  const Sampler a(o, 100), b(o, 100);
  CHECK(a.seed() != b.seed());  // equal once in 2^64
}

TEST_CASE("draws of a seed stay what they are from release to release") {
  // 1/100 each: draw n is floor(100 * philox_uniform(seed, n)), so this pins the generator, the
  // counter and the walk.
  std::vector<float> logits(100, 0.5f);
  SamplerOptions o = plain();
  o.seed = 42;
  Sampler sampler(o, 100);
  for (uint64_t n = 0; n < 100; ++n) {
    REQUIRE(sampler.sample(logits) == static_cast<int32_t>(100 * philox_uniform(42, n)));
  }
}

namespace {

struct Keys {
  Metadata meta;
  Keys() { meta.set_file("model.gguf"); }
  Keys& number(const char* key, float value) {
    MetaValue v;
    v.key = std::string("general.sampling.") + key;
    v.type = MetaType::f32;
    v.bits = std::bit_cast<uint32_t>(value);
    meta.add(v);
    return *this;
  }
  Keys& integer(const char* key, int32_t value) {
    MetaValue v;
    v.key = std::string("general.sampling.") + key;
    v.type = MetaType::i32;
    v.bits = static_cast<uint64_t>(int64_t{value});
    meta.add(v);
    return *this;
  }
  Keys& text(const char* key, std::string_view value) {
    MetaValue v;
    v.key = std::string("general.sampling.") + key;
    v.type = MetaType::string;
    v.text = value;
    meta.add(v);
    return *this;
  }
  SamplerOptions applied() const {
    SamplerOptions o;
    o.apply_metadata(meta);
    return o;
  }
  std::string refusal() const {
    return message_of([this] { applied(); }, ErrorCode::bad_file);
  }
};

}  // namespace

TEST_CASE("the file's general.sampling.* replaces the defaults") {
  const SamplerOptions none = Keys().applied();
  CHECK(none.temperature == 0.8f);
  CHECK(none.ignored.empty());
  const SamplerOptions o = Keys()
                               .number("temp", 0.6f)
                               .integer("top_k", 20)
                               .number("top_p", 0.9f)
                               .number("min_p", 0.0f)
                               .integer("penalty_last_n", -1)
                               .number("penalty_repeat", 1.1f)
                               .applied();
  CHECK(o.temperature == 0.6f);
  CHECK(o.top_k == 20);
  CHECK(o.top_p == 0.9f);
  CHECK(o.min_p == 0.0f);
  CHECK(o.repeat_last_n == -1);
  CHECK(o.repeat_penalty == 1.1f);
  CHECK(o.ignored.empty());
}

TEST_CASE("the file's sequence of stages, and what nibble does not do") {
  const SamplerOptions o =
      Keys()
          .text("sequence", "penalties;dry;top_k;typ_p;top_p;min_p;xtc;temperature")
          .number("xtc_probability", 0.5f)
          .integer("mirostat", 0)
          .applied();
  CHECK(o.stages ==
        std::vector<std::string>{"penalties", "top_k", "typ_p", "top_p", "min_p", "temperature"});
  REQUIRE(o.ignored.size() == 3);
  CHECK(o.ignored[0].find("dry") != std::string::npos);
  CHECK(o.ignored[1].find("xtc") != std::string::npos);
  CHECK(o.ignored[2].find("xtc_probability 0.5") != std::string::npos);
  CHECK_NOTHROW(o.check(10));
}

TEST_CASE("a wrong general.sampling.* names file, key, expected, got") {
  const auto has = [](const std::string& message, const char* part) {
    INFO(message);
    CHECK(message.find(part) != std::string::npos);
  };
  std::string message = Keys().number("top_p", 1.5f).refusal();
  has(message, "model.gguf: general.sampling.top_p: expected 0 .. 1, got 1.5");
  message = Keys().number("temp", kNan).refusal();
  has(message, "general.sampling.temp");
  message = Keys().integer("penalty_last_n", -5).refusal();
  has(message, "general.sampling.penalty_last_n: expected -1");
  message = Keys().text("temp", "hot").refusal();
  has(message, "general.sampling.temp");
  message = Keys().text("sequence", "top_k;top_k").refusal();
  has(message, "general.sampling.sequence");
}
