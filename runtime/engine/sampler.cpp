// The stage table and the sampler that runs down it; see sampler.h and candidates.h.
#include "runtime/engine/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <limits>
#include <random>

#include "formats/io/error.h"
#include "runtime/engine/philox.h"
#include "runtime/engine/sampler_stages.h"
#include "runtime/threads/float_environment.h"

namespace nibble {
namespace {

// Finite stays finite; NaN and infinities stay what they are.
float to_float(double x) {
  constexpr double kMax = std::numeric_limits<float>::max();
  return static_cast<float>(std::isfinite(x) ? std::clamp(x, -kMax, kMax) : x);
}

}  // namespace

// What each stage does to the candidates, in the sampler's options.
struct SamplerStages {
  static void logit_bias(Sampler& s) {
    Candidates& all = s.candidates_;
    if (s.options_.logit_bias.empty()) return;
    if (all.is_whole() && !all.has_temperature()) {
      const std::span<float> logits = all.writable();
      for (const auto& [id, bias] : s.options_.logit_bias) {
        float& logit = logits[static_cast<size_t>(id)];
        logit = to_float(double{logit} + double{bias});
      }
      return;
    }
    std::unordered_map<int32_t, double> sums;
    for (const auto& [id, bias] : s.options_.logit_bias) sums[id] += double{bias};
    for (Candidate& c : all.list()) {
      if (const auto found = sums.find(c.id); found != sums.end()) c.logit += found->second;
    }
    all.changed();
  }

  static void penalties(Sampler& s) {
    const SamplerOptions& o = s.options_;
    if (o.repeat_penalty == 1 && o.frequency_penalty == 0 && o.presence_penalty == 0) return;
    if (s.counts_.empty()) return;
    const auto penalized = [&o](double logit, int32_t count) {
      const double repeat = double{o.repeat_penalty};
      return (logit > 0 ? logit / repeat : logit * repeat) -
             (count * double{o.frequency_penalty} + double{o.presence_penalty});
    };
    Candidates& all = s.candidates_;
    if (all.is_whole() && !all.has_temperature()) {
      const std::span<float> logits = all.writable();
      for (const auto& [id, count] : s.counts_) {
        float& logit = logits[static_cast<size_t>(id)];
        logit = to_float(penalized(double{logit}, count));
      }
      return;
    }
    for (Candidate& c : all.list()) {
      const auto found = s.counts_.find(c.id);
      if (found != s.counts_.end()) c.logit = penalized(c.logit, found->second);
    }
    all.changed();
  }

  static void top_k(Sampler& s) {
    if (s.options_.top_k > 0) s.candidates_.keep_top(s.options_.top_k);
  }
  static void typical(Sampler& s) {
    if (s.options_.typical_p < 1) s.candidates_.keep_typical(double{s.options_.typical_p});
  }
  static void top_p(Sampler& s) {
    if (s.options_.top_p < 1) s.candidates_.keep_mass(double{s.options_.top_p});
  }
  static void min_p(Sampler& s) {
    if (s.options_.min_p > 0) s.candidates_.keep_ratio(double{s.options_.min_p});
  }
  static void temperature(Sampler& s) {
    if (s.options_.temperature != 1) s.candidates_.divide(double{s.options_.temperature});
  }
  // The last: sample() draws.
  static void dist(Sampler&) {}
};

namespace {

struct Stage {
  std::string_view name;
  std::string_view other_name;  // llama.cpp's, or a common one
  std::string_view short_name;
  void (*apply)(Sampler&);
};

// The default order.
constexpr std::array kStages = {
    Stage{"logit_bias", "bias", "", SamplerStages::logit_bias},
    Stage{"penalties", "penalty", "", SamplerStages::penalties},
    Stage{"top_k", "", "", SamplerStages::top_k},
    Stage{"typical", "typ_p", "typical_p", SamplerStages::typical},
    Stage{"top_p", "nucleus", "", SamplerStages::top_p},
    Stage{"min_p", "", "", SamplerStages::min_p},
    Stage{"temperature", "temp", "", SamplerStages::temperature},
    Stage{"dist", "", "", SamplerStages::dist},
};
constexpr size_t kLogitBias = 0;
constexpr size_t kPenalties = 1;
constexpr size_t kTopK = 2;
constexpr size_t kDist = kStages.size() - 1;

// top_k, top-k and topk are the same name.
bool same_name(std::string_view a, std::string_view b) {
  const auto next = [](std::string_view s, size_t& i) {
    while (i < s.size() && (s[i] == '_' || s[i] == '-')) ++i;
    return i < s.size() ? s[i++] : '\0';
  };
  size_t i = 0, j = 0;
  for (;;) {
    const char x = next(a, i);
    if (x != next(b, j)) return false;
    if (x == '\0') return !a.empty() && !b.empty();
  }
}

}  // namespace

std::vector<std::string_view> sampler_stage_names() {
  std::vector<std::string_view> names;
  for (const Stage& stage : kStages) names.push_back(stage.name);
  return names;
}

std::string sampler_stage_list() {
  std::string out;
  for (const Stage& stage : kStages) {
    if (!out.empty()) out += ", ";
    out += stage.name;
  }
  return out;
}

std::optional<size_t> find_sampler_stage(std::string_view name) {
  for (size_t i = 0; i < kStages.size(); ++i) {
    const Stage& s = kStages[i];
    if (same_name(name, s.name) || same_name(name, s.other_name) || same_name(name, s.short_name)) {
      return i;
    }
  }
  return std::nullopt;
}

std::vector<size_t> sampler_stage_order(const std::vector<std::string>& names) {
  std::vector<size_t> order;
  std::array<bool, kStages.size()> used{};
  for (const std::string& name : names) {
    const std::optional<size_t> found = find_sampler_stage(name);
    if (!found) {
      fail(ErrorCode::bad_argument, "samplers: expected some of {}, got '{}'", sampler_stage_list(),
           name);
    }
    if (used[*found]) fail(ErrorCode::bad_argument, "samplers: '{}' is there twice", name);
    if (used[kDist]) fail(ErrorCode::bad_argument, "samplers: expected dist last, got '{}'", name);
    used[*found] = true;
    order.push_back(*found);
  }
  if (!used[kLogitBias]) order.insert(order.begin(), kLogitBias);
  if (!used[kDist]) order.push_back(kDist);
  return order;
}

Sampler::Sampler(const SamplerOptions& options, int32_t n_vocab)
    : options_(options), n_vocab_(n_vocab), seed_(options.seed) {
  options_.check(n_vocab);
  order_ = sampler_stage_order(options_.stages);
  if (options_.random_seed) {
    try {
      std::random_device device;
      seed_ = uint64_t{device()} << 32 | device();
    } catch (const std::exception& e) {
      fail(ErrorCode::io, "random seed: {}", e.what());
    }
  }
}

int32_t Sampler::sample(std::span<const float> logits) {
  const DefaultFloatEnvironment as_compiled;
  if (logits.size() != static_cast<size_t>(n_vocab_)) {
    fail(ErrorCode::bad_argument, "sampler: expected {} logits, got {}", n_vocab_, logits.size());
  }
  const bool greedy = options_.temperature == 0;
  candidates_.start(logits);
  bool may_be_empty = true;
  const auto need_some = [&] {
    if (may_be_empty && candidates_.empty()) {
      fail(ErrorCode::internal, "sampler: logits: expected numbers, got only NaN and -infinity");
    }
    may_be_empty = false;
  };
  for (const size_t stage : order_) {
    if (stage <= kPenalties) {
      kStages[stage].apply(*this);
      may_be_empty = true;  // a bias may be -infinity
    } else if (!greedy) {
      need_some();
      kStages[stage].apply(*this);
    }
  }
  need_some();
  return greedy ? candidates_.best() : candidates_.at(philox_uniform(seed_, draws_++));
}

int64_t Sampler::n_top() const noexcept {
  const SamplerOptions& o = options_;
  const bool penalizes =
      o.repeat_last_n != 0 &&
      (o.repeat_penalty != 1 || o.frequency_penalty != 0 || o.presence_penalty != 0);
  if (!o.logit_bias.empty() || penalizes) return 0;
  if (o.temperature == 0) return 1;
  for (const size_t stage : order_) {
    if (stage == kTopK) return std::max(o.top_k, 0);
    if (stage > kPenalties) return 0;
  }
  return 0;
}

void Sampler::accept(int32_t id) {
  if (id < 0 || id >= n_vocab_) {
    fail(ErrorCode::bad_argument, "sampler: token: expected 0 .. {}, got {}", n_vocab_ - 1, id);
  }
  if (options_.repeat_last_n == 0) return;
  history_.push_back(id);
  ++counts_[id];
  if (options_.repeat_last_n < 0) return;
  const auto window = static_cast<size_t>(options_.repeat_last_n);
  if (history_.size() <= window) return;
  const auto left = counts_.find(history_[history_.size() - 1 - window]);
  if (--left->second == 0) counts_.erase(left);
}

void Sampler::set_history(std::span<const int32_t> ids) {
  history_.clear();
  counts_.clear();
  for (const int32_t id : ids) accept(id);
}

void Sampler::reset() {
  history_.clear();
  counts_.clear();
  draws_ = 0;
}

}  // namespace nibble
