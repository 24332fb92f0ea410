// nibble split: a model file in several.
#include <fmt/format.h>

#include "runtime/convert/split_file.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/exit_code.h"
#include "tools/interrupt.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/stats.h"
#include "tools/values.h"

namespace nibble {
namespace {

int run(const Command& self, std::span<const std::string> args) {
  using Text = std::string_view;
  std::vector<std::string> names;
  SplitFileOptions options;
  CommandLine line(self);
  line.add({"--max-size", "SIZE", "tensors of a part in bytes (500M, 2G), default 2G",
            OptionGroup::output,
            [&](Text flag, Text text) { options.max_bytes = size_value(flag, text); }});
  line.add({"--max-tensors", "N", "tensors of a part, default 0: as many as fit",
            OptionGroup::output, [&](Text flag, Text text) {
              options.max_tensors = int_value(flag, text, 0, int64_t{1} << 31);
            }});
  line.positionals(&names, 2);
  if (!line.parse(args)) return 0;
  if (names.size() != 2) {
    usage_error("nibble split: expected a model and the beginning of the parts' names",
                "for example: nibble split model.gguf parts/model --max-size 2G");
  }
  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const TensorFile in = open_input(names[0]);
  const BusyScope busy(interrupt);
  Progress progress(terminal, "Splitting", "B");
  options.cancel = &interrupt.token();
  options.on_progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
  const SplitFileResult result = split_file(in, names[1], options);
  progress.finish();
  write_stderr(fmt::format("{}: the first of {} files with {} tensors, {}\n", result.files[0],
                           result.files.size(), result.n_tensors,
                           format_bytes(static_cast<int64_t>(result.bytes))));
  return 0;
}

}  // namespace

const Command cmd_split = {
    "split",
    "Divide a model file into several; the first of them opens them all.",
    "MODEL PREFIX [--max-size SIZE] [--max-tensors N]",
    "nibble split model.gguf model --max-size 2G\n"
    "nibble run model-00001-of-00003.gguf \"Why is the sky blue?\"\n"
    "nibble merge model-00001-of-00003.gguf model.gguf\n",
    false,
    run,
};

}  // namespace nibble
