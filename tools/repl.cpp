// See repl.h.
#include "tools/repl.h"

#include <fmt/format.h>

#include <filesystem>

#include "tools/control_filter.h"
#include "tools/repl_commands.h"
#include "tools/repl_input.h"

namespace nibble {
namespace {

bool path_exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

/// Streams an answer and says how it ended. stats and finish are set.
GenerateResult answer(Chat& chat, const std::vector<int32_t>& prompt) {
  Answer given;
  {
    const QuietInput quiet(chat.interactive);
    const BusyScope busy(chat.interrupt);
    given = stream_answer(chat.session, *chat.sampler, prompt, chat.generation, chat.terminal,
                          chat.out, chat.interrupt);
    const std::string& text = given.result.text;
    if (!text.empty() && text.back() != '\n') chat.out.write("\n");
    chat.out.flush();  // may block as well, so it is still part of what a second Ctrl-C ends
  }
  chat.finish = given.result.finish;
  chat.stats = given.stats;
  chat.stats.load_seconds = chat.model.seconds;
  return std::move(given.result);
}

void report_end(Chat& chat) {
  const char* how_to_go_on = chat.interactive ? "; /continue goes on" : "";
  switch (chat.finish) {
    case FinishReason::stop:
      break;
    case FinishReason::cancelled:
      note(chat, fmt::format("[stopped{}]", how_to_go_on));
      break;
    case FinishReason::length:
      note(chat, fmt::format("[cut after {} tokens{}]", chat.stats.answer_tokens, how_to_go_on));
      break;
    case FinishReason::context:
      note(chat, fmt::format("[cut: the context of {} tokens is full{}]", chat.stats.context_size,
                             how_to_go_on));
      break;
  }
  const std::string warning = chat.context_warning.after_answer(
      chat.stats.context_used, chat.stats.context_size,
      chat.conversation ? chat.conversation->options().overflow : OverflowPolicy::error);
  if (!warning.empty() && chat.finish != FinishReason::context) note(chat, warning);
  if (chat.generation.verbose) {
    write_stderr(stats_block(chat.stats, peak_resident_bytes()));
  } else if (chat.interactive && !chat.quiet) {
    note(chat, stats_line(chat.stats));
  }
}

void report_dropped(const Chat& chat, const DropReport& report) {
  if (report.turns == 0) return;
  note(chat, fmt::format("[context full: dropped the oldest {} turn{}, {} tokens]", report.turns,
                         report.turns == 1 ? "" : "s", report.tokens));
}

/// Tokens of the conversation so far, turns dropped if need be.
void answer_conversation(Chat& chat) {
  Conversation& conversation = *chat.conversation;
  DropReport dropped;
  const std::vector<int32_t> prompt = conversation.prompt(chat.session.n_ctx(), &dropped);
  report_dropped(chat, dropped);
  GenerateResult result = answer(chat, prompt);
  if (chat.finish == FinishReason::cancelled && result.tokens.empty()) {
    conversation.pop_last();  // nothing was said: the message is taken back
    note(chat, "[stopped before the answer began; the message was taken back]");
    return;
  }
  conversation.add_assistant(std::move(result.text), std::move(result.tokens));
  report_end(chat);
}

void answer_raw(Chat& chat) {
  const GenerateResult result = answer(chat, chat.raw_tokens);
  chat.raw_tokens.insert(chat.raw_tokens.end(), result.tokens.begin(), result.tokens.end());
  report_end(chat);
}

void handle(Chat& chat, const Typed& typed) {
  ReplInput input;
  if (typed.literal) {
    input.kind = InputKind::text;
    input.text = typed.text;
  } else {
    input = parse_input(
        typed.text, [](const std::string& name) { return find_repl_command(name) != nullptr; },
        path_exists);
  }
  if (input.kind == InputKind::command) {
    run_repl_command(chat, input.command, input.arguments);
  } else if (input.kind == InputKind::text) {
    send_message(chat, input.text);
  } else if (!chat.attached.empty() && chat.interactive) {
    note(chat, "type a question about what /read took in");
  }
}

/// An error in an interactive chat is shown; in a pipe it ends the chat with its exit code.
void handle_safely(Chat& chat, const Typed& typed) {
  if (!chat.interactive) return handle(chat, typed);
  try {
    handle(chat, typed);
  } catch (const CommandError& e) {
    show_error(chat, e.code(), e.message(), e.hint());
  } catch (const Error& e) {
    show_error(chat, exit_code_of(e.code()), e.message(), e.hint());
  }
}

}  // namespace

void note(const Chat& chat, const std::string& text) {
  write_stderr(chat.terminal.style("90", filter_control(text)) + "\n");
}

void show_error(const Chat&, ExitCode code, const std::string& message, const std::string& hint) {
  write_stderr(format_error(code, message, hint));
}

void renew_sampler(Chat& chat) {
  chat.sampler =
      std::make_unique<Sampler>(chat.sampling, static_cast<int32_t>(chat.model.engine->n_vocab()));
}

void send_message(Chat& chat, const std::string& text) {
  const std::string message = chat.attached.empty() ? text : chat.attached + "\n\n" + text;
  if (!chat.conversation) {
    chat.raw_text = message;
    chat.raw_tokens = raw_prompt(*chat.model.engine, message);
    chat.attached.clear();
    return answer_raw(chat);
  }
  const size_t before = chat.conversation->messages().size();
  chat.conversation->add_user(message);
  try {
    answer_conversation(chat);
  } catch (...) {
    const auto& messages = chat.conversation->messages();
    if (messages.size() > before || (!messages.empty() && messages.back().role == "user")) {
      chat.conversation->pop_last();
    }
    throw;
  }
  chat.attached.clear();
}

void regenerate(Chat& chat) {
  if (!chat.conversation) {
    if (chat.raw_tokens.empty()) usage_error("/regen: there is no answer yet");
    chat.raw_tokens = raw_prompt(*chat.model.engine, chat.raw_text);
    return answer_raw(chat);
  }
  if (chat.conversation->messages().empty()) usage_error("/regen: there is no answer yet");
  const ChatMessage old = chat.conversation->messages().back();
  if (old.role != "user") chat.conversation->pop_last();
  answer_conversation(chat);
}

void continue_answer(Chat& chat) {
  if (!chat.conversation) {
    if (chat.raw_tokens.empty()) usage_error("/continue: there is no answer yet");
    return answer_raw(chat);
  }
  DropReport dropped;
  const std::vector<int32_t> prompt =
      chat.conversation->continuation(chat.session.n_ctx(), &dropped);
  report_dropped(chat, dropped);
  const GenerateResult result = answer(chat, prompt);
  chat.conversation->extend_assistant(result.text, result.tokens);
  report_end(chat);
}

int run_chat(Chat& chat) {
  while (!chat.done && !chat.interrupt.terminated()) {
    chat.interrupt.reset();
    const Typed typed = read_message(chat.input);
    if (typed.status == ReadStatus::end) break;
    if (typed.status == ReadStatus::interrupted) {
      if (!chat.interactive) return static_cast<int>(ExitCode::interrupted);
      if (typed.text.empty()) note(chat, "Use Ctrl-D or /bye to exit.");
      continue;
    }
    if (chat.history && !trim(typed.original).empty()) {
      chat.input.remember(std::string(trim(typed.original)));
    }
    handle_safely(chat, typed);
    const bool stopped = chat.interrupt.token().requested() && !chat.interrupt.terminated();
    if (stopped && !chat.interactive) return static_cast<int>(ExitCode::interrupted);
  }
  return static_cast<int>(ExitCode::ok);
}

}  // namespace nibble
