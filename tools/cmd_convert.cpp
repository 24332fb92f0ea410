// nibble convert: a Hugging Face folder or a llama2.c checkpoint to GGUF, and GGUF to safetensors.
#include <fmt/format.h>

#include <optional>

#include "formats/io/error.h"
#include "runtime/convert/convert.h"
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

struct Arguments {
  std::string in;
  std::string out;
  ConvertOptions options;
};

DType parse_type(const std::string& name) {
  const DTypeInfo* info = find_dtype(name.c_str());
  if (info != nullptr) return info->type;
  std::string known;
  int count = 0;
  for (const DTypeInfo* row = all_dtypes(&count); count > 0; ++row, --count) {
    known += fmt::format("{}{}", known.empty() ? "" : " ", row->name);
  }
  usage_error(fmt::format("nibble convert: unknown type '{}'", name), "known: " + known);
}

/// Nothing if --help was printed.
std::optional<Arguments> parse(const Command& self, std::span<const std::string> args) {
  Arguments out;
  std::vector<std::string> words;
  CommandLine line(self);
  line.add({"--dry-run", "", "say what would be written, and write nothing", OptionGroup::output,
            [&](std::string_view, std::string_view) { out.options.dry_run = true; }});
  line.add({"--allow-requantize", "",
            "also where the source is quantized and TYPE does not hold it without loss",
            OptionGroup::output,
            [&](std::string_view, std::string_view) { out.options.allow_requantize = true; }});
  line.add({"--tokenizer", "FILE", "of a llama2.c checkpoint (default: tokenizer.bin beside it)",
            OptionGroup::model,
            [&](std::string_view, std::string_view text) { out.options.tokenizer = text; }});
  add_threads_option(line, &out.options.n_threads);
  line.positionals(&words, 3);
  if (!line.parse(args)) return std::nullopt;
  if (words.size() < 2) {
    usage_error("nibble convert: expected a model and the name of a file to write",
                "for example: nibble convert model-folder model.gguf Q8_0");
  }
  out.in = words[0];
  out.out = words[1];
  if (words.size() > 2) out.options.type = parse_type(words[2]);
  return out;
}

ConvertResult convert(const Arguments& arguments) {
  try {
    return convert_model(arguments.in, arguments.out, arguments.options);
  } catch (const Error& e) {
    // What the model is or is not; all else is about the file to write.
    const bool model = e.code() == ErrorCode::bad_file || e.code() == ErrorCode::unsupported ||
                       e.message().starts_with(arguments.in);
    if (model) rethrow_open_error(e);
    throw;
  }
}

int run(const Command& self, std::span<const std::string> args) {
  std::optional<Arguments> arguments = parse(self, args);
  if (!arguments) return 0;
  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const BusyScope busy(interrupt);
  Progress progress(terminal, "Converting", "B");
  arguments->options.cancel = &interrupt.token();
  arguments->options.on_progress = [&](uint64_t done, uint64_t total) {
    progress.update(done, total);
  };
  const ConvertResult result = convert(*arguments);
  progress.finish();
  for (const std::string& note : result.notes) write_stderr("note: " + note + "\n");
  std::string types;
  for (const auto& row : result.types) {
    types +=
        fmt::format("{}{} {}", types.empty() ? "" : ", ", row.n_tensors, dtype_info(row.type).name);
  }
  write_stderr(fmt::format("{}: {}{} tensors ({}), {}\n", arguments->out,
                           arguments->options.dry_run ? "would have " : "", result.n_tensors, types,
                           format_bytes(static_cast<int64_t>(result.bytes))));
  return 0;
}

}  // namespace

const Command cmd_convert = {
    "convert",
    "Make a GGUF file of a Hugging Face folder or a llama2.c checkpoint, or safetensors of a GGUF.",
    "DIR|FILE OUT [TYPE] [--dry-run]",
    "nibble convert model-folder model.gguf\n"
    "nibble convert model-folder model.gguf Q8_0\n"
    "nibble convert stories15M.bin stories.gguf\n"
    "nibble convert model.gguf model.safetensors\n",
    false,
    run,
};

}  // namespace nibble
