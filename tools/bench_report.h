#pragma once
// Results of `nibble bench` as a Markdown table, JSON or CSV. The JSON is a list of objects with
// llama-bench's key names where they mean the same, so that scripts read both.
#include <cstdint>
#include <string>
#include <vector>

namespace nibble {

struct BenchResult {
  int64_t n_prompt = 0;
  int64_t n_gen = 0;
  int64_t n_depth = 0;
  int n_threads = 0;
  std::vector<double> seconds;  // of each repetition
  double bytes_per_token = 0;   // of weights read for a decoded token
  double first_token_seconds =
      0;                       // start of the program's load to the first logits; 0: not a prompt
  int64_t resident_bytes = 0;  // after the test
};

/// What holds for all rows.
struct BenchSetup {
  std::string model_path;
  std::string model_type;  // "llama 135M Q4_1"
  std::string isa;
  std::string cpu;
  std::string test_time;  // ISO 8601
  std::string kv_type;
  int64_t model_bytes = 0;
  int64_t n_params = 0;
  int64_t n_batch = 0;
  double load_seconds = 0;
  double read_bandwidth = 0;  // bytes a second with the same number of threads; 0: not measured
};

double mean(const std::vector<double>& values) noexcept;
/// Sample standard deviation (n - 1); 0 for fewer than two.
double standard_deviation(const std::vector<double>& values) noexcept;
/// Tokens a second of each repetition.
std::vector<double> token_rates(const BenchResult& result);
/// "pp512", "tg128 @ d4096"
std::string test_name(const BenchResult& result);
/// Weight bytes read a second, decoding only; 0 for prompts.
double weight_bandwidth(const BenchResult& result);

std::string bench_markdown(const BenchSetup& setup, const std::vector<BenchResult>& results);
std::string bench_json(const BenchSetup& setup, const std::vector<BenchResult>& results);
std::string bench_csv(const BenchSetup& setup, const std::vector<BenchResult>& results);

}  // namespace nibble
