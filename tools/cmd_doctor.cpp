// nibble doctor: what bounds the speed of a model on this machine, and what slows it.
#include <algorithm>
#include <chrono>
#include <thread>

#include "runtime/engine/memory_plan.h"
#include "runtime/model/model.h"
#include "runtime/threads/team.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/doctor.h"
#include "tools/exit_code.h"
#include "tools/model_work.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/paths.h"
#include "tools/values.h"

namespace nibble {
namespace {

using Text = std::string_view;

constexpr double kSecondsEach = 0.1;                     // of a measurement of the machine
constexpr auto kWatch = std::chrono::milliseconds(300);  // how long other programs are watched
constexpr double kModelSeconds = 1.5;                    // of prompt, and of answer, at most

struct DoctorOptions {
  int threads = 0;
  bool json = false;
};

std::vector<KernelChoice> kernel_choices() {
  std::vector<KernelChoice> out;
  int count = 0;
  const KernelTable* const* all = all_kernels(&count);
  for (int i = 0; i + 1 < count; ++i) {
    out.push_back({all[i]->name, all[i]->description, all[i]->supported()});
  }
  return out;
}

/// This program sleeps meanwhile, so all that is busy is others.
void watch_others(Diagnosis* out) {
  const auto before = read_cpu_times("/");
  std::this_thread::sleep_for(kWatch);
  const auto after = read_cpu_times("/");
  if (!before || !after || after->total() <= before->total()) return;
  const auto total = static_cast<double>(after->total() - before->total());
  out->others_cpus =
      static_cast<double>(after->busy - before->busy) / total * out->machine.online_cpus;
  out->stolen = static_cast<double>(after->stolen - before->stolen) / total;
}

void measure_bounds(const KernelTable& table, const CancelToken& cancel, Diagnosis* out) {
  KernelBenchOptions options;
  options.threads = thread_counts(out->threads);
  options.seconds = kSecondsEach;
  options.cancel = &cancel;
  for (KernelSpeed& s : bench_machine(options)) {
    (s.kernel == "read" ? out->read : out->barrier).push_back(std::move(s));
  }
  for (const int n : options.threads) {
    KernelSpeed peak = measure_int8_peak(table, n, kSecondsEach);
    if (peak.macs > 0) out->peak.push_back(std::move(peak));
  }
}

/// The faster of two runs, and no more tokens than fit into the time.
void measure_model(const OpenedModel& model, int threads, const CancelToken& cancel,
                   ModelDiagnosis* out) {
  ContextOptions context;
  context.n_ctx = std::min<int64_t>(640, model.engine->n_ctx_train());
  context.n_threads = threads;
  Session session = open_session(model, context);
  const auto fitting = [](int64_t tokens, double seconds, int64_t step, int64_t most) {
    const double n = static_cast<double>(tokens) / std::max(seconds, 1e-6) * kModelSeconds / 2;
    return std::clamp(static_cast<int64_t>(n) / step * step, step, most);
  };
  const int64_t longest = context.n_ctx / 5 * 4;
  time_tokens(session, {.n_prompt = std::min<int64_t>(32, longest)}, &cancel);  // pages, threads
  const int64_t some = std::min<int64_t>(32, longest);
  const double first = time_tokens(session, {.n_prompt = some}, &cancel);
  out->n_prompt = fitting(some, first, some, longest);
  const double token = time_tokens(session, {.n_gen = 2}, &cancel) / 2;
  out->n_gen = fitting(1, token, 4, std::min<int64_t>(64, context.n_ctx - longest));
  for (int i = 0; i < 2; ++i) {
    const double prompt = time_tokens(session, {.n_prompt = out->n_prompt}, &cancel);
    const double answer = time_tokens(session, {.n_gen = out->n_gen}, &cancel);
    out->prompt_seconds = i == 0 ? prompt : std::min(out->prompt_seconds, prompt);
    out->gen_seconds = i == 0 ? answer : std::min(out->gen_seconds, answer);
  }
}

void examine_model(const std::string& name, const ModelOptions& options, const Terminal& terminal,
                   Interrupt& interrupt, Diagnosis* out) {
  ModelDiagnosis m;
  m.path = find_model(name, model_folder());
  const auto file = read_file_state(m.path, "/");
  const OpenedModel model = open_model(m.path, options, out->threads, terminal, interrupt);
  if (file) m.file = *file;
  m.description = model.engine->description();
  m.load_seconds = model.seconds;
  m.repacked = !model.engine->model().weights.packed.empty();
  m.bytes_per_token = bytes_per_token(model.engine->file());
  m.macs_per_token = macs_per_token(model.engine->file());
  const MemoryPlan plan =
      model.engine->plan(0, 512, model.engine->kernels().default_kv, out->threads);
  m.memory_needed = plan.total();
  m.n_ctx = plan.n_ctx;
  measure_model(model, out->threads, interrupt.token(), &m);
  out->model = std::move(m);
}

int run(const Command& self, std::span<const std::string> args) {
  ModelOptions model;
  DoctorOptions options;
  std::vector<std::string> positionals;
  CommandLine line(self);
  add_model_options(line, &model);
  line.add({"-t,--threads", "N", "threads, default 0: what suits the machine",
            OptionGroup::performance, [&](Text flag, Text text) {
              options.threads = static_cast<int>(int_value(flag, text, 0, 1024));
            }});
  line.add(
      {"--json", "", "print JSON", OptionGroup::output, [&](Text, Text) { options.json = true; }});
  line.positionals(&positionals, 1);
  if (!line.parse(args)) return 0;

  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const BusyScope busy(interrupt);
  const KernelTable* table = model.isa.empty() ? best_kernels() : kernels_named(model.isa.c_str());
  Diagnosis found;
  const std::vector<int> cpus = allowed_cpus();
  found.machine = read_machine("/", cpus);
  // Control groups count as well.
  if (const int64_t left = available_memory(); left >= 0) found.machine.available = left;
  found.kernels = kernel_choices();
  found.isa = table->name;
  found.threads_given = options.threads > 0;
  found.threads = found.threads_given ? options.threads : default_threads();
  watch_others(&found);
  if (!model.model.empty() || !positionals.empty()) {
    examine_model(take_model_name(model, &positionals, "doctor"), model, terminal, interrupt,
                  &found);
  }
  measure_bounds(*table, interrupt.token(), &found);
  Output out;
  out.write(options.json ? doctor_json(found).dump(
                               2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
                               "\n"
                         : doctor_text(found));
  out.flush();
  return 0;
}

}  // namespace

const Command cmd_doctor = {
    "doctor",
    "Say what bounds the speed on this machine, and what slows it.",
    "[-m MODEL] [-t N] [--json]",
    "nibble doctor\n"
    "nibble doctor -m model.gguf\n"
    "nibble doctor -m model.gguf --json\n",
    false,
    run,
};

}  // namespace nibble
