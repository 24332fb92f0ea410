// nibble compare: what one model file loses against another.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formats/io/error.h"
#include "runtime/convert/tensor_errors.h"
#include "runtime/engine/collect_imatrix.h"
#include "runtime/engine/compare_models.h"
#include "runtime/engine/quality_card.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/control_filter.h"
#include "tools/exit_code.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/values.h"

namespace nibble {
namespace {

constexpr int kMostFiles = 100;

struct CompareCommand {
  std::vector<std::string> files;  // what the others are set beside, then these
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
  line.add({"--json", "", "as JSON, with every token and tensor", OptionGroup::output,
            [=](Text, Text) { o->json = true; }});
  add_threads_option(line, &o->compare.n_threads);
  line.positionals(&o->files, kMostFiles);
  if (!line.parse(args)) return false;
  if (o->files.size() < 2) {
    usage_error("nibble compare: expected two model files or more",
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

nlohmann::ordered_json as_json(const ModelComparison& m, const std::vector<TensorError>& errors,
                               const std::string& file, const std::string& text_name,
                               const std::string& text) {
  nlohmann::ordered_json out = {{"file", file},
                                {"text", text_name},
                                {"text_hash", hash_of_text(text)},
                                {"tokens", m.n_tokens},
                                {"kl_divergence", m.divergence},
                                {"kl_divergence_error", m.divergence_error},
                                {"kl_divergence_most", m.divergence_most},
                                {"same_top_token", m.same_top},
                                {"perplexity", m.other_perplexity},
                                {"source_perplexity", m.perplexity},
                                {"token_kl_divergences", m.divergences}};
  auto rows = nlohmann::ordered_json::array();
  for (const TensorError& e : errors) {
    rows.push_back(
        {{"name", e.name}, {"type", dtype_ecosystem_name(e.type_id)}, {"error", e.error}});
  }
  out["tensors"] = std::move(rows);
  return out;
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
  options.model.repack = false;  // several models are in memory
  const auto open = [&](const std::string& file) {
    return open_model(file, options.model, n_threads, terminal, interrupt).engine;
  };
  const std::shared_ptr<const Engine> source = open(options.files[0]);
  std::vector<std::shared_ptr<const Engine>> others;
  for (size_t i = 1; i < options.files.size(); ++i) others.push_back(open(options.files[i]));
  const BusyScope busy(interrupt);
  Progress progress(terminal, "Comparing", "chunks");
  options.compare.cancel = &interrupt.token();
  options.compare.on_progress = [&](int64_t done, int64_t total) {
    progress.update(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
  };
  const std::vector<ModelComparison> measured =
      compare_models(source, others, text, options.compare);
  progress.finish();
  std::string as_read;
  auto all = nlohmann::ordered_json::array();
  for (size_t i = 0; i < others.size(); ++i) {
    const std::vector<TensorError> errors =
        tensor_errors(source->file(), others[i]->file(), n_threads, &interrupt.token());
    const std::string& file = options.files[i + 1];
    all.push_back(as_json(measured[i], errors, file, text_name, text));
    if (others.size() > 1) as_read += fmt::format("{}{}\n", i > 0 ? "\n" : "", one_line(file));
    as_read += as_text(measured[i], errors, text_name);
  }
  Output out;
  const auto& json = others.size() == 1 ? all.front() : all;
  out.write(options.json ? json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
                         : as_read);
  out.flush();
  return 0;
}

}  // namespace

const Command cmd_compare = {
    "compare",
    "Measure what model files lose against the one they were made from.",
    "MODEL OTHER... [-f TEXT] [--json]",
    "nibble compare model-F16.gguf model-Q4_K_M.gguf\n"
    "nibble compare model-F16.gguf model-Q4_K_M.gguf -f wiki.test.raw --chunks 20 --json\n",
    false,
    run,
};

}  // namespace nibble
