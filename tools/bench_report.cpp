// See bench_report.h.
#include "tools/bench_report.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tools/csv.h"
#include "tools/stats.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

int64_t nanoseconds(double seconds) {
  return static_cast<int64_t>(std::llround(seconds * 1e9));
}

Json row_json(const BenchSetup& setup, const BenchResult& r) {
  const std::vector<double> rates = token_rates(r);
  std::vector<int64_t> samples_ns;
  for (const double s : r.seconds) samples_ns.push_back(nanoseconds(s));
  const double bandwidth = weight_bandwidth(r);
  return {{"cpu_info", setup.cpu},
          {"backends", "CPU"},
          {"model_filename", setup.model_path},
          {"model_type", setup.model_type},
          {"model_size", setup.model_bytes},
          {"model_n_params", setup.n_params},
          {"n_batch", setup.n_batch},
          {"n_ubatch", setup.n_batch},
          {"n_threads", r.n_threads},
          {"type_k", setup.kv_type},
          {"type_v", setup.kv_type},
          {"n_prompt", r.n_prompt},
          {"n_gen", r.n_gen},
          {"n_depth", r.n_depth},
          {"test_time", setup.test_time},
          {"avg_ns", nanoseconds(mean(r.seconds))},
          {"stddev_ns", nanoseconds(standard_deviation(r.seconds))},
          {"avg_ts", mean(rates)},
          {"stddev_ts", standard_deviation(rates)},
          {"samples_ns", samples_ns},
          {"samples_ts", rates},
          {"isa", setup.isa},
          {"weight_bandwidth", bandwidth},
          {"read_bandwidth", setup.read_bandwidth},
          {"bandwidth_fraction", setup.read_bandwidth > 0 ? bandwidth / setup.read_bandwidth : 0.0},
          {"resident_bytes", r.resident_bytes},
          {"load_ns", nanoseconds(setup.load_seconds)},
          {"first_token_ns",
           r.first_token_seconds > 0 ? Json(nanoseconds(r.first_token_seconds)) : Json(nullptr)}};
}

}  // namespace

double mean(const std::vector<double>& values) noexcept {
  double sum = 0;
  for (const double v : values) sum += v;
  return values.empty() ? 0.0 : sum / static_cast<double>(values.size());
}

double standard_deviation(const std::vector<double>& values) noexcept {
  if (values.size() < 2) return 0.0;
  const double middle = mean(values);
  double sum = 0;
  for (const double v : values) sum += (v - middle) * (v - middle);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

std::vector<double> token_rates(const BenchResult& r) {
  std::vector<double> out;
  for (const double s : r.seconds) out.push_back(rate(r.n_prompt + r.n_gen, s));
  return out;
}

std::string test_name(const BenchResult& r) {
  std::string name;
  if (r.n_prompt > 0) name += fmt::format("pp{}", r.n_prompt);
  if (r.n_gen > 0) name += fmt::format("{}tg{}", name.empty() ? "" : "+", r.n_gen);
  if (r.n_depth > 0) name += fmt::format(" @ d{}", r.n_depth);
  return name;
}

double weight_bandwidth(const BenchResult& r) {
  return r.n_prompt > 0 ? 0.0 : r.bytes_per_token * mean(token_rates(r));
}

std::string bench_markdown(const BenchSetup& setup, const std::vector<BenchResult>& results) {
  std::string out =
      "| model | size | params | isa | threads | test | t/s | weights GB/s | of read bandwidth | "
      "resident | first token |\n"
      "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  for (const BenchResult& r : results) {
    const std::vector<double> rates = token_rates(r);
    const double bandwidth = weight_bandwidth(r);
    const bool decode = bandwidth > 0;
    out +=
        fmt::format("| {} | {} | {:.1f} M | {} | {} | {} | {:.2f} ± {:.2f} | {} | {} | {} | {} |\n",
                    setup.model_type, format_bytes(setup.model_bytes),
                    static_cast<double>(setup.n_params) / 1e6, setup.isa, r.n_threads, test_name(r),
                    mean(rates), standard_deviation(rates),
                    decode ? fmt::format("{:.2f}", bandwidth / 1e9) : "",
                    decode && setup.read_bandwidth > 0
                        ? fmt::format("{:.0f} %", 100 * bandwidth / setup.read_bandwidth)
                        : "",
                    format_bytes(r.resident_bytes),
                    r.first_token_seconds > 0 ? format_duration(r.first_token_seconds) : "");
  }
  out += "\n";
  if (setup.read_bandwidth > 0) {
    out += fmt::format("read bandwidth {:.1f} GB/s, ", setup.read_bandwidth / 1e9);
  }
  out += fmt::format("load {}\n", format_duration(setup.load_seconds));
  return out;
}

namespace {

Json rows_json(const BenchSetup& setup, const std::vector<BenchResult>& results) {
  Json list = Json::array();
  for (const BenchResult& r : results) list.push_back(row_json(setup, r));
  return list;
}

}  // namespace

std::string bench_json(const BenchSetup& setup, const std::vector<BenchResult>& results) {
  return rows_json(setup, results).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string bench_csv(const BenchSetup& setup, const std::vector<BenchResult>& results) {
  return csv_table(rows_json(setup, results));
}

}  // namespace nibble
