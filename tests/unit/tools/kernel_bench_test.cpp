// The benchmark of kernels measures every one that it was asked for, and its tables say so. No test
// looks at a time.
#include "tools/kernel_bench.h"

#include <set>

#include "formats/io/error.h"
#include "quant/packed.h"
#include "tests/support/catch.h"
#include "tools/csv.h"
#include "tools/kernel_report.h"

using namespace nibble;

namespace {

KernelBenchOptions brief() {
  KernelBenchOptions options;
  options.tables = {best_kernels()};
  options.types = {DType::F16, DType::Q4_0, DType::Q8_0, DType::IQ4_XS};
  options.tokens = {1, 65};
  options.threads = {1, 2};
  options.rows = 48;
  options.cols = 256;
  options.seconds = 0;
  return options;
}

KernelSpeed product(int64_t tokens, double seconds) {
  KernelSpeed s;
  s.isa = "fast";
  s.kernel = "matmul";
  s.type = "Q4_0";
  s.layout = "packed";
  s.rows = 4096;
  s.cols = 2048;
  s.tokens = tokens;
  s.threads = 2;
  s.seconds = seconds;
  s.macs = 1e9 * static_cast<double>(tokens);
  s.bytes = 5e8;
  s.clock_hz = 2e9;
  return s;
}

}  // namespace

TEST_CASE("every kernel is measured once") {
  KernelBenchOptions options = brief();
  std::vector<std::string> steps;
  options.on_step = [&](const std::string& text) { steps.push_back(text); };
  const std::vector<KernelSpeed> speeds = bench_kernels(options);
  std::set<std::string> seen;
  int products = 0;
  for (const KernelSpeed& s : speeds) {
    CHECK(s.seconds > 0);
    CHECK(s.isa == options.tables[0]->name);
    seen.insert(s.kernel);
    if (s.kernel != "matmul") continue;
    ++products;
    CHECK(s.macs == 48.0 * 256 * static_cast<double>(s.tokens));
    CHECK(s.bytes > 0);
    CHECK(s.clock_hz > 1e6);
  }
  int layouts = 0;
  for (const DType type : options.types) {
    ++layouts;
    if (!options.tables[0]->takes_packed) continue;
    layouts += is_packed(recipe_of(type)) ? 1 : 0;
    layouts += is_packed(recipe_of(type, PackForm::ordered)) ? 1 : 0;
  }
  CHECK(products == layouts * 4);  // 2 numbers of tokens, 2 of threads
  for (const char* name : {"matmul", "attend", "norm", "quantize"}) CHECK(seen.count(name) == 1);
  CHECK(seen.count("int8 peak") == (options.tables[0]->int8_peak != nullptr ? 1u : 0u));
  CHECK(steps.size() > 5);
}

TEST_CASE("the reference has no peak and is measured all the same") {
  KernelBenchOptions options = brief();
  options.tables = {kernels_named("reference")};
  options.types = {DType::Q4_0};
  options.tokens = {1};
  options.threads = {1};
  for (const KernelSpeed& s : bench_kernels(options)) CHECK(s.kernel != "int8 peak");
  CHECK(measure_int8_peak(*options.tables[0], 1, 0).macs == 0);
}

TEST_CASE("a cancelled benchmark stops") {
  KernelBenchOptions options = brief();
  CancelToken cancel;
  cancel.request();
  options.cancel = &cancel;
  CHECK_THROWS_AS(bench_kernels(options), Error);
  CHECK_THROWS_AS(bench_machine(options), Error);
}

TEST_CASE("figures from times") {
  const KernelSpeed s = product(8, 0.1);  // 8e9 multiply-adds, 5e8 bytes in a tenth of a second
  CHECK(s.macs_per_second() == Approx(80e9));
  CHECK(s.bytes_per_second() == Approx(5e9));
  CHECK(s.macs_per_cycle() == Approx(20));
  CHECK(KernelSpeed().macs_per_second() == 0);
  CHECK(KernelSpeed().macs_per_cycle() == 0);
}

TEST_CASE("products stand side by side by number of tokens") {
  KernelSpeed barrier;
  barrier.kernel = "barrier";
  barrier.threads = 2;
  barrier.seconds = 250e-9;
  const std::vector<KernelSpeed> speeds = {product(1, 0.05), product(8, 0.1), barrier};
  const std::string text = kernel_markdown(speeds);
  CHECK(text.find("| isa | weights | layout | threads | 1 | 8 | MAC/cycle | GB/s |") !=
        std::string::npos);
  CHECK(text.find("| fast | Q4_0 | packed | 2 | 20.0 | 80.0 | 20.0 | 10.0 |") != std::string::npos);
  CHECK(text.find("| barrier |  |  |  |  | 2 | 250 ns |  |  |  |") != std::string::npos);

  const auto rows = kernel_rows(speeds, "a \"CPU\", of sorts", "now");
  CHECK(rows.size() == 3);
  CHECK(rows[1]["gmac_per_s"].get<double>() == Approx(80));
  CHECK(rows[2]["isa"].is_null());
  CHECK(rows[2]["gmac_per_s"].is_null());
  CHECK(rows[2]["ns"].get<double>() == Approx(250));
  const std::string csv = csv_table(rows);
  CHECK(csv.find("cpu_info,test_time,kernel,isa,") == 0);
  CHECK(csv.find("\n\"a \"\"CPU\"\", of sorts\",now,barrier,,") != std::string::npos);
}

TEST_CASE("thread counts of a table") {
  CHECK(thread_counts(1) == std::vector<int>{1});
  CHECK(thread_counts(3) == std::vector<int>{1, 2, 3});
  CHECK(thread_counts(8) == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(thread_counts(24) == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 16, 24});
  CHECK(thread_counts(0) == std::vector<int>{1});
}
