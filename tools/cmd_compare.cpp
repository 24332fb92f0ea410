// nibble compare: what one model file loses against another.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formats/io/error.h"
#include "runtime/convert/tensor_errors.h"
#include "runtime/engine/collect_imatrix.h"
#include "runtime/engine/compare_models.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/control_filter.h"
#include "tools/exit_code.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/quality_card.h"
#include "tools/values.h"

namespace nibble {
namespace {

struct CompareCommand {
  std::vector<std::string> files;
  ModelOptions model;
  CompareOptions compare;
  std::string text_file;
  bool json = false;
};

/// False if --help was printed.
bool parse(const Command& self, std::span<const std::string> args, CompareCommand* o) {
  using Text = std::string_view;
  CommandLine line(self);
  line.add({"-f,--file", "FILE", "text to compare on, default: a bundled one", OptionGroup::prompt,
            [=](Text, Text text) { o->text_file = text; }});
  line.add({"-c,--ctx-size", "N", "tokens of a chunk, default 256; the second half is scored",
            OptionGroup::prompt, [=](Text flag, Text text) {
              o->compare.chunk_size = int_value(flag, text, 4, 1 << 20, true);
            }});
  line.add({"--chunks", "N", "read the first N chunks only, default 0: all", OptionGroup::prompt,
            [=](Text flag, Text text) {
              o->compare.most_chunks = int_value(flag, text, 0, int64_t{1} << 40);
            }});
  line.add({"--json", "", "as JSON, with every tensor", OptionGroup::output,
            [=](Text, Text) { o->json = true; }});
  add_threads_option(line, &o->compare.n_threads);
  line.positionals(&o->files, 2);
  if (!line.parse(args)) return false;
  if (o->files.size() != 2) {
    usage_error("nibble compare: expected two model files",
                "for example: nibble compare model-F16.gguf model-Q4_K_M.gguf");
  }
  return true;
}

std::string as_text(const ModelComparison& m, std::vector<TensorError> errors,
                    const std::string& text_name) {
  std::string out = fmt::format("Text             {}, {} tokens scored\n", text_name, m.n_tokens);
  out += fmt::format("KL divergence    {:.5f} +/- {:.5f}, at most {:.3f}\n", m.divergence,
                     m.divergence_error, m.divergence_most);
  out += fmt::format("Same top token   {:.2f} %\n", 100 * m.same_top);
  out += fmt::format("Perplexity       {:.4f} -> {:.4f} ({:+.2f} %)\n", m.perplexity,
                     m.other_perplexity, 100 * (m.other_perplexity / m.perplexity - 1));
  std::sort(errors.begin(), errors.end(),
            [](const TensorError& a, const TensorError& b) { return a.error > b.error; });
  if (!errors.empty()) out += "Largest errors   (relative, of a tensor's numbers)\n";
  for (size_t i = 0; i < std::min<size_t>(errors.size(), 5); ++i) {
    const char* type = dtype_ecosystem_name(errors[i].type_id);
    out += fmt::format("  {:.5f}  {}  {}\n", errors[i].error, type, one_line(errors[i].name));
  }
  return out;
}

std::string as_json(const ModelComparison& m, const std::vector<TensorError>& errors,
                    const std::string& text_name, const std::string& text) {
  nlohmann::ordered_json out = {{"text", text_name},
                                {"text_hash", hash_of_text(text)},
                                {"tokens", m.n_tokens},
                                {"kl_divergence", m.divergence},
                                {"kl_divergence_error", m.divergence_error},
                                {"kl_divergence_most", m.divergence_most},
                                {"same_top_token", m.same_top},
                                {"perplexity", m.other_perplexity},
                                {"source_perplexity", m.perplexity}};
  auto rows = nlohmann::ordered_json::array();
  for (const TensorError& e : errors) {
    rows.push_back(
        {{"name", e.name}, {"type", dtype_ecosystem_name(e.type_id)}, {"error", e.error}});
  }
  out["tensors"] = std::move(rows);
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int run(const Command& self, std::span<const std::string> args) {
  CompareCommand options;
  if (!parse(self, args, &options)) return 0;
  const bool bundled = options.text_file.empty();
  const std::string text = bundled ? std::string(card_text()) : read_text_file(options.text_file);
  const std::string text_name = bundled ? kCardTextName : options.text_file;

  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const int n_threads = options.compare.n_threads;
  options.model.repack = false;  // two models are in memory
  const OpenedModel a = open_model(options.files[0], options.model, n_threads, terminal, interrupt);
  const OpenedModel b = open_model(options.files[1], options.model, n_threads, terminal, interrupt);
  const BusyScope busy(interrupt);
  Progress progress(terminal, "Comparing", "chunks");
  options.compare.cancel = &interrupt.token();
  options.compare.on_progress = [&](int64_t done, int64_t total) {
    progress.update(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
  };
  const ModelComparison measured = compare_models(a.engine, b.engine, text, options.compare);
  progress.finish();
  const std::vector<TensorError> errors =
      tensor_errors(a.engine->file(), b.engine->file(), n_threads, &interrupt.token());
  Output out;
  out.write(options.json ? as_json(measured, errors, text_name, text)
                         : as_text(measured, errors, text_name));
  out.flush();
  return 0;
}

}  // namespace

const Command cmd_compare = {
    "compare",
    "Measure what a model file loses against the one it was made from.",
    "MODEL OTHER [-f TEXT] [--json]",
    "nibble compare model-F16.gguf model-Q4_K_M.gguf\n"
    "nibble compare model-F16.gguf model-Q4_K_M.gguf -f wiki.test.raw --chunks 20 --json\n",
    false,
    run,
};

}  // namespace nibble
