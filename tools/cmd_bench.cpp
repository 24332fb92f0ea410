// nibble bench: speed of prompt processing and of decoding; with --kernels that of the kernels
// alone, which needs no model.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>

#include "runtime/threads/team.h"
#include "tools/bench_report.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/csv.h"
#include "tools/exit_code.h"
#include "tools/kernel_report.h"
#include "tools/machine.h"
#include "tools/model_work.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/read_bandwidth.h"
#include "tools/values.h"

namespace nibble {
namespace {

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
  bool warmup = true;
  bool bandwidth = true;
  bool kernels = false;
  KernelBenchOptions kernel;  // of --kernels
};

std::vector<DType> type_list(Text flag, Text text) {
  std::vector<DType> out;
  for (const std::string& name : split_commas(text)) {
    const DTypeInfo* type = find_dtype(name.c_str());
    if (type == nullptr) {
      usage_error(fmt::format("{}: no tensor type named '{}'", flag, name),
                  "`nibble bench --kernels` lists all of them");
    }
    out.push_back(type->type);
  }
  return out;
}

/// "4096x2048"
void set_shape(Text flag, Text text, KernelBenchOptions* out) {
  const size_t x = std::min(text.find('x'), text.size());
  const std::optional<int64_t> rows = parse_int(text.substr(0, x));
  const std::optional<int64_t> cols = parse_int(text.substr(std::min(x + 1, text.size())));
  if (!rows || !cols || *rows < 16 || *cols < 256 || *cols % 256 != 0 || *rows > kMost ||
      *cols > kMost || *rows * *cols > int64_t{1} << 32) {
    usage_error(
        fmt::format("{}: expected ROWSxCOLS, columns in multiples of 256, got '{}'", flag, text),
        "an example: 4096x2048");
  }
  out->rows = *rows;
  out->cols = *cols;
}

void declare_kernels(CommandLine& line, BenchOptions* out) {
  line.add({"--kernels", "", "measure kernels, barrier and memory instead of a model",
            OptionGroup::advanced, [=](Text, Text) { out->kernels = true; }});
  line.add({"--types", "LIST", "of weights for --kernels, default all", OptionGroup::advanced,
            [=](Text flag, Text text) { out->kernel.types = type_list(flag, text); }});
  line.add({"--tokens", "LIST", "of a product for --kernels, default 1,2,4,8,16,64,512",
            OptionGroup::advanced,
            [=](Text flag, Text text) { out->kernel.tokens = int_list(flag, text, 1, 4096); }});
  line.add({"--seconds", "S", "of each measurement for --kernels, default 0.1",
            OptionGroup::advanced, [=](Text flag, Text text) {
              out->kernel.seconds = static_cast<double>(float_value(flag, text, 0, 60));
            }});
  line.add({"--shape", "ROWSxCOLS", "of the weights for --kernels, default 4096x2048",
            OptionGroup::advanced,
            [=](Text flag, Text text) { set_shape(flag, text, &out->kernel); }});
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
  line.add({"-ctk,--cache-type-k", "TYPE", "type of the cache, f16, f32, q8 or q4",
            OptionGroup::advanced,
            [=](Text flag, Text text) { out->type_k = kv_type_value(flag, text); }});
  line.add({"-ctv,--cache-type-v", "TYPE", "the same; keys and values share one type",
            OptionGroup::advanced,
            [=](Text flag, Text text) { out->type_v = kv_type_value(flag, text); }});
  line.add({"--no-warmup", "", "the first run counts too: it is what a user waits for",
            OptionGroup::performance, [=](Text, Text) { out->warmup = false; }});
  line.add({"--no-bandwidth", "", "leave read bandwidth out, which takes time and memory",
            OptionGroup::performance, [=](Text, Text) { out->bandwidth = false; }});
  line.add({"-o,--output", "FORMAT", "md (default), json or csv", OptionGroup::output,
            [=](Text flag, Text text) {
              if (text != "md" && text != "json" && text != "csv") {
                usage_error(fmt::format("{}: expected md, json or csv, got '{}'", flag, text));
              }
              out->format = text;
            }});
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

void measure(Session& session, BenchResult* test, const BenchOptions& options, double load_seconds,
             const CancelToken& cancel) {
  const auto once = [&] {
    return time_tokens(session, {test->n_depth, test->n_prompt, test->n_gen, options.greedy},
                       &cancel);
  };
  session.rewind(0);
  if (test->n_depth > 0) {
    session.sync(filler(test->n_depth, session.engine().n_vocab()), &cancel);
  }
  // The first run pays for cold pages; it is what a user waits for, not what the mean is of.
  const double cold = once();
  if (test->n_prompt > 0 && test->n_depth == 0) test->first_token_seconds = load_seconds + cold;
  if (!options.warmup) test->seconds.push_back(cold);
  while (static_cast<int64_t>(test->seconds.size()) < options.repetitions) {
    test->seconds.push_back(once());
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

/// Tables for --isa: one by name, all that the CPU runs but the reference, or the best.
std::vector<const KernelTable*> kernel_tables(const std::string& isa) {
  if (isa.empty()) return {best_kernels()};
  if (isa != kEveryIsa) return {kernels_named(isa.c_str())};
  int count = 0;
  const KernelTable* const* all = all_kernels(&count);
  std::vector<const KernelTable*> out;
  for (int i = 0; i + 1 < count; ++i) {
    if (all[i]->supported()) out.push_back(all[i]);
  }
  return out;
}

int run_kernels(const ModelOptions& model, BenchOptions& options) {
  KernelBenchOptions& kernel = options.kernel;
  kernel.tables = kernel_tables(model.isa);
  kernel.threads.clear();
  for (const int64_t n : options.threads) {
    kernel.threads.push_back(n > 0 ? static_cast<int>(n) : default_threads());
  }
  if (kernel.types.empty()) {
    int count = 0;
    const DTypeInfo* types = all_dtypes(&count);
    for (int i = 0; i < count; ++i) kernel.types.push_back(types[i].type);
  }
  Interrupt interrupt;
  const BusyScope busy(interrupt);
  kernel.cancel = &interrupt.token();
  kernel.on_step = [](const std::string& text) { write_stderr(text + "\n"); };
  std::vector<KernelSpeed> speeds = bench_kernels(kernel);
  kernel.threads = thread_counts(*std::max_element(kernel.threads.begin(), kernel.threads.end()));
  for (KernelSpeed& s : bench_machine(kernel)) speeds.push_back(std::move(s));

  const std::string cpu = read_cpu_name("/");
  Output out;
  if (options.format == "md") {
    out.write(cpu + "\n\n" + kernel_markdown(speeds));
  } else {
    const nlohmann::ordered_json rows = kernel_rows(speeds, cpu, utc_now());
    out.write(options.format == "csv" ? csv_table(rows) : rows.dump(2) + "\n");
  }
  out.flush();
  return 0;
}

int run(const Command& self, std::span<const std::string> args) {
  ModelOptions model_options;
  BenchOptions options;
  std::vector<std::string> positionals;
  CommandLine line(self);
  add_model_options(line, &model_options, true);
  declare(line, &options);
  declare_kernels(line, &options);
  line.positionals(&positionals, 1);
  if (!line.parse(args)) return 0;
  if (options.kernels) return run_kernels(model_options, options);
  if (model_options.isa == kEveryIsa) {
    usage_error("--isa: all needs --kernels", "name one, or leave it out to get the best");
  }
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
  setup.cpu = read_cpu_name("/");
  setup.test_time = utc_now();
  setup.kv_type = kv_type_text(kv);
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
  if (options.bandwidth) setup.read_bandwidth = measure_read_bandwidth(tests.front().n_threads);
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
    "Measure the speed of a model, or of the kernels, on this machine.",
    "-m MODEL [-p 512] [-n 128] [-d 0] [-t N] [-r 5] [-o md|json|csv]\n"
    "       nibble bench --kernels [--types LIST] [--tokens LIST] [--isa NAME|all] [-t LIST]",
    "nibble bench -m model.gguf\n"
    "nibble bench -m model.gguf -p 0 -n 64 -d 0,4096 -t 1,2\n"
    "nibble bench -m model.gguf -o json > result.json\n"
    "nibble bench --kernels --types Q4_0,Q4_K --isa all -t 1,2\n",
    false,
    run,
};

}  // namespace nibble
