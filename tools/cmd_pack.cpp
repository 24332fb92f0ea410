// nibble pack: a model file whose weights lie as the kernels read them, and the way back.
#include <fmt/format.h>

#include <optional>

#include "formats/io/error.h"
#include "runtime/convert/pack_file.h"
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

struct PackOptions {
  std::string in;
  std::string out;
  bool undo = false;
  int n_threads = 0;
};

/// Nothing if --help was printed.
std::optional<PackOptions> parse(const Command& self, std::span<const std::string> args) {
  PackOptions options;
  std::vector<std::string> files;
  CommandLine line(self);
  line.add({"--undo", "", "MODEL is packed: write the file that it was made from",
            OptionGroup::output, [&](std::string_view, std::string_view) { options.undo = true; }});
  add_threads_option(line, &options.n_threads);
  line.positionals(&files, 2);
  if (!line.parse(args)) return std::nullopt;
  if (files.size() != 2) {
    usage_error("nibble pack: expected a model and the name of a file to write",
                "for example: nibble pack model.gguf model.packed.gguf");
  }
  options.in = files[0];
  options.out = files[1];
  return options;
}

PackFileResult convert(const TensorFile& in, const PackOptions& options,
                       const PackFileOptions& how) {
  try {
    return options.undo ? unpack_file(in, options.out, how) : pack_file(in, options.out, how);
  } catch (const Error& e) {
    // What the model is or is not; all else is about the file to write.
    const bool model = e.code() == ErrorCode::bad_file || e.code() == ErrorCode::unsupported;
    if (model) rethrow_open_error(e);
    throw;
  }
}

int run(const Command& self, std::span<const std::string> args) {
  const std::optional<PackOptions> options = parse(self, args);
  if (!options) return 0;
  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const TensorFile in = open_input(options->in);
  const BusyScope busy(interrupt);
  Progress progress(terminal, options->undo ? "Unpacking" : "Packing", "B");
  PackFileOptions how;
  how.n_threads = options->n_threads;
  how.cancel = &interrupt.token();
  how.on_progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
  const PackFileResult result = convert(in, *options, how);
  progress.finish();
  write_stderr(fmt::format("{}: {} of {} tensors {}, {}\n", options->out, result.n_changed,
                           result.n_tensors, options->undo ? "unpacked" : "packed",
                           format_bytes(static_cast<int64_t>(result.bytes))));
  return 0;
}

}  // namespace

const Command cmd_pack = {
    "pack",
    "Rearrange a model's weights for good, so that it opens without a copy.",
    "MODEL OUT.gguf [--undo]",
    "nibble pack model.gguf model.packed.gguf\n"
    "nibble run model.packed.gguf \"Why is the sky blue?\"\n"
    "nibble pack --undo model.packed.gguf model.gguf\n",
    false,
    run,
};

}  // namespace nibble
