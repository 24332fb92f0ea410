// nibble bench: speed of prompt processing and of decoding.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>

#include "tools/bench_report.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/exit_code.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/read_bandwidth.h"
#include "tools/values.h"

namespace nibble {
namespace {

using Clock = std::chrono::steady_clock;
using Text = std::string_view;
constexpr int64_t kMost = int64_t{1} << 24;

struct BenchOptions {
  std::vector<int64_t> prompts = {512};
  std::vector<int64_t> generations = {128};
  std::vector<int64_t> depths = {0};
  std::vector<int64_t> threads = {0};
  int64_t repetitions = 5;
  int64_t n_ubatch = 512;
  bool greedy = false;
  std::optional<KvType> type_k, type_v;
  std::string format = "md";
};

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void declare(CommandLine& line, BenchOptions* out) {
  const auto list = [](std::vector<int64_t>* target, int64_t low) {
    return [=](Text flag, Text text) { *target = int_list(flag, text, low, kMost, true); };
  };
  line.add({"-p,--n-prompt", "LIST", "prompt lengths, 0: none, default 512", OptionGroup::prompt,
            list(&out->prompts, 0)});
  line.add({"-n,--n-gen", "LIST", "tokens to generate, 0: none, default 128", OptionGroup::prompt,
            list(&out->generations, 0)});
  line.add({"-d,--n-depth", "LIST", "tokens in the context before a test, default 0",
            OptionGroup::prompt, list(&out->depths, 0)});
  line.add({"--greedy", "",
            "generate the likeliest tokens, as with --temp 0, instead of given ones",
            OptionGroup::prompt, [=](Text, Text) { out->greedy = true; }});
  line.add({"-t,--threads", "LIST", "threads, default 0: what suits the machine",
            OptionGroup::performance,
            [=](Text flag, Text text) { out->threads = int_list(flag, text, 0, 1024); }});
  line.add({"-r,--repetitions", "N", "measurements of each test, default 5",
            OptionGroup::performance,
            [=](Text flag, Text text) { out->repetitions = int_value(flag, text, 1, 10000); }});
  line.add({"-ub,--ubatch-size", "N", "rows of one pass through the model, default 512",
            OptionGroup::performance, [=](Text flag, Text text) {
              out->n_ubatch = int_value(flag, text, 1, 1 << 16, true);
            }});
  line.add({"-b,--batch-size", "N", "accepted for llama-bench's users; -ub decides",
            OptionGroup::performance,
            [=](Text flag, Text text) { int_value(flag, text, 1, 1 << 20, true); }});
  line.add({"-ctk,--cache-type-k", "TYPE", "type of the cache, f16 or f32", OptionGroup::advanced,
            [=](Text flag, Text text) { out->type_k = kv_type_value(flag, text); }});
  line.add({"-ctv,--cache-type-v", "TYPE", "the same; keys and values share one type",
            OptionGroup::advanced,
            [=](Text flag, Text text) { out->type_v = kv_type_value(flag, text); }});
  line.add({"-o,--output", "FORMAT", "md (default), json or csv", OptionGroup::output,
            [=](Text flag, Text text) {
              if (text != "md" && text != "json" && text != "csv") {
                usage_error(fmt::format("{}: expected md, json or csv, got '{}'", flag, text));
              }
              out->format = text;
            }});
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, 10, "model name") != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
}

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

/// A token looks up one row of the embedding table and reads every other matrix once; a tied table
/// is the output head as well and is read whole.
double bytes_per_token(const TensorFile& file) {
  double bytes = 0;
  const bool tied = file.find("output.weight") == nullptr;
  for (const TensorInfo& t : file.tensors()) {
    if (t.name == "token_embd.weight" && !tied) continue;
    bytes += static_cast<double>(t.bytes);
  }
  return bytes;
}

/// Token ids that differ from each other and mean nothing: time does not depend on them.
std::vector<int32_t> filler(int64_t count, int64_t n_vocab) {
  std::vector<int32_t> ids;
  uint32_t state = 1;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    ids.push_back(static_cast<int32_t>((state >> 8) % static_cast<uint32_t>(n_vocab)));
  }
  return ids;
}

/// Given tokens, with all logits each time; or the likeliest ones, for which less is read.
void generate_tokens(Session& session, int64_t n, bool greedy, const CancelToken& cancel) {
  const std::vector<int32_t> given = filler(n, session.engine().n_vocab());
  session.want_top(greedy ? 1 : 0);
  for (int64_t i = 0; i < n; ++i) {
    int32_t id = given[static_cast<size_t>(i)];
    if (greedy && i > 0) {
      const std::span<const float> logits = session.logits();
      id = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    }
    session.append(id, &cancel);
  }
}

double measure_once(Session& session, const BenchResult& test, bool greedy,
                    const CancelToken& cancel) {
  const int64_t n_vocab = session.engine().n_vocab();
  std::vector<int32_t> ids = filler(test.n_depth + test.n_prompt, n_vocab);
  session.rewind(test.n_depth);
  const Clock::time_point start = Clock::now();
  if (test.n_prompt > 0) session.sync(ids, &cancel);
  generate_tokens(session, test.n_gen, greedy, cancel);
  return since(start);
}

void measure(Session& session, BenchResult* test, const BenchOptions& options, double load_seconds,
             const CancelToken& cancel) {
  const int64_t n_vocab = session.engine().n_vocab();
  session.rewind(0);
  if (test->n_depth > 0) session.sync(filler(test->n_depth, n_vocab), &cancel);
  // The first run pays for cold pages; it is what a user waits for, not what the mean is of.
  const double cold = measure_once(session, *test, options.greedy, cancel);
  if (test->n_prompt > 0 && test->n_depth == 0) test->first_token_seconds = load_seconds + cold;
  for (int64_t i = 0; i < options.repetitions; ++i) {
    test->seconds.push_back(measure_once(session, *test, options.greedy, cancel));
  }
  test->resident_bytes = resident_bytes();
}

std::vector<BenchResult> plan_tests(const BenchOptions& options) {
  std::vector<BenchResult> tests;
  for (const int64_t threads : options.threads) {
    for (const int64_t depth : options.depths) {
      BenchResult test;
      test.n_threads = static_cast<int>(threads);
      test.n_depth = depth;
      for (const int64_t n : options.prompts) {
        test.n_prompt = n;
        test.n_gen = 0;
        if (n > 0) tests.push_back(test);
      }
      for (const int64_t n : options.generations) {
        test.n_prompt = 0;
        test.n_gen = n;
        if (n > 0) tests.push_back(test);
      }
    }
  }
  if (tests.empty()) usage_error("nibble bench: expected a test", "give -p or -n more than 0");
  return tests;
}

int run(const Command& self, std::span<const std::string> args) {
  ModelOptions model_options;
  BenchOptions options;
  std::vector<std::string> positionals;
  CommandLine line(self);
  add_model_options(line, &model_options);
  declare(line, &options);
  line.positionals(&positionals, 1);
  if (!line.parse(args)) return 0;
  const std::string name = take_model_name(model_options, &positionals, "bench");
  std::vector<BenchResult> tests = plan_tests(options);

  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const OpenedModel model =
      open_model(name, model_options, tests.front().n_threads, terminal, interrupt);
  ContextOptions context;
  context.n_batch = context.n_ubatch = options.n_ubatch;
  context.type_k = options.type_k;
  context.type_v = options.type_v;
  const KvType kv = session_options(context).kv_type.value_or(model.engine->kernels().default_kv);

  BenchSetup setup;
  setup.model_path = model.path;
  setup.model_type = model.engine->description();
  setup.isa = model.engine->kernels().name;
  setup.cpu = cpu_name();
  setup.test_time = utc_now();
  setup.kv_type = kv == KvType::f16 ? "f16" : "f32";
  setup.model_bytes = static_cast<int64_t>(model.engine->file().file_bytes().size());
  setup.n_params = model.engine->n_params();
  setup.n_batch = options.n_ubatch;
  setup.load_seconds = model.seconds;

  const BusyScope busy(interrupt);
  Progress progress(terminal, "Measuring", "tests");
  uint64_t done = 0;
  for (BenchResult& test : tests) {
    progress.update(done++, tests.size());
    context.n_ctx = test.n_depth + test.n_prompt + test.n_gen;
    context.n_threads = test.n_threads;
    Session session = open_session(model, context);
    test.n_threads = session.n_threads();
    test.bytes_per_token = bytes_per_token(model.engine->file());
    measure(session, &test, options, model.seconds, interrupt.token());
  }
  progress.finish();
  setup.read_bandwidth = measure_read_bandwidth(tests.front().n_threads);
  Output out;
  out.write(options.format == "json"  ? bench_json(setup, tests)
            : options.format == "csv" ? bench_csv(setup, tests)
                                      : bench_markdown(setup, tests));
  out.flush();
  return 0;
}

}  // namespace

const Command cmd_bench = {
    "bench",
    "Measure the speed of a model on this machine.",
    "-m MODEL [-p 512] [-n 128] [-d 0] [-t N] [-r 5] [-o md|json|csv]",
    "nibble bench -m model.gguf\n"
    "nibble bench -m model.gguf -p 0 -n 64 -d 0,4096 -t 1,2\n"
    "nibble bench -m model.gguf -o json > result.json\n",
    false,
    run,
};

}  // namespace nibble
