// nibble chat: a conversation in the terminal, or line by line through a pipe.
#include <fmt/format.h>
#include <langinfo.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>

#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/control_filter.h"
#include "tools/history_file.h"
#include "tools/line_editor.h"
#include "tools/paths.h"
#include "tools/repl.h"
#include "tools/repl_commands.h"
#include "tools/stdin_lines.h"

namespace nibble {
namespace {

constexpr size_t kHistoryMessages = 1000;
constexpr const char* kPlaceholder = "Send a message (/? for help)";

struct ChatSettings {
  ModelOptions model;
  PromptOptions prompt;
  ContextOptions context;
  SamplingOptions sampling;
  GenerationOptions generation;
  ChatOptionsGroup chat;
  bool no_history = false;
};

/// The line editor asks the C library how wide characters are; nothing else uses the locale.
void use_utf8() {
  const char* set = std::setlocale(LC_CTYPE, "");
  if (set == nullptr || std::string_view(::nl_langinfo(CODESET)) != "UTF-8") {
    std::setlocale(LC_CTYPE, "C.UTF-8");
  }
}

std::unique_ptr<LineSource> make_input(bool interactive, const Terminal& terminal,
                                       Interrupt& interrupt, HistoryFile* history) {
  if (!interactive) return std::make_unique<StdinLines>(interrupt);
  use_utf8();
  LineEditorOptions options;
  options.placeholder = kPlaceholder;
  options.history = history->load(kHistoryMessages);
  options.complete = complete_line;
  options.on_remember = [history](const std::string& message) {
    const std::string problem = history->append(message);
    if (!problem.empty()) write_stderr("note: history is not saved: " + one_line(problem) + "\n");
  };
  return std::make_unique<LineEditor>(terminal, interrupt, std::move(options));
}

void show_banner(const Chat& chat) {
  const Engine& engine = *chat.model.engine;
  const MetaValue* name = engine.file().meta().find("general.name");
  const bool named = name != nullptr && name->type == MetaType::string && !name->text.empty();
  note(chat,
       fmt::format("nibble {} · {} · {}", NIBBLE_VERSION,
                   named ? one_line(name->text) : one_line(chat.model.path), engine.description()));
  note(chat, fmt::format("context {} tokens · up to {} of memory · {} threads · {}",
                         chat.session.n_ctx(), format_bytes(chat.session.plan().total()),
                         chat.session.n_threads(), engine.kernels().name));
}

void start_conversation(Chat& chat, const ChatOptionsGroup& options) {
  const Engine& engine = *chat.model.engine;
  if (!options.raw && engine.chat_template() != nullptr) {
    chat.conversation.emplace(chat.model.engine, options.conversation);
    chat.conversation->set_system(options.system);
    chat.system = options.system;
    return;
  }
  if (!options.raw) {
    note(chat, engine.template_problem().empty()
                   ? "note: this model has no chat template; it completes the text you type"
                   : "note: its chat template is not usable, so the model completes the text you "
                     "type: " +
                         one_line(engine.template_problem()));
  }
}

bool can_edit_lines(const Terminal& terminal) {
  if (!terminal.stdin_tty) return false;
  return terminal.stderr_tty || ::access("/dev/tty", W_OK) == 0;
}

int chat_with(const ChatSettings& settings, const std::string& name) {
  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const bool interactive = can_edit_lines(terminal);
  const OpenedModel model =
      open_model(name, settings.model, settings.context.n_threads, terminal, interrupt);
  const std::string folder = settings.no_history ? "" : state_folder();
  HistoryFile history(folder.empty() ? "" : folder + "/history");
  const std::unique_ptr<LineSource> input = make_input(interactive, terminal, interrupt, &history);
  Output out;
  Chat chat{terminal,
            interrupt,
            out,
            *input,
            interactive,
            model,
            open_session(model, settings.context),
            sampler_options(settings.sampling, model.engine->sampling()),
            settings.generation};
  renew_sampler(chat);
  if (interactive) show_banner(chat);
  const std::string ignored = ignored_sampling_note(model.engine->sampling());
  if (!ignored.empty()) note(chat, ignored);
  start_conversation(chat, settings.chat);

  std::string first;
  if (settings.prompt.file) first = read_text_file(*settings.prompt.file);
  if (settings.prompt.text) first += (first.empty() ? "" : "\n") + *settings.prompt.text;
  if (!first.empty()) {
    send_message(chat, first);
    if (interrupt.token().requested() && !interactive)
      return static_cast<int>(ExitCode::interrupted);
  }
  return run_chat(chat);
}

int run(const Command& self, std::span<const std::string> args) {
  ChatSettings settings;
  std::vector<std::string> positionals;
  CommandLine line(self);
  add_model_options(line, &settings.model);
  add_prompt_options(line, &settings.prompt);
  add_context_options(line, &settings.context);
  add_sampling_options(line, &settings.sampling);
  add_generation_options(line, &settings.generation);
  add_chat_options(line, &settings.chat);
  line.add({"--no-history", "", "do not read or keep the history of messages", OptionGroup::chat,
            [&](std::string_view, std::string_view) { settings.no_history = true; }});
  line.positionals(&positionals, 1);
  if (!line.parse(args)) return 0;
  const bool named = !settings.model.model.empty() || !positionals.empty();
  return chat_with(settings, named ? take_model_name(settings.model, &positionals, "chat")
                                   : default_model(model_folder()));
}

}  // namespace

const Command cmd_chat = {
    "chat",
    "Talk with a model. Piped input is answered line by line.",
    "[MODEL] [OPTION]...",
    "nibble chat\n"
    "nibble chat -m model.gguf -c 8k\n"
    "nibble chat -m model.gguf -sys \"You are a pirate.\" --temp 0.2\n"
    "printf 'What is the capital of France?\\n' | nibble chat\n",
    true,
    run,
};

}  // namespace nibble
