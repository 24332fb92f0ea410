// nibble run: one prompt, one answer, for the shell.
#include <fmt/format.h>

#include "runtime/engine/conversation.h"
#include "tools/answer.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/exit_code.h"
#include "tools/open_model.h"
#include "tools/options.h"

namespace nibble {
namespace {

/// Standard input, the file and the argument, in this order, with a newline between them.
std::string join_prompt(const PromptOptions& prompt, const std::vector<std::string>& positionals) {
  std::vector<std::string> parts;
  const bool file_is_stdin = prompt.file && *prompt.file == "-";
  if (!file_is_stdin && stdin_has_text()) parts.push_back(read_stdin());
  if (prompt.file) parts.push_back(read_text_file(*prompt.file));
  if (prompt.text) parts.push_back(*prompt.text);
  if (!positionals.empty()) parts.push_back(positionals.front());
  std::string text;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    if (!text.empty() && text.back() != '\n') text += '\n';
    text += part;
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();  // the shell's, not the user's
  return text;
}

std::vector<int32_t> make_prompt(const OpenedModel& model, const ChatOptionsGroup& chat,
                                 const std::string& text, int64_t n_ctx) {
  if (chat.raw || model.engine->chat_template() == nullptr) {
    if (!chat.raw && !model.engine->template_problem().empty()) {
      write_stderr(fmt::format("note: chat template not usable ({}); completing the text\n",
                               model.engine->template_problem()));
    }
    return raw_prompt(*model.engine, text);
  }
  ConversationOptions options = chat.conversation;
  if (options.reserve == 0) options.reserve = 1;  // one shot: whatever is left is for the answer
  Conversation conversation(model.engine, options);
  conversation.set_system(chat.system);
  conversation.add_user(text);
  return conversation.prompt(n_ctx, nullptr);
}

int run(const Command& self, std::span<const std::string> args) {
  ModelOptions model_options;
  PromptOptions prompt;
  ContextOptions context;
  SamplingOptions sampling;
  GenerationOptions generation;
  ChatOptionsGroup chat;
  std::vector<std::string> positionals;
  CommandLine line(self);
  add_model_options(line, &model_options);
  add_prompt_options(line, &prompt);
  add_context_options(line, &context);
  add_sampling_options(line, &sampling);
  add_generation_options(line, &generation);
  add_chat_options(line, &chat);
  line.positionals(&positionals, 2);
  if (!line.parse(args)) return 0;
  const std::string name = take_model_name(model_options, &positionals, "run");
  if (positionals.size() > 1) {
    usage_error(fmt::format("nibble run: unexpected argument '{}'", positionals[1]),
                "quote a prompt of several words: nibble run MODEL \"the prompt\"");
  }
  const std::string text = join_prompt(prompt, positionals);
  if (text.empty()) {
    usage_error("nibble run: expected a prompt", "nibble run MODEL \"Why is the sky blue?\"");
  }

  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const OpenedModel model = open_model(name, model_options, context.n_threads, terminal, interrupt);
  Session session = open_session(model, context);
  const SamplerOptions sampler_settings = sampler_options(sampling, model.engine->sampling());
  const std::string ignored = ignored_sampling_note(model.engine->sampling());
  if (!ignored.empty()) write_stderr(ignored + "\n");
  Sampler sampler(sampler_settings, static_cast<int32_t>(model.engine->n_vocab()));
  const std::vector<int32_t> ids = make_prompt(model, chat, text, session.n_ctx());

  Output out;
  const BusyScope busy(interrupt);
  Answer answer = stream_answer(session, sampler, ids, generation, terminal, out, interrupt);
  const std::string& said = answer.result.text;
  if (said.empty() || said.back() != '\n') out.write("\n");
  out.flush();
  answer.stats.load_seconds = model.seconds;
  answer.stats.total_seconds += model.seconds;
  if (generation.verbose) write_stderr(stats_block(answer.stats, peak_resident_bytes()));
  if (answer.result.finish == FinishReason::cancelled) {
    return static_cast<int>(ExitCode::interrupted);
  }
  if (answer.result.finish == FinishReason::context) {
    write_stderr(fmt::format("note: the answer ends where the context of {} tokens does\n",
                             session.n_ctx()));
  }
  return 0;
}

}  // namespace

const Command cmd_run = {
    "run",
    "Answer one prompt and leave.",
    "MODEL [PROMPT] [OPTION]...",
    "nibble run model.gguf \"Why is the sky blue?\"\n"
    "nibble run model.gguf \"Summarize this:\" < letter.txt\n"
    "nibble run -m model.gguf -f prompt.txt -n 200 --temp 0\n"
    "nibble run model.gguf --raw \"Once upon a time\"\n"
    "git diff | nibble run model.gguf \"Write a commit message.\"\n",
    true,
    run,
};

}  // namespace nibble
