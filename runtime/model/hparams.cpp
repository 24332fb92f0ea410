#include "runtime/model/hparams.h"

#include <cmath>

#include "formats/io/error.h"

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

double HParams::rope_freq_scale() const {
  const std::string_view type = text_or("rope.scaling.type", "none");
  if (type != "none" && type != "linear") {
    fail(ErrorCode::unsupported, "{}: key {}: expected none or linear, got {}", meta_.file(),
         full("rope.scaling.type"), type);
  }
  if (type == "none" && !has("rope.scaling.factor")) return 1.0;
  return 1.0 / number("rope.scaling.factor", 1e-6, 1e6);
}

bool HParams::has(std::string_view key) const {
  return meta_.find(full(key)) != nullptr;
}

}  // namespace nibble
