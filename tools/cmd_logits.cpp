// nibble logits: what the model computes, for comparison with other programs.
#include <fmt/format.h>

#include <limits>
#include <optional>

#include "formats/io/atomic_file.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/exit_code.h"
#include "tools/npy.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/quote_text.h"
#include "tools/score.h"
#include "tools/values.h"

namespace nibble {
namespace {

struct LogitsOptions {
  std::vector<int32_t> tokens;
  std::optional<std::string> text;
  bool special = false;
  bool no_bos = false;
  int64_t top = 0;
  std::string file;
};

void declare(CommandLine& line, LogitsOptions* out) {
  using Text = std::string_view;
  line.add({"--tokens", "IDS", "token ids separated by commas", OptionGroup::prompt,
            [=](Text flag, Text text) {
              out->tokens.clear();
              for (const int64_t id :
                   int_list(flag, text, 0, std::numeric_limits<int32_t>::max())) {
                out->tokens.push_back(static_cast<int32_t>(id));
              }
            }});
  line.add({"-p,--prompt", "TEXT", "a text, tokenized as the model wants it", OptionGroup::prompt,
            [=](Text, Text text) { out->text = std::string(text); }});
  line.add({"--no-bos", "", "leave out the tokens that the model puts around a text",
            OptionGroup::prompt, [=](Text, Text) { out->no_bos = true; }});
  line.add({"--special", "", "read special tokens written in the text as such", OptionGroup::prompt,
            [=](Text, Text) { out->special = true; }});
  line.add({"--top", "N", "print the N likeliest next tokens", OptionGroup::output,
            [=](Text flag, Text text) { out->top = int_value(flag, text, 1, 1 << 30); }});
  line.add({"-o,--output", "FILE.npy", "write the logits of every token, float32 [tokens, vocab]",
            OptionGroup::output, [=](Text, Text text) { out->file = text; }});
}

void print_top(const Session& session, int64_t n) {
  const Tokenizer& tokenizer = session.engine().tokenizer();
  Output out;
  out.write("   rank      id       logit  probability  token\n");
  int64_t rank = 0;
  for (const TokenScore& t : top_tokens(session.logits(), n)) {
    out.write(fmt::format("{:>7} {:>7} {:>11.6f}  {:>11.8f}  {}\n", ++rank, t.id, t.logit,
                          t.probability, quote_text(tokenizer.piece(t.id, true))));
  }
  out.flush();
}

void write_npy(Session& session, const std::vector<int32_t>& ids, const std::string& path,
               const std::string& model_path, const CancelToken& cancel) {
  const int64_t n_vocab = session.engine().n_vocab();
  const std::string header = npy_header(static_cast<int64_t>(ids.size()), n_vocab);
  AtomicFileOptions options;
  options.inputs = {model_path};
  options.expected_bytes =
      header.size() + ids.size() * static_cast<size_t>(n_vocab) * sizeof(float);
  AtomicFile file(path, options);
  file.write(std::as_bytes(std::span(header)));
  session.evaluate_all(
      ids,
      [&](int64_t, int64_t n_rows, const float* logits) {  // logits [n_rows, n_vocab]
        file.write(std::as_bytes(std::span(logits, static_cast<size_t>(n_rows * n_vocab))));
      },
      &cancel);
  file.commit();
}

int run(const Command& self, std::span<const std::string> args) {
  ModelOptions model_options;
  ContextOptions context;
  LogitsOptions options;
  std::vector<std::string> positionals;
  CommandLine line(self);
  add_model_options(line, &model_options);
  add_context_options(line, &context);
  declare(line, &options);
  line.positionals(&positionals, 1);
  if (!line.parse(args)) return 0;
  const std::string name = take_model_name(model_options, &positionals, "logits");
  if (options.tokens.empty() == !options.text.has_value()) {
    usage_error("nibble logits: expected either --tokens or -p", "for example --tokens 1,2,3");
  }
  if ((options.top == 0) == options.file.empty()) {
    usage_error("nibble logits: expected either --top N or -o FILE.npy",
                "--top prints the likeliest tokens, -o writes all logits");
  }

  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const OpenedModel model = open_model(name, model_options, context.n_threads, terminal, interrupt);
  std::vector<int32_t> ids = options.tokens;
  if (options.text) {
    ids = model.engine->tokenizer().encode(*options.text, !options.no_bos, options.special);
  }
  if (ids.empty()) usage_error("nibble logits: expected at least one token, got none");
  if (context.n_ctx == 0) {  // as many positions as there are tokens, if the model has them
    context.n_ctx = std::min(model.engine->n_ctx_train(), static_cast<int64_t>(ids.size()));
  }
  Session session = open_session(model, context);
  const BusyScope busy(interrupt);
  if (options.file.empty()) {
    session.sync(ids, &interrupt.token());
    print_top(session, options.top);
  } else {
    write_npy(session, ids, options.file, model.path, interrupt.token());
  }
  return 0;
}

}  // namespace

const Command cmd_logits = {
    "logits",
    "Print or save the logits of a prompt.",
    "-m MODEL (--tokens 1,2,3 | -p TEXT) (--top N | -o FILE.npy)",
    "nibble logits -m model.gguf -p \"The capital of France is\" --top 5\n"
    "nibble logits -m model.gguf --tokens 1,2,3 -o logits.npy --isa reference\n",
    false,
    run,
};

}  // namespace nibble
