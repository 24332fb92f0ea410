// nibble archive: a model file packed with zstd that opens as it is, and the way back.
#include <fmt/format.h>

#include <optional>

#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "runtime/convert/archive_file.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/exit_code.h"
#include "tools/interrupt.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/paths.h"
#include "tools/progress.h"
#include "tools/stats.h"

namespace nibble {
namespace {

struct ArchiveOptions {
  std::string in;
  std::string out;
  bool undo = false;
  int n_threads = 0;
};

/// Nothing if --help was printed.
std::optional<ArchiveOptions> parse(const Command& self, std::span<const std::string> args) {
  ArchiveOptions options;
  std::vector<std::string> files;
  CommandLine line(self);
  line.add({"--undo", "", "MODEL is an archive: write the file that it holds", OptionGroup::output,
            [&](std::string_view, std::string_view) { options.undo = true; }});
  add_threads_option(line, &options.n_threads);
  line.positionals(&files, 2);
  if (!line.parse(args)) return std::nullopt;
  if (files.size() != 2) {
    usage_error("nibble archive: expected a model and the name of a file to write",
                "for example: nibble archive model.gguf model.gguf.zst");
  }
  options.in = files[0];
  options.out = files[1];
  return options;
}

/// Here it is plain whose fault it is; once both files are open, it may be the output's.
void require_regular(const std::string& in) {
  try {
    const MappedFile probe(in);
  } catch (const Error& e) {
    rethrow_open_error(e);
  }
}

ArchiveFileResult convert(const ArchiveOptions& options, const ArchiveFileOptions& how) {
  if (!options.undo) return archive_file(open_input(options.in), options.out, how);
  const std::string in = find_model(options.in, model_folder());
  require_regular(in);
  try {
    return unarchive_file(in, options.out, how);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::bad_file) rethrow_open_error(e);
    throw;
  }
}

int run(const Command& self, std::span<const std::string> args) {
  const std::optional<ArchiveOptions> options = parse(self, args);
  if (!options) return 0;
  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const BusyScope busy(interrupt);
  Progress progress(terminal, options->undo ? "Unpacking" : "Packing", "B");
  ArchiveFileOptions how;
  how.n_threads = options->n_threads;
  how.cancel = &interrupt.token();
  how.on_progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
  const ArchiveFileResult result = convert(*options, how);
  progress.finish();
  write_stderr(fmt::format("{}: {} frames {}, {}\n", options->out, result.n_frames,
                           options->undo ? "unpacked" : "packed",
                           format_bytes(static_cast<int64_t>(result.bytes))));
  return 0;
}

}  // namespace

const Command cmd_archive = {
    "archive",
    "Pack a model file with zstd into one that opens as it is, or unpack it.",
    "MODEL OUT.gguf.zst [--undo]",
    "nibble archive model.gguf model.gguf.zst\n"
    "nibble run model.gguf.zst \"Why is the sky blue?\"\n"
    "nibble archive --undo model.gguf.zst model.gguf\n",
    false,
    run,
};

}  // namespace nibble
