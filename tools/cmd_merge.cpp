// nibble merge: one file of a split model.
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

namespace nibble {
namespace {

int run(const Command& self, std::span<const std::string> args) {
  std::vector<std::string> names;
  SplitFileOptions options;
  CommandLine line(self);
  line.positionals(&names, 2);
  if (!line.parse(args)) return 0;
  if (names.size() != 2) {
    usage_error("nibble merge: expected the first part of a model and the name of a file to write",
                "for example: nibble merge model-00001-of-00003.gguf model.gguf");
  }
  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const TensorFile in = open_input(names[0]);
  const BusyScope busy(interrupt);
  Progress progress(terminal, "Merging", "B");
  options.cancel = &interrupt.token();
  options.on_progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
  const SplitFileResult result = merge_files(in, names[1], options);
  progress.finish();
  write_stderr(fmt::format("{}: {} files in one, {} tensors, {}\n", result.files[0],
                           in.paths().size(), result.n_tensors,
                           format_bytes(static_cast<int64_t>(result.bytes))));
  return 0;
}

}  // namespace

const Command cmd_merge = {
    "merge",
    "Make one file of a model that is split into several.",
    "FIRST OUT.gguf",
    "nibble merge model-00001-of-00003.gguf model.gguf\n",
    false,
    run,
};

}  // namespace nibble
