// What a user or a file may ask of the sampler: ranges, names, the keys of general.sampling.*.
#include <cmath>
#include <limits>

#include "formats/io/error.h"
#include "formats/tensor_file.h"
#include "runtime/engine/sampler.h"
#include "runtime/engine/sampler_stages.h"

namespace nibble {
namespace {

constexpr float kMaxFloat = std::numeric_limits<float>::max();
constexpr float kMinPositive = std::numeric_limits<float>::denorm_min();

struct FloatOption {
  float SamplerOptions::*value;
  const char* name;  // as flags spell it
  const char* key;   // behind general.sampling., nullptr: no such key
  float min;
  float max;
};

constexpr FloatOption kFloatOptions[] = {
    {&SamplerOptions::temperature, "temp", "temp", 0, kMaxFloat},
    {&SamplerOptions::top_p, "top-p", "top_p", 0, 1},
    {&SamplerOptions::min_p, "min-p", "min_p", 0, 1},
    {&SamplerOptions::typical_p, "typical", nullptr, 0, 1},
    {&SamplerOptions::repeat_penalty, "repeat-penalty", "penalty_repeat", kMinPositive, kMaxFloat},
    {&SamplerOptions::frequency_penalty, "frequency-penalty", nullptr, -kMaxFloat, kMaxFloat},
    {&SamplerOptions::presence_penalty, "presence-penalty", nullptr, -kMaxFloat, kMaxFloat},
};

std::string range_of(const FloatOption& option) {
  if (option.max < kMaxFloat) return fmt::format("{} .. {}", option.min, option.max);
  if (option.min == 0) return "0 or more";
  return option.min > 0 ? "more than 0" : "a finite number";
}

bool in_range(const FloatOption& option, double value) {
  return value >= double{option.min} && value <= double{option.max};  // false for NaN
}

std::string key_of(const char* name) {
  return std::string("general.sampling.") + name;
}

// A key that nibble has no counterpart for is worth a notice only if it switches something on.
void note_foreign(const Metadata& meta, const char* name, std::vector<std::string>& notes) {
  const std::optional<double> value = meta.get_float(key_of(name));
  if (value && *value != 0) notes.push_back(fmt::format("{} {}", key_of(name), *value));
}

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t end = text.find(at);
    if (const std::string_view part = text.substr(0, end); !part.empty()) {
      parts.emplace_back(part);
    }
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

std::vector<std::string> SamplerOptions::default_stages() {
  std::vector<std::string> out;
  for (const std::string_view name : sampler_stage_names()) out.emplace_back(name);
  return out;
}

void SamplerOptions::apply_metadata(const Metadata& meta) {
  for (const FloatOption& option : kFloatOptions) {
    if (option.key == nullptr) continue;
    const std::optional<double> value = meta.get_float(key_of(option.key));
    if (!value) continue;
    if (!in_range(option, *value)) {
      fail(ErrorCode::bad_file, "{}: {}: expected {}, got {}", meta.file(), key_of(option.key),
           range_of(option), *value);
    }
    this->*option.value = static_cast<float>(*value);
  }
  const auto integer = [&meta](const char* name, int64_t min, int32_t* to) {
    const std::optional<int64_t> value = meta.get_int(key_of(name));
    if (!value) return;
    constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
    if (*value < min || *value > kMax) {
      fail(ErrorCode::bad_file, "{}: {}: expected {} .. {}, got {}", meta.file(), key_of(name), min,
           kMax, *value);
    }
    *to = static_cast<int32_t>(*value);
  };
  integer("top_k", std::numeric_limits<int32_t>::min(), &top_k);
  integer("penalty_last_n", -1, &repeat_last_n);

  if (const auto sequence = meta.get_string(key_of("sequence"))) {
    std::vector<std::string> known;
    for (std::string& name : split(*sequence, ';')) {
      if (find_sampler_stage(name)) {
        known.push_back(std::move(name));
      } else {
        ignored.push_back(fmt::format("{}: stage {}", key_of("sequence"), name));
      }
    }
    try {
      sampler_stage_order(known);
    } catch (const Error& e) {
      fail(ErrorCode::bad_file, "{}: {}: {}", meta.file(), key_of("sequence"), e.message());
    }
    stages = std::move(known);
  }
  note_foreign(meta, "xtc_probability", ignored);
  note_foreign(meta, "mirostat", ignored);
}

void SamplerOptions::check(int32_t n_vocab) const {
  if (n_vocab <= 0) fail(ErrorCode::bad_argument, "vocabulary: expected tokens, got {}", n_vocab);
  for (const FloatOption& option : kFloatOptions) {
    const float value = this->*option.value;
    if (!in_range(option, double{value})) {
      fail(ErrorCode::bad_argument, "{}: expected {}, got {}", option.name, range_of(option),
           value);
    }
  }
  if (repeat_last_n < -1) {
    fail(ErrorCode::bad_argument, "repeat-last-n: expected -1 or more, got {}", repeat_last_n);
  }
  for (const auto& [id, bias] : logit_bias) {
    if (id < 0 || id >= n_vocab) {
      fail(ErrorCode::bad_argument, "logit-bias: token: expected 0 .. {}, got {}", n_vocab - 1, id);
    }
    if (std::isnan(bias)) {
      fail(ErrorCode::bad_argument, "logit-bias: token {}: expected a number, got NaN", id);
    }
  }
  sampler_stage_order(stages);
}

}  // namespace nibble
