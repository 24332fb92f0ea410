// Figures as text: the stats line and block, progress, bench reports, .npy headers.
#include <nlohmann/json.hpp>

#include "tests/support/catch.h"
#include "tools/bench_report.h"
#include "tools/npy.h"
#include "tools/progress.h"
#include "tools/stats.h"

using namespace nibble;

TEST_CASE("the stats line") {
  AnswerStats s;
  s.prompt_tokens = 1124;
  s.prompt_seconds = 10;
  s.answer_tokens = 143;
  s.evaluated_tokens = 142;
  s.answer_seconds = 10;
  s.context_used = 1834;
  s.context_size = 8192;
  CHECK(stats_line(s) == "[ Prompt: 112.4 t/s | Generation: 14.2 t/s | ctx 1834/8192 ]");
  CHECK(stats_line({}) == "[ Prompt: 0.0 t/s | Generation: 0.0 t/s | ctx 0/0 ]");
}

TEST_CASE("the stats block has ollama's lines") {
  AnswerStats s;
  s.total_seconds = 4.5382;
  s.load_seconds = 0.0201;
  s.prompt_tokens = 26;
  s.prompt_seconds = 0.13;
  s.answer_tokens = 298;
  s.evaluated_tokens = 298;
  s.answer_seconds = 4.0;
  s.reused_tokens = 12;
  s.threads = 2;
  const std::string block = stats_block(s, 123'456'789);
  for (const char* line :
       {"total duration:       4.538s\n", "load duration:        20.1ms\n",
        "prompt eval count:    26 token(s)\n", "prompt eval duration: 130.0ms\n",
        "prompt eval rate:     200.00 tokens/s\n", "eval count:           298 token(s)\n",
        "eval duration:        4.000s\n", "eval rate:            74.50 tokens/s\n",
        "reused tokens:        12 token(s)\n", "peak memory:          123.5 MB\n",
        "threads:              2\n"}) {
    INFO(line);
    CHECK(block.find(line) != std::string::npos);
  }
}

TEST_CASE("durations and sizes") {
  CHECK(format_duration(62.5) == "1m2.5s");
  CHECK(format_duration(0.0123) == "12.3ms");
  CHECK(format_duration(0.000045) == "45µs");
  CHECK(format_bytes(999) == "999 B");
  CHECK(format_bytes(98'400'000) == "98.4 MB");
  CHECK(format_bytes(1'210'000'000) == "1.21 GB");
}

TEST_CASE("a progress line fits the terminal") {
  CHECK(progress_line("Loading", "B", 510'000'000, 1'020'000'000, 3, 80) ==
        "Loading [###############---------------]  50 %  510/1020 MB  ETA 3 s");
  for (int columns = 1; columns < 120; ++columns) {
    CHECK(progress_line("Reading", "tokens", 7, 9, 1, columns).size() <
          static_cast<size_t>(columns) + 1);
  }
  CHECK(progress_line("x", "tokens", 0, 0, 0, 80).find("  0 %") != std::string::npos);
}

TEST_CASE(".npy headers as numpy writes them") {
  const std::string header = npy_header(3, 49152);
  CHECK(header.size() % 64 == 0);
  CHECK(header.compare(0, 8, std::string("\x93NUMPY\x01\x00", 8)) == 0);
  const auto length = static_cast<size_t>(static_cast<unsigned char>(header[8])) +
                      256 * static_cast<size_t>(static_cast<unsigned char>(header[9]));
  CHECK(length + 10 == header.size());
  CHECK(header.back() == '\n');
  CHECK(header.find("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 49152), }") == 10);
}

namespace {

BenchResult decode_result() {
  BenchResult r;
  r.n_gen = 10;
  r.n_depth = 64;
  r.n_threads = 2;
  r.seconds = {1.0, 0.5};  // 10 and 20 tokens/s
  r.bytes_per_token = 1e9;
  r.resident_bytes = 1000;
  return r;
}

}  // namespace

TEST_CASE("mean, deviation, bandwidth") {
  CHECK(mean({10, 20}) == Approx(15));
  CHECK(standard_deviation({10, 20}) == Approx(7.0710678));
  CHECK(standard_deviation({10}) == 0);
  CHECK(test_name(decode_result()) == "tg10 @ d64");
  CHECK(weight_bandwidth(decode_result()) == Approx(15e9));
  BenchResult prompt;
  prompt.n_prompt = 512;
  prompt.seconds = {1};
  CHECK(test_name(prompt) == "pp512");
  CHECK(weight_bandwidth(prompt) == 0);
}

TEST_CASE("the JSON report is a list with llama-bench's keys") {
  BenchSetup setup;
  setup.model_path = "a\"b.gguf";
  setup.read_bandwidth = 30e9;
  const auto list = nlohmann::json::parse(bench_json(setup, {decode_result()}));
  REQUIRE(list.is_array());
  REQUIRE(list.size() == 1);
  const auto& row = list[0];
  CHECK(row["n_prompt"] == 0);
  CHECK(row["n_gen"] == 10);
  CHECK(row["avg_ts"] == Approx(15));
  CHECK(row["stddev_ts"] == Approx(7.0710678));
  CHECK(row["samples_ns"] == nlohmann::json({1000000000, 500000000}));
  CHECK(row["bandwidth_fraction"] == Approx(0.5));
  CHECK(row["first_token_ns"].is_null());
  const std::string csv = bench_csv(setup, {decode_result()});
  CHECK(csv.find("\"a\"\"b.gguf\"") != std::string::npos);
  CHECK(bench_markdown(setup, {decode_result()}).find("| 15.00 ± 7.07 | 15.00 | 50 % |") !=
        std::string::npos);
}
