// See candidates.h. The passes over a whole vocabulary (up to 262,144 tokens) work in lanes of
// fixed number, which the compiler turns into vectors without changing the order of a sum.
#include "runtime/engine/candidates.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "runtime/engine/portable_exp.h"

namespace nibble {
namespace {

constexpr size_t kLanes = 8;
constexpr size_t kScan = 64;     // tokens that one comparison with a threshold passes over
constexpr size_t kBlock = 4096;  // tokens of one partial sum
constexpr size_t kSorted = 256;  // candidates that are rather sorted than put into buckets
constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();

// NaN becomes "never", +infinity the largest float.
float clean(float x) noexcept {
  const float no_nan = x >= -kLargest ? x : kNever;
  return no_nan > kLargest ? kLargest : no_nan;
}

// Largest of n values, NaN left out; -infinity if there is none.
float largest(const float* x, size_t n) noexcept {
  std::array<float, kLanes> lane;
  lane.fill(kNever);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
  }
  for (size_t j = 0; i < n; ++i, ++j) lane[j] = x[i] > lane[j] ? x[i] : lane[j];
  float out = kNever;
  for (const float v : lane) out = v > out ? v : out;
  return out;
}

// out[i] = exp(clean(x[i]) * factor - max); portable_exp makes 0 of NaN and -infinity.
void weigh_floats(const float* x, size_t n, double factor, double max, double* out) noexcept {
  // Three loops, because compilers vectorize none that mixes the choices with the exponential. The
  // first makes NaN "never", the second the largest float of +infinity.
  for (size_t i = 0; i < n; ++i) {
    const double value = double{x[i]} * factor - max;
    out[i] = value > kExpZero ? value : kExpZero;
  }
  for (size_t i = 0; i < n; ++i) out[i] = out[i] < 0.0 ? out[i] : 0.0;
  for (size_t i = 0; i < n; ++i) out[i] = portable_exp_in_range(out[i]);
}

bool larger(const Candidate& a, const Candidate& b) noexcept {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// Keeps the shortest prefix in `before` order whose weights reach `mass` and are not all 0; all if
// rounding leaves the sum short. key(c) >= 0 never falls in that order: a long list is dropped into
// buckets by it, and only the bucket in which the sum passes `mass` is sorted.
template <typename Key, typename Before>
void keep_until(std::vector<Candidate>& list, double mass, Key key, Before before) {
  constexpr size_t kBuckets = 2048;
  constexpr double kPerUnit = 64;
  const auto bucket_of = [&](const Candidate& c) {
    return static_cast<size_t>(std::min(key(c) * kPerUnit, double{kBuckets - 1}));
  };
  double sum = 0;
  auto from = list.begin();  // those before it are kept
  auto to = list.end();
  if (list.size() > kSorted) {
    std::vector<double> sums(kBuckets);
    for (const Candidate& c : list) sums[bucket_of(c)] += c.weight;
    size_t last = 0;
    while (last + 1 < kBuckets && (sums[last] <= 0 || sum + sums[last] < mass)) sum += sums[last++];
    from = std::partition(from, to, [&](const Candidate& c) { return bucket_of(c) < last; });
    to = std::partition(from, to, [&](const Candidate& c) { return bucket_of(c) == last; });
  }
  std::sort(from, to, before);
  while (from != to) {
    sum += (from++)->weight;
    if (sum > 0 && sum >= mass) break;
  }
  list.erase(from, list.end());
}

}  // namespace

void Candidates::start(std::span<const float> logits) noexcept {
  logits_ = logits;
  per_temperature_ = 1.0;
  whole_ = true;
  sorted_ = false;
}

std::span<float> Candidates::writable() {
  if (logits_.data() != copy_.data()) {
    copy_.assign(logits_.begin(), logits_.end());
    logits_ = copy_;
  }
  return copy_;
}

std::vector<Candidate>& Candidates::list() {
  if (whole_) {
    list_.clear();
    for (size_t i = 0; i < logits_.size(); ++i) {
      const float x = clean(logits_[i]);
      if (x > kNever) list_.push_back({static_cast<int32_t>(i), x * per_temperature_, 0});
    }
    whole_ = false;
    sorted_ = false;
  }
  return list_;
}

void Candidates::changed() {
  std::erase_if(list_, [](const Candidate& c) { return !(c.logit > double{kNever}); });
  for (Candidate& c : list_) c.logit = std::min(c.logit, std::numeric_limits<double>::max());
  sorted_ = false;
}

int32_t Candidates::best() const noexcept {
  if (!whole_) {
    const auto found = std::min_element(list_.begin(), list_.end(), larger);
    return found == list_.end() ? -1 : found->id;
  }
  float value = kNever;
  int32_t id = -1;
  for (size_t begin = 0; begin < logits_.size(); begin += kScan) {
    const size_t n = std::min(kScan, logits_.size() - begin);
    if (!(largest(logits_.data() + begin, n) > value)) continue;
    for (size_t i = begin; i < begin + n; ++i) {
      if (!(logits_[i] > value)) continue;
      value = logits_[i];
      id = static_cast<int32_t>(i);
    }
  }
  return id;
}

double Candidates::whole_max() const noexcept {
  return clean(largest(logits_.data(), logits_.size())) * per_temperature_;
}

void Candidates::select_top(size_t k) {
  list_.clear();
  if (k >= logits_.size() / 4) {
    list();
    std::sort(list_.begin(), list_.end(), larger);
    list_.resize(std::min(k, list_.size()));
    sorted_ = true;
    return;
  }
  // Collects what exceeds the k-th largest so far; equal ones come later, so have higher ids, and
  // lose. Each time the buffer is full it shrinks to the best k.
  const size_t capacity = 2 * k + 256;
  list_.reserve(capacity + kScan);
  float threshold = kNever;
  const auto shrink = [&] {
    if (list_.size() <= k) return;
    const auto kth = list_.begin() + static_cast<std::ptrdiff_t>(k);
    std::nth_element(list_.begin(), kth, list_.end(), larger);
    list_.resize(k);
  };
  for (size_t begin = 0; begin < logits_.size(); begin += kScan) {
    const size_t n = std::min(kScan, logits_.size() - begin);
    if (!(largest(logits_.data() + begin, n) > threshold)) continue;
    for (size_t i = begin; i < begin + n; ++i) {
      if (!(logits_[i] > threshold)) continue;
      list_.push_back({static_cast<int32_t>(i), clean(logits_[i]), 0});
    }
    if (list_.size() >= capacity) {
      shrink();
      const auto last = std::max_element(list_.begin(), list_.end(), larger);
      threshold = static_cast<float>(last->logit);
    }
  }
  shrink();
  for (Candidate& c : list_) c.logit *= per_temperature_;
  std::sort(list_.begin(), list_.end(), larger);
  whole_ = false;
  sorted_ = true;
}

void Candidates::sort_by_logit() {
  if (sorted_) return;
  std::sort(list_.begin(), list_.end(), larger);
  sorted_ = true;
}

double Candidates::list_max() const noexcept {
  double max = -std::numeric_limits<double>::infinity();
  for (const Candidate& c : list_) max = std::max(max, c.logit);
  return max;
}

double Candidates::weigh() {
  const double max = list_max();
  double sum = 0;
  for (Candidate& c : list_) {
    c.weight = portable_exp(c.logit - max);
    sum += c.weight;
  }
  return sum;
}

double Candidates::weight_sum(std::span<const float> logits, double max) const noexcept {
  std::array<double, kLanes> lane{};
  std::array<double, kScan> weights;
  for (size_t begin = 0; begin < logits.size(); begin += kScan) {
    const size_t n = std::min(kScan, logits.size() - begin);
    weigh_floats(logits.data() + begin, n, per_temperature_, max, weights.data());
    for (size_t i = 0; i < n; ++i) lane[i % kLanes] += weights[i];
  }
  double sum = 0;
  for (const double v : lane) sum += v;
  return sum;
}

void Candidates::keep_top(int64_t k) {
  const auto n = static_cast<size_t>(k);
  if (whole_) {
    select_top(n);
  } else if (n < list_.size()) {
    if (!sorted_) {
      std::nth_element(list_.begin(), list_.begin() + k, list_.end(), larger);
    }
    list_.resize(n);
    sort_by_logit();
  }
}

void Candidates::keep_mass(double p) {
  bool reached = false;
  double target = 0;
  if (whole_) {
    // Almost always a few tokens reach it: look at those before listing the vocabulary.
    target = p * weight_sum(logits_, whole_max());
    for (const size_t k : {kSorted, 16 * kSorted}) {
      if (k >= logits_.size()) break;
      select_top(k);
      reached = weigh() >= target;
      if (reached) break;
      whole_ = true;
    }
  }
  if (!reached) {
    list();
    target = p * weigh();
  }
  const double max = list_max();
  sorted_ = list_.size() <= kSorted;
  keep_until(
      list_, target, [max](const Candidate& c) { return max - c.logit; }, larger);
}

void Candidates::keep_ratio(double p) {
  if (whole_) {
    const double max = whole_max();
    // A little below ln p: the exact comparison follows.
    const double near = (max + std::log(p) * (1 + 1e-9) - 1e-9) / per_temperature_;
    const float threshold = near > -double{kLargest} ? static_cast<float>(near) : -kLargest;
    const float below = std::nextafter(threshold, kNever);
    list_.clear();
    for (size_t begin = 0; begin < logits_.size(); begin += kScan) {
      const size_t n = std::min(kScan, logits_.size() - begin);
      if (!(largest(logits_.data() + begin, n) > below)) continue;
      for (size_t i = begin; i < begin + n; ++i) {
        if (!(logits_[i] > below)) continue;
        list_.push_back({static_cast<int32_t>(i), clean(logits_[i]) * per_temperature_, 0});
      }
    }
    whole_ = false;
    sorted_ = false;
  }
  weigh();
  std::erase_if(list_, [p](const Candidate& c) { return !(c.weight >= p); });
}

void Candidates::keep_typical(double p) {
  // -log p(x) - H = (log Z - x) - (log Z - E[x]) = E[x] - x: no logarithm is needed.
  list();
  const double sum = weigh();
  const double max = list_max();
  double products = 0;
  for (const Candidate& c : list_) products += c.weight * std::max(c.logit - max, -1e4);
  const double mean = max + products / sum;
  const auto distance = [mean](const Candidate& c) { return std::abs(c.logit - mean); };
  const auto nearer = [distance](const Candidate& a, const Candidate& b) {
    const double da = distance(a), db = distance(b);
    return da != db ? da < db : a.id < b.id;
  };
  keep_until(list_, p * sum, distance, nearer);
  sorted_ = false;
}

void Candidates::divide(double t) {
  if (whole_) {
    per_temperature_ = 1.0 / t;
  } else {
    for (Candidate& c : list_) c.logit *= 1.0 / t;
  }
}

int32_t Candidates::at(double u) {
  if (whole_) return whole_at(u);
  const double target = u * weigh();
  double sum = 0;
  int32_t last = -1;  // rounding may leave the sum at or below the target
  for (const Candidate& c : list_) {
    if (c.weight <= 0) continue;
    sum += c.weight;
    last = c.id;
    if (sum > target) break;
  }
  return last;
}

int32_t Candidates::whole_at(double u) const {
  const double max = whole_max();
  const auto block = [&](size_t b) {
    return logits_.subspan(b * kBlock, std::min(kBlock, logits_.size() - b * kBlock));
  };
  std::vector<double> sums((logits_.size() + kBlock - 1) / kBlock);
  double total = 0;
  for (size_t b = 0; b < sums.size(); ++b) {
    sums[b] = weight_sum(block(b), max);
    total += sums[b];
  }
  const double target = u * total;
  double before = 0;
  int32_t last = -1;  // rounding may leave the sum at or below the target
  for (size_t b = 0; b < sums.size(); ++b) {
    if (sums[b] <= 0) continue;
    if (before + sums[b] <= target && b + 1 < sums.size()) {
      before += sums[b];
      continue;
    }
    for (size_t i = b * kBlock; i < b * kBlock + block(b).size(); ++i) {
      const double weight = portable_exp(clean(logits_[i]) * per_temperature_ - max);
      if (weight <= 0) continue;
      before += weight;
      last = static_cast<int32_t>(i);
      if (before > target) return last;
    }
  }
  return last;
}

}  // namespace nibble
