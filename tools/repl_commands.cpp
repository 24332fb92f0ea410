// See repl_commands.h. What commands print goes to standard error, as standard output is the
// model's.
#include "tools/repl_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "tools/chat_file.h"
#include "tools/control_filter.h"
#include "tools/exit_code.h"
#include "tools/parameters.h"
#include "tools/repl_input.h"
#include "tools/suggest.h"

namespace nibble {
namespace {

void print(const std::string& text) {
  write_stderr(filter_control(text));
}

std::vector<std::string> names_of(const ReplCommand& command) {
  std::vector<std::string> out(1);
  for (const char* c = command.names; *c != '\0'; ++c) {
    if (*c == ' ') {
      out.emplace_back();
    } else {
      out.back() += *c;
    }
  }
  return out;
}

/// First word and the trimmed rest.
std::pair<std::string, std::string> split_word(const std::string& text) {
  const size_t end = std::min(text.find_first_of(" \t\n"), text.size());
  return {text.substr(0, end), std::string(trim(std::string_view(text).substr(end)))};
}

Conversation& conversation_of(Chat& chat, const char* command) {
  if (!chat.conversation) {
    usage_error(fmt::format("/{}: this model completes text and keeps no conversation", command),
                "an instruction-tuned model with a chat template does");
  }
  return *chat.conversation;
}

std::string path_argument(const std::string& arguments, const char* command) {
  if (arguments.empty()) {
    usage_error(fmt::format("/{}: expected a file", command), fmt::format("/{} FILE", command));
  }
  return arguments;
}

void cmd_help(Chat&, const std::string&) {
  std::string text = "Commands:\n";
  for (const ReplCommand& command : repl_commands()) {
    std::string left = "  ";
    for (const std::string& name : names_of(command)) left += fmt::format("/{} ", name);
    left += command.arguments;
    text += fmt::format("{:<34} {}\n", left, command.help);
  }
  text +=
      "\nKeys: Ctrl-J, a trailing \\ or \"\"\" ... \"\"\" for several lines; Ctrl-C stops an "
      "answer;\n"
      "Ctrl-G opens the line in $VISUAL or $EDITOR; Ctrl-R searches the history; Tab completes;\n"
      "Ctrl-Z suspends; Ctrl-D leaves. // starts a message with a /.\n";
  print(text);
}

void cmd_clear(Chat& chat, const std::string&) {
  if (chat.conversation) chat.conversation->clear();
  chat.raw_tokens.clear();
  chat.raw_text.clear();
  chat.attached.clear();
  chat.context_warning.reset();
  note(chat, "[conversation cleared]");
}

void set_system(Chat& chat, const std::string& text) {
  conversation_of(chat, "system").set_system(text);
  chat.system = text;
  note(chat, text.empty() ? "[system prompt removed]" : "[system prompt set]");
}

void cmd_system(Chat& chat, const std::string& arguments) {
  if (arguments.empty()) {
    print(chat.system.empty() ? "no system prompt\n" : chat.system + "\n");
  } else {
    set_system(chat, arguments == "\"\"" ? "" : arguments);
  }
}

void cmd_set(Chat& chat, const std::string& arguments) {
  const auto [what, rest] = split_word(arguments);
  if (what == "parameter") {
    const auto [name, value] = split_word(rest);
    set_parameter(name, value, &chat.sampling, &chat.generation);
    renew_sampler(chat);
    note(chat, fmt::format("[{} set to {}]", name, value));
  } else if (what == "system") {
    set_system(chat, rest == "\"\"" ? "" : rest);
  } else if (what == "verbose" || what == "noverbose") {
    chat.generation.verbose = what == "verbose";
  } else if (what == "quiet" || what == "noquiet") {
    chat.quiet = what == "quiet";
  } else if (what == "history" || what == "nohistory") {
    chat.history = what == "history";
  } else {
    usage_error(fmt::format("/set: expected what to set, got '{}'", what),
                "parameter NAME VALUE, system TEXT, verbose, noverbose, quiet, noquiet, history or "
                "nohistory");
  }
}

void cmd_show(Chat& chat, const std::string& arguments) {
  const Engine& engine = *chat.model.engine;
  const auto meta_text = [&](const char* key) {
    const MetaValue* value = engine.file().meta().find(key);
    return value != nullptr && value->type == MetaType::string ? std::string(value->text)
                                                               : std::string("not given");
  };
  if (arguments == "info" || arguments.empty()) {
    print(
        fmt::format("model         {}\nfile          {}\nparameters    {}\ncontext       {} of {}\n"
                    "kernels       {}\nthreads       {}\n",
                    engine.description(), chat.model.path, engine.n_params(), chat.session.n_ctx(),
                    engine.n_ctx_train(), engine.kernels().name, chat.session.n_threads()));
  } else if (arguments == "parameters") {
    print(describe_parameters(chat.sampling, chat.generation));
  } else if (arguments == "system") {
    cmd_system(chat, "");
  } else if (arguments == "template") {
    print(engine.chat_template() != nullptr ? engine.chat_template()->source() + "\n"
                                            : "no usable chat template\n");
  } else if (arguments == "license") {
    print(meta_text("general.license") + "\n");
  } else {
    usage_error(fmt::format("/show: nothing named '{}'", arguments),
                "info, parameters, system, template or license");
  }
}

void cmd_regen(Chat& chat, const std::string&) {
  regenerate(chat);
}

void cmd_undo(Chat& chat, const std::string&) {
  Conversation& conversation = conversation_of(chat, "undo");
  if (conversation.messages().empty()) usage_error("/undo: there is nothing to take back");
  if (conversation.messages().back().role != "user") conversation.pop_last();
  conversation.pop_last();
  note(chat,
       fmt::format("[last turn taken back; {} messages left]", conversation.messages().size()));
}

void cmd_save(Chat& chat, const std::string& arguments) {
  const std::string path = path_argument(arguments, "save");
  Conversation& conversation = conversation_of(chat, "save");
  SavedChat saved;
  saved.model = std::filesystem::path(chat.model.path).filename().string();
  saved.system = conversation.system();
  saved.messages = conversation.messages();
  save_chat(saved, path, chat.model.engine->file().paths());
  note(chat, fmt::format("[{} messages saved in {}]", saved.messages.size(), path));
}

void cmd_load(Chat& chat, const std::string& arguments) {
  const std::string path = path_argument(arguments, "load");
  Conversation& conversation = conversation_of(chat, "load");
  const SavedChat saved = parse_chat(read_text_file(path), path);
  conversation.clear();
  chat.context_warning.reset();
  conversation.set_system(saved.system);
  chat.system = saved.system;
  for (const ChatMessage& m : saved.messages) {
    if (m.role == "user") {
      conversation.add_user(m.content);
    } else {
      conversation.add_assistant(m.content);
    }
  }
  note(chat, fmt::format("[{} messages loaded from {}]", saved.messages.size(), path));
}

void cmd_read(Chat& chat, const std::string& arguments) {
  const std::string path = path_argument(arguments, "read");
  const std::string text = read_text_file(path);
  if (!chat.attached.empty()) chat.attached += "\n\n";
  chat.attached += text;
  const size_t tokens = chat.model.engine->tokenizer().encode(text, false, false).size();
  note(chat, fmt::format("[{}: {} tokens, sent with your next message]", path, tokens));
}

void cmd_stats(Chat& chat, const std::string&) {
  print(stats_block(chat.stats, peak_resident_bytes()));
}

void cmd_context(Chat& chat, const std::string&) {
  const int64_t n_ctx = chat.session.n_ctx();
  if (!chat.conversation) {
    print(fmt::format("{:<24}{:>8}\n{:<24}{:>8}\n", "text", chat.raw_tokens.size(), "free",
                      n_ctx - static_cast<int64_t>(chat.raw_tokens.size())));
    return;
  }
  const PromptParts parts = chat.conversation->parts(n_ctx);
  std::string text = fmt::format("{:<24}{:>8}\n", "system", parts.system);
  for (size_t i = 0; i < parts.messages.size(); ++i) {
    const std::string name =
        fmt::format("turn {} {}", i / 2 + 1, chat.conversation->messages()[i].role);
    text += fmt::format("{:<24}{:>8}\n", name, parts.messages[i]);
  }
  text += fmt::format("{:<24}{:>8}\n", "next prompt, all", parts.total);
  text += fmt::format("{:<24}{:>8}\n", "reserved for the answer", parts.reserved);
  text += fmt::format("{:<24}{:>8}\n", "free", std::max<int64_t>(0, n_ctx - parts.total));
  text += fmt::format("{:<24}{:>8}\n", "context", n_ctx);
  print(text);
}

void cmd_continue(Chat& chat, const std::string&) {
  continue_answer(chat);
}
void cmd_exit(Chat& chat, const std::string&) {
  chat.done = true;
}

constexpr ReplCommand kCommands[] = {
    {"help ?", "", "this list", cmd_help},
    {"clear new", "", "start anew, keep the system prompt", cmd_clear},
    {"set", "WHAT [VALUE]", "parameter NAME VALUE, system TEXT, verbose, quiet, nohistory",
     cmd_set},
    {"show", "[WHAT]", "info, parameters, system, template or license", cmd_show},
    {"system", "[TEXT]", "show or set the system prompt (\"\" removes it)", cmd_system},
    {"regen retry", "", "answer the last message once more", cmd_regen},
    {"continue", "", "go on with the last answer", cmd_continue},
    {"undo", "", "take back the last turn", cmd_undo},
    {"save", "FILE", "write the conversation to a file", cmd_save},
    {"load", "FILE", "go on with a conversation from a file", cmd_load},
    {"read", "FILE", "send a file's text with the next message", cmd_read},
    {"stats", "", "figures of the last answer", cmd_stats},
    {"context", "", "tokens of each part of the conversation", cmd_context},
    {"exit bye quit", "", "leave (Ctrl-D does too)", cmd_exit},
};

std::vector<std::string> complete_path(const std::string& before, const std::string& path) {
  namespace fs = std::filesystem;
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  const std::string start = path.substr(folder.size());
  std::vector<std::string> out;
  std::error_code error;
  const fs::path where = folder.empty() ? fs::path(".") : fs::path(folder);
  for (fs::directory_iterator it(where, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.compare(0, start.size(), start) != 0 || (start.empty() && name[0] == '.')) continue;
    std::error_code ignored;
    out.push_back(before + folder + name + (it->is_directory(ignored) ? "/" : ""));
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

std::span<const ReplCommand> repl_commands() noexcept {
  return kCommands;
}

const ReplCommand* find_repl_command(const std::string& name) {
  for (const ReplCommand& command : kCommands) {
    for (const std::string& known : names_of(command)) {
      if (known == name) return &command;
    }
  }
  return nullptr;
}

void run_repl_command(Chat& chat, const std::string& name, const std::string& arguments) {
  if (const ReplCommand* command = find_repl_command(name)) return command->run(chat, arguments);
  std::vector<std::string> known;
  for (const ReplCommand& command : kCommands) {
    for (std::string& n : names_of(command)) known.push_back(std::move(n));
  }
  const std::string near = nearest(name, known);
  usage_error(fmt::format("/{}: no such command", name),
              near.empty() ? "/help lists the commands; // starts a message with a slash"
                           : fmt::format("did you mean /{}?", near));
}

std::vector<std::string> complete_line(const std::string& line) {
  std::vector<std::string> out;
  if (line.empty() || line[0] != '/') return out;
  const size_t space = line.find(' ');
  if (space != std::string::npos) {
    const std::string command = line.substr(1, space - 1);
    if (command == "read" || command == "load" || command == "save") {
      return complete_path(line.substr(0, space + 1), line.substr(space + 1));
    }
    return out;
  }
  for (const ReplCommand& command : kCommands) {
    for (const std::string& name : names_of(command)) {
      std::string whole = fmt::format("/{} ", name);
      if (whole.compare(0, line.size(), line) == 0) out.push_back(std::move(whole));
    }
  }
  return out;
}

}  // namespace nibble
