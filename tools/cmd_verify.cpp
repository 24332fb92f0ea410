// nibble verify: whether a model file holds what was written.
#include <fmt/format.h>

#include <optional>

#include "formats/io/error.h"
#include "runtime/convert/verify_file.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/control_filter.h"
#include "tools/exit_code.h"
#include "tools/interrupt.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/stats.h"

namespace nibble {
namespace {

std::string as_text(const TensorDamage& damage) {
  std::string text = "tensor " + one_line(damage.tensor) + ": ";
  if (damage.hash_differs) text += "its bytes are not those that were written";
  if (damage.hash_differs && damage.bad_row >= 0) text += "; ";
  if (damage.bad_row >= 0) {
    text += fmt::format("row {}: a number is infinite or none", damage.bad_row);
  }
  return text + "\n";
}

const char* as_text(TensorHashes::State state) {
  switch (state) {
    case TensorHashes::State::present:
      return "every tensor has the bytes that were written";
    case TensorHashes::State::absent:
      return "the file keeps no hashes of its tensors, so changed bytes could not be found";
    case TensorHashes::State::of_others:
      return "the hashes in the file are of other tensors: it was changed by a program that does "
             "not know them, so changed bytes could not be found";
  }
  return "";
}

/// Prints what was found; the number of damaged tensors.
size_t verify(const TensorFile& file, VerifyFileOptions options, const Terminal& terminal) {
  Progress progress(terminal, "Reading", "B");
  options.on_progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
  const VerifyResult result = verify_file(file, options);
  progress.finish();
  Output out;
  for (const std::string& warning : file.warnings()) {
    out.write("note: " + one_line(warning) + "\n");
  }
  for (const TensorDamage& damage : result.damages) out.write(as_text(damage));
  if (result.damages.empty()) {
    const std::string numbers =
        result.n_unknown == 0
            ? "all numbers are finite"
            : fmt::format(
                  "all numbers are finite but those of {} tensors whose types nibble does "
                  "not read",
                  result.n_unknown);
    out.write(fmt::format("{}: {} tensors, {}: the structure is sound and {}\n{}\n",
                          one_line(file.path()), result.n_tensors,
                          format_bytes(static_cast<int64_t>(result.bytes)), numbers,
                          as_text(result.hashes)));
  }
  out.flush();
  return result.damages.size();
}

int run(const Command& self, std::span<const std::string> args) {
  std::vector<std::string> files;
  VerifyFileOptions options;
  CommandLine line(self);
  add_threads_option(line, &options.n_threads);
  line.positionals(&files, 1);
  if (!line.parse(args)) return 0;
  if (files.empty()) {
    usage_error("nibble verify: expected a model", "for example: nibble verify model.gguf");
  }
  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const TensorFile all = open_input(files[0]);
  const BusyScope busy(interrupt);
  options.cancel = &interrupt.token();
  size_t damaged = 0;
  if (all.paths().size() == 1) {
    damaged = verify(all, options, terminal);
  } else {
    // Each part has hashes of its own tensors.
    for (const std::string& path : all.paths()) {
      damaged += verify(open_tensor_shard(path), options, terminal);
    }
  }
  if (damaged == 0) return 0;
  throw CommandError(
      ExitCode::model,
      fmt::format("{}: {} of {} tensors are damaged", all.path(), damaged, all.tensors().size()),
      "get the file again, or make it again");
}

}  // namespace

const Command cmd_verify = {
    "verify",
    "Check a model file: structure, numbers, and the bytes of each tensor.",
    "MODEL",
    "nibble verify model.gguf\n"
    "nibble verify model.gguf || echo damaged\n",
    false,
    run,
};

}  // namespace nibble
