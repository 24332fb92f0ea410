// nibble quantize: a model file in smaller types.
#include <fmt/format.h>

#include <chrono>
#include <limits>
#include <optional>

#include "formats/io/error.h"
#include "quant/codec.h"
#include "runtime/convert/quantize_file.h"
#include "runtime/engine/collect_imatrix.h"
#include "runtime/engine/quality_card.h"
#include "runtime/engine/session.h"
#include "tools/calibration.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/control_filter.h"
#include "tools/exit_code.h"
#include "tools/interrupt.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/paths.h"
#include "tools/progress.h"
#include "tools/quantize_plan_text.h"
#include "tools/stats.h"
#include "tools/terminal.h"
#include "tools/values.h"

namespace nibble {
namespace {

using Text = std::string_view;

struct QuantizeOptions {
  std::string in;
  std::string out;  // empty: a dry run
  QuantizeChoices choices;
  std::string imatrix;
  uint64_t fit = 0;  // bytes; 0: the type is given
  bool dry_run = false;
  bool card = true;
  CalibrationOptions calibration;
  int n_threads = 0;
};

DType type_value(Text flag, Text text) {
  const DTypeInfo* info = find_dtype(std::string(text).c_str());
  if (info != nullptr && can_quantize(info->type)) return info->type;
  std::string known;
  int count = 0;
  const DTypeInfo* all = all_dtypes(&count);
  for (int i = 0; i < count; ++i) {
    if (can_quantize(all[i].type)) known += fmt::format(" {}", all[i].name);
  }
  usage_error(fmt::format("{}: expected a tensor type, got '{}'", flag, text), "types:" + known);
}

TypeOverride override_value(Text flag, Text text) {
  const size_t at = text.rfind('=');
  if (at == Text::npos || at == 0) {
    usage_error(fmt::format("{}: expected REGEX=TYPE, got '{}'", flag, text),
                "for example: --tensor-type ffn_down=Q6_K");
  }
  return {std::string(text.substr(0, at)), type_value(flag, text.substr(at + 1))};
}

const QuantMix* mix_value(const std::string& text) {
  if (const QuantMix* mix = find_mix(text)) return mix;
  const std::optional<int64_t> number = parse_int(text);
  if (number && *number >= 0 && *number <= std::numeric_limits<uint32_t>::max()) {
    if (const QuantMix* mix = find_mix(static_cast<uint32_t>(*number))) return mix;
  }
  usage_error(fmt::format("nibble quantize: expected a type, got '{}'", text),
              "`nibble quantize --help` lists them, for example Q4_K_M");
}

void add_choices(CommandLine& line, QuantizeOptions* o) {
  QuantizeChoices* c = &o->choices;
  const OptionGroup group = OptionGroup::model;
  Option override_type = {
      "--tensor-type", "REGEX=TYPE",
      "type of the tensors whose name it matches; may be given again", group,
      [=](Text flag, Text text) { c->overrides.push_back(override_value(flag, text)); }};
  override_type.repeatable = true;
  line.add(override_type);
  line.add({"--output-tensor-type", "TYPE", "type of the output head", group,
            [=](Text flag, Text text) { c->output_type = type_value(flag, text); }});
  line.add({"--token-embedding-type", "TYPE", "type of the token embedding", group,
            [=](Text flag, Text text) { c->embedding_type = type_value(flag, text); }});
  line.add({"--pure", "", "one type for all tensors instead of the mix's choices", group,
            [=](Text, Text) { c->pure = true; }});
  line.add({"--imatrix", "FILE", "importance of each column, from `nibble imatrix`", group,
            [=](Text, Text text) { o->imatrix = text; }});
  line.add({"--allow-requantize", "", "take tensors that have lost something already", group,
            [=](Text, Text) { c->allow_requantize = true; }});
  line.add({"--strict", "", "fail where rows do not divide into blocks of the wanted type", group,
            [=](Text, Text) { c->strict = true; }});
  line.add({"--fit", "SIZE", "instead of TYPE: the one that loses least in a file of this size",
            group, [=](Text flag, Text text) { o->fit = size_value(flag, text); }});
  line.add({"--dry-run", "", "print the plan and write nothing", OptionGroup::output,
            [=](Text, Text) { o->dry_run = true; }});
  line.add({"--no-card", "", "do not measure what the new file loses; needs less time and memory",
            OptionGroup::output, [=](Text, Text) { o->card = false; }});
}

/// IN OUT TYPE [THREADS], as llama-quantize has them; without OUT where nothing is written, without
/// TYPE where --fit chooses it.
void take_positionals(std::vector<std::string> words, QuantizeOptions& o) {
  const auto take = [&](const char* what) {
    if (words.empty()) {
      usage_error(fmt::format("nibble quantize: expected {}", what),
                  "for example: nibble quantize model-F16.gguf model-Q4_K_M.gguf Q4_K_M");
    }
    std::string word = words.front();
    words.erase(words.begin());
    return word;
  };
  o.in = take("a model");
  const size_t n_type = o.fit > 0 ? 0 : 1;
  if (!o.dry_run || words.size() > n_type) o.out = take("the name of a file to write");
  if (o.fit == 0) o.choices.mix = mix_value(take("a type"));
  if (!words.empty()) {
    o.n_threads = static_cast<int>(int_value("THREADS", take("threads"), 0, 1024));
  }
  if (!words.empty()) usage_error(fmt::format("nibble quantize: unexpected '{}'", words.front()));
}

/// Nothing if --help was printed.
std::optional<QuantizeOptions> parse(const Command& self, std::span<const std::string> args) {
  QuantizeOptions options;
  std::vector<std::string> words;
  CommandLine line(self);
  add_choices(line, &options);
  add_calibration_options(line, &options.calibration);
  add_threads_option(line, &options.n_threads);
  line.add_help(mix_menu() + "\n" + method_menu());
  line.positionals(&words, 4);
  if (!line.parse(args)) return std::nullopt;
  take_positionals(std::move(words), options);
  return options;
}

/// What the model or the matrix is or is not; all else is about the file to write.
template <typename F>
auto about_the_model(F&& f) {
  try {
    return f();
  } catch (const Error& e) {
    if (e.code() == ErrorCode::bad_argument) throw;
    rethrow_open_error(e);
  }
}

/// The running line on a terminal; elsewhere a line a second, for programs that show it.
class ProgressLine {
 public:
  explicit ProgressLine(const Terminal& terminal) : terminal_(terminal) {}
  ~ProgressLine() { finish(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void update(const QuantizeProgress& progress) {
    const double now = seconds(start_);
    if (now - drawn_ < (terminal_.cursor ? 0.1 : 1.0)) return;
    drawn_ = now;
    const std::string line = quantize_progress_line(progress, now);
    write_stderr(terminal_.cursor ? "\r" + line + "\033[K" : line + "\n");
    visible_ = terminal_.cursor;
  }
  void finish() {
    if (visible_) write_stderr("\r\033[K");
    visible_ = false;
  }
  double seconds() const { return seconds(start_); }

 private:
  using Clock = std::chrono::steady_clock;
  static double seconds(Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  }
  const Terminal& terminal_;
  Clock::time_point start_ = Clock::now();
  double drawn_ = 0;
  bool visible_ = false;
};

const QuantMix* choose_mix(const TensorFile& in, const QuantizeOptions& options) {
  if (options.fit == 0) return options.choices.mix;
  const QuantMix* mix = best_mix_within(in, options.choices, options.fit);
  if (mix != nullptr) return mix;
  throw CommandError(
      ExitCode::runtime,
      fmt::format("--fit: expected room for the smallest type, got {} bytes", options.fit),
      "give a larger size or take a smaller model");
}

/// Measures the new file against its source and writes the result into its header. Both models are
/// open meanwhile, in their files' own pages, which the system takes back when it needs them.
class CardMaker {
 public:
  /// Without a card if the source is no model that nibble runs here; a line on stderr says so.
  CardMaker(const std::string& source, const QuantizeOptions& options, QuantizePlan& plan,
            const Terminal& terminal, Interrupt& interrupt)
      : terminal_(terminal), interrupt_(interrupt), n_threads_(options.n_threads) {
    if (!options.card) return;
    try {
      source_ = Engine::open(source, engine_options());
      SessionOptions how;
      how.n_ctx = CompareOptions().chunk_size;
      how.n_threads = n_threads_;
      const Session fits(source_, how);
    } catch (const Error& e) {
      if (e.code() == ErrorCode::cancelled) throw;
      source_.reset();
      write_stderr(fmt::format("no quality card: {}\n", one_line(e.message())));
      return;
    }
    card_.source = source_->description();
    card_.text_name = kCardTextName;
    card_.text_hash = hash_of_text(card_text());
    card_.tensor_errors.resize(plan.tensors.size());
    set_card(plan.header, card_);
    plan.file_bytes = plan.header.layout().file_bytes;
  }

  bool wanted() const noexcept { return source_ != nullptr; }
  const QualityCard& card() const noexcept { return card_; }

  void fill(const std::string& file, const std::vector<float>& errors, GgufHeader& header) {
    Progress progress(terminal_, "Measuring", "chunks");
    CompareOptions how;
    how.n_threads = n_threads_;
    how.cancel = &interrupt_.token();
    how.on_progress = [&](int64_t done, int64_t total) {
      progress.update(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
    };
    card_.tensor_errors = errors;
    card_.measured =
        compare_models(source_, Engine::open(file, engine_options()), card_text(), how);
    set_card(header, card_);
  }

 private:
  EngineOptions engine_options() const {
    EngineOptions out;
    out.repack = false;
    out.page_in = false;
    out.n_threads = n_threads_;
    out.cancel = &interrupt_.token();
    return out;
  }

  const Terminal& terminal_;
  Interrupt& interrupt_;
  int n_threads_;
  std::shared_ptr<const Engine> source_;
  QualityCard card_;
};

int run(const Command& self, std::span<const std::string> args) {
  std::optional<QuantizeOptions> options = parse(self, args);
  if (!options) return 0;
  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const std::string path = find_model(options->in, model_folder());
  const TensorFile in = about_the_model([&] { return open_in_parallel(path); });
  Imatrix imatrix;
  if (!options->imatrix.empty()) {
    imatrix = about_the_model([&] { return read_imatrix(open_tensor_file(options->imatrix)); });
    options->choices.imatrix = &imatrix;
    options->choices.imatrix_name = options->imatrix;
    if (is_card_text(imatrix.text_hash)) {
      write_stderr(overlap_remark(card_text(), "the text of the importance matrix"));
    }
  }
  QuantizeChoices& choices = options->choices;
  choices.mix = about_the_model([&] { return choose_mix(in, *options); });
  QuantizePlan plan = about_the_model([&] { return plan_quantize(in, choices); });
  Output out;
  if (options->dry_run) {
    out.write(plan_text(plan, *choices.mix));
    out.flush();
    return 0;
  }

  const BusyScope busy(interrupt);
  const Calibration calibration = about_the_model([&] {
    return Calibration(in, plan, options->calibration, options->n_threads, terminal, interrupt);
  });
  CardMaker card(path, *options, plan, terminal, interrupt);
  ProgressLine line(terminal);
  bool planned = false;
  QuantizeFileOptions how;
  how.n_threads = options->n_threads;
  how.cancel = &interrupt.token();
  how.layers = calibration.encoder();
  how.on_progress = [&](const QuantizeProgress& progress) {
    if (!planned) {  // the file to write can be written
      out.write(plan_text(plan, *choices.mix));
      out.flush();
      planned = true;
    }
    line.update(progress);
  };
  if (card.wanted()) {
    how.finish_header = [&](const std::string& file, const std::vector<float>& errors,
                            GgufHeader& header) {
      line.finish();
      card.fill(file, errors, header);
    };
  }
  const QuantizeResult result = [&] {
    try {
      return quantize_file(in, options->out, plan, how);
    } catch (const Error& e) {
      if (e.code() == ErrorCode::bad_file) rethrow_open_error(e);
      if (e.code() == ErrorCode::cancelled) {
        throw CommandError(ExitCode::interrupted, "interrupted",
                           how.layers != nullptr
                               ? "with --method nothing is kept; the next run starts anew"
                               : "what is done is kept; the same command continues there");
      }
      throw;
    }
  }();
  line.finish();
  if (result.n_resumed > 0) {
    write_stderr(
        fmt::format("continued after tensor {} of {}\n", result.n_resumed, plan.tensors.size()));
  }
  write_stderr(fmt::format("{}: {}, {:.2f} bits per weight, {}\n", options->out,
                           format_bytes(static_cast<int64_t>(result.file_bytes)),
                           plan.bits_per_weight(), format_duration(line.seconds())));
  if (card.wanted()) write_stderr(comparison_line(card.card().measured) + "\n");
  return 0;
}

}  // namespace

const Command cmd_quantize = {
    "quantize",
    "Make a smaller model file: the same weights in fewer bits.",
    "IN OUT.gguf TYPE [THREADS]",
    "nibble quantize model-F16.gguf model-Q4_K_M.gguf Q4_K_M\n"
    "nibble quantize model-F16.gguf model.gguf --fit 6G --imatrix model.imatrix.gguf\n"
    "nibble quantize --dry-run model-F16.gguf Q4_K_M --tensor-type ffn_down=Q6_K\n",
    true,
    run,
};

}  // namespace nibble
