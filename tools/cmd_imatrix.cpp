// nibble imatrix: which columns of a model's matrices a text uses most, for the quantizer.
#include <fmt/format.h>

#include "formats/imatrix.h"
#include "formats/io/atomic_file.h"
#include "formats/io/error.h"
#include "runtime/engine/collect_imatrix.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/exit_code.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/values.h"

namespace nibble {
namespace {

struct ImatrixOptions {
  ModelOptions model;
  PromptOptions prompt;
  CollectOptions collect;
  std::string out;
};

std::string take_text(const PromptOptions& prompt) {
  if (!prompt.file && !prompt.text) {
    usage_error("nibble imatrix: expected a text", "give a file of it: -f FILE");
  }
  std::string text = prompt.file ? read_text_file(*prompt.file) : *prompt.text;
  if (!text.empty() && text.back() == '\n') text.pop_back();  // as llama.cpp reads -f
  return text;
}

std::vector<std::string> inputs_of(const OpenedModel& model, const PromptOptions& prompt) {
  std::vector<std::string> out = model.engine->file().paths();
  if (prompt.file) out.push_back(*prompt.file);
  return out;
}

/// Says before the work what would be said after it.
void require_writable(const std::string& path, const std::vector<std::string>& inputs) {
  AtomicFileOptions options;
  options.inputs = inputs;
  const AtomicFile probe(path, options);
}

void add_options(CommandLine& line, ImatrixOptions* o) {
  using Text = std::string_view;
  add_model_options(line, &o->model);
  add_prompt_options(line, &o->prompt);
  add_threads_option(line, &o->collect.n_threads);
  line.add({"-o,--output", "FILE", "the file to write, by custom NAME.gguf", OptionGroup::output,
            [=](Text, Text text) { o->out = text; }});
  line.add({"-c,--ctx-size", "N", "tokens of a chunk, default 512", OptionGroup::prompt,
            [=](Text flag, Text text) {
              o->collect.chunk_size = int_value(flag, text, 16, 1 << 20, true);
            }});
  line.add({"--chunks", "N", "read the first N chunks only, default 0: all", OptionGroup::prompt,
            [=](Text flag, Text text) {
              o->collect.most_chunks = int_value(flag, text, 0, int64_t{1} << 40);
            }});
  line.add({"--process-output", "", "measure the output head too", OptionGroup::advanced,
            [=](Text, Text) { o->collect.output_head = true; }});
}

int run(const Command& self, std::span<const std::string> args) {
  ImatrixOptions options;
  std::vector<std::string> positionals;
  CommandLine line(self);
  add_options(line, &options);
  line.positionals(&positionals, 1);
  if (!line.parse(args)) return 0;
  const std::string name = take_model_name(options.model, &positionals, "imatrix");
  if (options.out.empty()) {
    usage_error("nibble imatrix: expected a file to write", "for example: -o model.imatrix.gguf");
  }
  const std::string text = take_text(options.prompt);

  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  options.model.repack = false;  // the names of matrices come from their place in the file
  const OpenedModel model =
      open_model(name, options.model, options.collect.n_threads, terminal, interrupt);
  const std::vector<std::string> inputs = inputs_of(model, options.prompt);
  require_writable(options.out, inputs);
  const BusyScope busy(interrupt);
  Progress progress(terminal, "Measuring", "chunks");
  options.collect.cancel = &interrupt.token();
  options.collect.on_progress = [&](int64_t done, int64_t total) {
    progress.update(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
  };
  Imatrix imatrix = collect_imatrix(model.engine, text, options.collect);
  imatrix.datasets = {options.prompt.file.value_or("")};
  write_imatrix(imatrix, options.out, inputs);
  progress.finish();
  write_stderr(fmt::format("{}: {} matrices, {} chunks of {} tokens\n", options.out,
                           imatrix.entries.size(), imatrix.chunk_count, imatrix.chunk_size));
  return 0;
}

}  // namespace

const Command cmd_imatrix = {
    "imatrix",
    "Measure which columns of a model's matrices matter, for quantize --imatrix.",
    "-m MODEL -f TEXT -o FILE [-c 512] [--chunks N]",
    "nibble imatrix -m model-F16.gguf -f text.txt -o model.imatrix.gguf\n"
    "nibble quantize model-F16.gguf model.gguf Q4_K_M --imatrix model.imatrix.gguf\n",
    false,
    run,
};

}  // namespace nibble
