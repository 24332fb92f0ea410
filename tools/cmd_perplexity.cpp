// nibble perplexity: how well a model predicts a text.
#include <fmt/format.h>

#include <chrono>
#include <limits>

#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/exit_code.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/score.h"
#include "tools/values.h"

namespace nibble {
namespace {

void check_size(size_t n_tokens, int64_t n_ctx) {
  if (static_cast<int64_t>(n_tokens) >= n_ctx) return;
  throw CommandError(
      ExitCode::runtime,
      fmt::format("text: expected at least {} tokens, one chunk, got {}", n_ctx, n_tokens),
      "give a longer text or a smaller -c");
}

int run(const Command& self, std::span<const std::string> args) {
  ModelOptions model_options;
  ContextOptions context;
  PromptOptions prompt;
  int64_t most_chunks = 0;
  std::vector<std::string> positionals;
  CommandLine line(self);
  add_model_options(line, &model_options);
  add_prompt_options(line, &prompt);
  add_context_options(line, &context);
  line.add({"--chunks", "N", "score the first N chunks only, default 0: all", OptionGroup::prompt,
            [&](std::string_view flag, std::string_view text) {
              most_chunks = int_value(flag, text, 0, std::numeric_limits<int64_t>::max());
            }});
  line.positionals(&positionals, 1);
  if (!line.parse(args)) return 0;
  if (context.n_ctx == 0) context.n_ctx = 512;
  if (context.n_ctx < 4) usage_error("--ctx-size: expected 4 or more, got too few to score");
  const std::string name = take_model_name(model_options, &positionals, "perplexity");
  if (!prompt.file && !prompt.text) {
    usage_error("nibble perplexity: expected a text", "give a file of it: -f FILE");
  }
  std::string text = prompt.file ? read_text_file(*prompt.file) : *prompt.text;
  if (!text.empty() && text.back() == '\n') text.pop_back();  // as llama.cpp reads -f

  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const OpenedModel model = open_model(name, model_options, context.n_threads, terminal, interrupt);
  const Tokenizer& tokenizer = model.engine->tokenizer();
  const std::vector<int32_t> ids = tokenizer.encode(text, true, false);
  check_size(ids.size(), context.n_ctx);
  const PerplexityChunks chunks(static_cast<int64_t>(ids.size()), context.n_ctx, most_chunks);
  Session session = open_session(model, context);

  Output out;
  PerplexityEstimate estimate;
  const BusyScope busy(interrupt);
  Progress progress(terminal, "Scoring", "chunks");
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < chunks.n_chunks; ++i) {
    const std::vector<int32_t> chunk =
        chunks.tokens(ids, i, tokenizer.adds_bos() ? tokenizer.bos() : -1);
    const auto on_rows = [&](int64_t first, int64_t n_rows, const float* logits) {
      // logits [n_rows, n_vocab]
      const auto n_vocab = static_cast<size_t>(model.engine->n_vocab());
      for (int64_t row = 0; row < n_rows; ++row) {
        const int64_t position = first + row;
        if (position > chunks.last_scored()) continue;
        estimate.add(negative_log_likelihood({logits + static_cast<size_t>(row) * n_vocab, n_vocab},
                                             chunk[static_cast<size_t>(position) + 1]));
      }
    };
    session.evaluate_all(chunk, on_rows, &interrupt.token(), chunks.first_scored());
    out.write(fmt::format("[{}]{:.4f},", i + 1, estimate.perplexity()));
    out.flush();
    if (!terminal.stdout_tty) {  // there the running figures show the progress
      progress.update(static_cast<uint64_t>(i) + 1, static_cast<uint64_t>(chunks.n_chunks));
    }
  }
  progress.finish();
  out.write(fmt::format("\nFinal estimate: PPL = {:.4f} +/- {:.5f}\n", estimate.perplexity(),
                        estimate.error()));
  out.flush();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  write_stderr(fmt::format("{} chunks of {} tokens, {} scored, {:.1f} s, {:.1f} tokens/s\n",
                           chunks.n_chunks, context.n_ctx, estimate.count(), seconds,
                           static_cast<double>(chunks.n_chunks * context.n_ctx) / seconds));
  return 0;
}

}  // namespace

const Command cmd_perplexity = {
    "perplexity",
    "Measure how well a model predicts a text.",
    "-m MODEL -f FILE [-c 512] [--chunks N]",
    "nibble perplexity -m model.gguf -f /usr/share/common-licenses/GPL-3\n"
    "nibble perplexity -m model.gguf -f wiki.test.raw -c 2048 --chunks 8\n",
    false,
    run,
};

}  // namespace nibble
