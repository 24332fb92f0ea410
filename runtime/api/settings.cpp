#include "runtime/api/settings.h"

#include "formats/io/error.h"
#include "formats/io/parse_number.h"
#include "runtime/engine/stop_matcher.h"

namespace nibble::api {
namespace {

using Text = std::string_view;
constexpr int64_t kMostInt = std::numeric_limits<int32_t>::max();

void add_bias(SamplerOptions& sampling, Text name, Text value) {
  const size_t sign = value.find_first_of("+-", 1);
  std::optional<int64_t> id;
  std::optional<double> bias;
  if (sign != Text::npos) {
    id = parse_int(value.substr(0, sign));
    const Text size = value.substr(sign + 1);
    bias = size == "inf" ? std::numeric_limits<double>::infinity() : parse_float(size);
    if (bias && value[sign] == '-') bias = -*bias;
  }
  if (!id || !bias || *id < 0 || *id > kMostInt) {
    fail(ErrorCode::bad_argument, "{}: expected ID+BIAS or ID-BIAS, got '{}'", name, value);
  }
  sampling.logit_bias.emplace_back(static_cast<int32_t>(*id), static_cast<float>(*bias));
}

void set_seed(SamplerOptions& sampling, int64_t seed) {
  sampling.random_seed = seed < 0;
  sampling.seed = seed < 0 ? 0 : static_cast<uint64_t>(seed);
}

OverflowPolicy policy_of(Text name, Text value) {
  if (value == "error") return OverflowPolicy::error;
  if (value == "drop") return OverflowPolicy::drop;
  fail(ErrorCode::bad_argument, "{}: expected error or drop, got '{}'", name, value);
}

}  // namespace

std::vector<OptionSetter> generation_options(SessionSettings& to, int32_t n_vocab) {
  SamplerOptions& s = to.sampling;
  GenerateOptions& g = to.generate;
  std::vector<OptionSetter> table;
  const auto number = [&](Text name, float SamplerOptions::*field) {
    table.push_back({name, [&s, field](Text n, Text v) { s.*field = number_option(n, v); }});
  };
  number("temp", &SamplerOptions::temperature);
  number("top-p", &SamplerOptions::top_p);
  number("min-p", &SamplerOptions::min_p);
  number("typical", &SamplerOptions::typical_p);
  number("repeat-penalty", &SamplerOptions::repeat_penalty);
  number("presence-penalty", &SamplerOptions::presence_penalty);
  number("frequency-penalty", &SamplerOptions::frequency_penalty);
  const auto whole = [&](Text name, int32_t SamplerOptions::*field, int64_t low) {
    table.push_back({name, [&s, field, low](Text n, Text v) {
                       s.*field = static_cast<int32_t>(whole_option(n, v, low, kMostInt));
                     }});
  };
  whole("top-k", &SamplerOptions::top_k, 0);
  whole("repeat-last-n", &SamplerOptions::repeat_last_n, -1);
  table.push_back({"logit-bias", [&s](Text n, Text v) { add_bias(s, n, v); }});
  table.push_back({"samplers", [&s](Text, Text v) { s.stages = split_commas(v); }});
  table.push_back({"seed", [&s](Text n, Text v) { set_seed(s, whole_option(n, v, -1)); }});
  table.push_back({"predict", [&g](Text n, Text v) { g.n_predict = whole_option(n, v, -1); }});
  table.push_back({"stop", [&g](Text, Text v) {
                     if (v.empty()) {
                       g.stop.clear();
                     } else {
                       StopMatcher({std::string(v)});  // refuses what cannot be one
                       g.stop.emplace_back(v);
                     }
                   }});
  table.push_back(
      {"overflow", [&to](Text n, Text v) { to.conversation.overflow = policy_of(n, v); }});
  table.push_back({"reserve", [&to](Text n, Text v) {
                     to.conversation.reserve = whole_option(n, v, 0, kMostInt);
                   }});
  // Each change is checked against all that was said before.
  for (OptionSetter& row : table) {
    row.set = [&s, n_vocab, set = std::move(row.set)](Text n, Text v) {
      set(n, v);
      s.check(n_vocab);
    };
  }
  return table;
}

std::vector<OptionSetter> session_options(SessionSettings& to, int32_t n_vocab) {
  std::vector<OptionSetter> table = generation_options(to, n_vocab);
  SessionOptions& o = to.session;
  table.push_back(
      {"ctx-size", [&o](Text n, Text v) { o.n_ctx = whole_option(n, v, 0, int64_t{1} << 30); }});
  table.push_back({"batch-size",
                   [&o](Text n, Text v) { o.n_batch = whole_option(n, v, 1, int64_t{1} << 16); }});
  table.push_back({"threads", [&o](Text n, Text v) {
                     o.n_threads = static_cast<int>(whole_option(n, v, 0, Team::kMostThreads));
                   }});
  const auto cache_type = [&o](Text n, Text v) {
    const KvType type = kv_type_option(n, v);
    if (o.kv_type && *o.kv_type != type) {
      fail(ErrorCode::bad_argument, "{}: expected keys and values of one type, got '{}'", n, v);
    }
    o.kv_type = type;
  };
  table.push_back({"cache-type-k", cache_type});
  table.push_back({"cache-type-v", cache_type});
  return table;
}

SessionSettings read_settings(const OpenModel& model, const nibble_option* options) {
  SessionSettings settings;
  settings.sampling = model.engine->sampling();
  apply_options(options, session_options(settings, static_cast<int32_t>(model.engine->n_vocab())));
  settings.session.n_threads = model.shared->threads_of(settings.session.n_threads);
  settings.session.thread_source = model.shared->thread_source();
  return settings;
}

}  // namespace nibble::api
