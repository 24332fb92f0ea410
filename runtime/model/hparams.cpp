#include "runtime/model/hparams.h"

#include <algorithm>
#include <cmath>

#include "formats/io/error.h"
#include "runtime/model/rope_freqs.h"

namespace nibble {

namespace {

int64_t in_range(const Metadata& meta, const std::string& key, int64_t value, int64_t lo,
                 int64_t hi) {
  if (value < lo || value > hi) {
    fail(ErrorCode::bad_file, "{}: key {}: expected {} to {}, got {}", meta.file(), key, lo, hi,
         value);
  }
  return value;
}

double in_range(const Metadata& meta, const std::string& key, double value, double lo, double hi) {
  if (!(value >= lo && value <= hi)) {  // also refuses NaN
    fail(ErrorCode::bad_file, "{}: key {}: expected {} to {}, got {}", meta.file(), key, lo, hi,
         value);
  }
  return value;
}

[[noreturn]] void missing(const Metadata& meta, const std::string& key) {
  fail(ErrorCode::bad_file, "{}: key {}: expected a value, got none", meta.file(), key);
}

}  // namespace

int64_t HParams::integer(std::string_view key, int64_t lo, int64_t hi) const {
  const std::optional<int64_t> value = meta_.get_int(full(key));
  if (!value) missing(meta_, full(key));
  return in_range(meta_, full(key), *value, lo, hi);
}

int64_t HParams::integer_or(std::string_view key, int64_t otherwise, int64_t lo, int64_t hi) const {
  const std::optional<int64_t> value = meta_.get_int(full(key));
  return in_range(meta_, full(key), value.value_or(otherwise), lo, hi);
}

double HParams::number(std::string_view key, double lo, double hi) const {
  const std::optional<double> value = meta_.get_float(full(key));
  if (!value) missing(meta_, full(key));
  return in_range(meta_, full(key), *value, lo, hi);
}

double HParams::number_or(std::string_view key, double otherwise, double lo, double hi) const {
  const std::optional<double> value = meta_.get_float(full(key));
  return in_range(meta_, full(key), value.value_or(otherwise), lo, hi);
}

std::string_view HParams::text_or(std::string_view key, std::string_view otherwise) const {
  return meta_.get_string(full(key)).value_or(otherwise);
}

std::vector<int64_t> HParams::per_layer(std::string_view key, int64_t n_layer, int64_t lo,
                                        int64_t hi) const {
  const std::string name = full(key);
  const MetaValue* value = meta_.find(name);
  if (value == nullptr) missing(meta_, name);
  if (value->type != MetaType::array) {
    return std::vector<int64_t>(static_cast<size_t>(n_layer), integer(key, lo, hi));
  }
  if (value->count != static_cast<uint64_t>(n_layer)) {
    fail(ErrorCode::bad_file, "{}: key {}: expected {} items, one a layer, got {}", meta_.file(),
         name, n_layer, value->count);
  }
  const std::optional<std::vector<int64_t>> items = meta_.get_ints(name);
  if (!items) missing(meta_, name);
  for (const int64_t item : *items) in_range(meta_, name, item, lo, hi);
  return *items;
}

bool HParams::boolean_or(std::string_view key, bool otherwise) const {
  return meta_.get_bool(full(key)).value_or(otherwise);
}

namespace {

struct ScalingName {
  std::string_view name;
  RopeScaling scaling;
};
constexpr ScalingName kScalings[] = {
    {"none", RopeScaling::linear},
    {"linear", RopeScaling::linear},
    {"yarn", RopeScaling::yarn},
    {"longrope", RopeScaling::longrope},
};

}  // namespace

RopeSpec HParams::rope(RopeKind kind, int64_t head_dim, int64_t n_ctx_train) const {
  RopeSpec rope;
  rope.kind = kind;
  rope.dim = integer_or("rope.dimension_count", head_dim, 2, kMaxHeadDim);
  rope.freq_base = number_or("rope.freq_base", 10000.0, 1.0, 1e12);
  const std::string_view type = text_or("rope.scaling.type", "none");
  const ScalingName* row = std::find_if(std::begin(kScalings), std::end(kScalings),
                                        [&](const ScalingName& s) { return s.name == type; });
  if (row == std::end(kScalings)) {
    fail(ErrorCode::unsupported, "{}: key {}: expected none, linear, yarn or longrope, got {}",
         meta_.file(), full("rope.scaling.type"), type);
  }
  rope.scaling = row->scaling;
  const bool has_factor =
      rope.scaling != RopeScaling::longrope && (type != "none" || has("rope.scaling.factor"));
  double factor = has_factor ? number("rope.scaling.factor", 1e-6, 1e6) : 1.0;
  if (has("rope.scaling.dynamic_factor")) {
    rope.scaling = RopeScaling::dynamic;
    factor = number("rope.scaling.dynamic_factor", 1e-6, 1e6);
  }
  rope.freq_scale = 1.0 / factor;
  rope.n_ctx_first =
      integer_or("rope.scaling.original_context_length", n_ctx_train, 1, kMaxContext);
  rope.magnitude = number_or("rope.scaling.attn_factor", 1.0, 1e-6, 1e6);
  if (rope.scaling != RopeScaling::yarn) return rope;
  // The ecosystem's factor is on top of what the method itself says.
  rope.magnitude *= yarn_magnitude(factor);
  const double multiplier = number_or("rope.scaling.yarn_log_multiplier", 0.0, 0.0, 1e6);
  if (multiplier != 0) rope.magnitude /= yarn_magnitude(factor, multiplier);
  rope.beta_fast = number_or("rope.scaling.yarn_beta_fast", 32.0, 1e-6, 1e6);
  rope.beta_slow = number_or("rope.scaling.yarn_beta_slow", 1.0, 1e-6, 1e6);
  return rope;
}

bool HParams::has(std::string_view key) const {
  return meta_.find(full(key)) != nullptr;
}

}  // namespace nibble
