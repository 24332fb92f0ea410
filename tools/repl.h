#pragma once
// The chat itself: its state, and what a message, a continuation and the loop do with it. The slash
// commands (repl_commands.h) are functions over the same state.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/engine/conversation.h"
#include "tools/answer.h"
#include "tools/context_warning.h"
#include "tools/exit_code.h"
#include "tools/interrupt.h"
#include "tools/line_source.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/stats.h"
#include "tools/terminal.h"

namespace nibble {

struct Chat {
  const Terminal& terminal;
  Interrupt& interrupt;
  Output& out;
  LineSource& input;
  bool interactive;  // a person at a terminal: prompt, banner, figures
  OpenedModel model;
  Session session;
  SamplerOptions sampling;
  GenerationOptions generation;
  std::optional<Conversation> conversation = std::nullopt;  // none: completion of plain text
  std::unique_ptr<Sampler> sampler = nullptr;
  std::string system = {};    // shown and set also before a conversation uses it
  std::string attached = {};  // what /read took in, for the next message
  bool history = true;
  bool quiet = false;  // no figures after an answer
  bool done = false;   // leave the loop

  // Of the last answer.
  AnswerStats stats = {};
  FinishReason finish = FinishReason::stop;
  ContextWarning context_warning = {};
  std::string raw_text = {};             // completion mode: what was completed
  std::vector<int32_t> raw_tokens = {};  // and all tokens so far
};

/// A line of the program, not of the model: on standard error, dim.
void note(const Chat& chat, const std::string& text);
/// An error that does not end the chat.
void show_error(const Chat& chat, ExitCode code, const std::string& message,
                const std::string& hint);

/// Sends a message and streams the answer. Errors: CommandError, Error, BrokenPipe; the
/// conversation is then as it was.
void send_message(Chat& chat, const std::string& text);
/// Answers the last message once more.
void regenerate(Chat& chat);
/// Goes on with the last answer.
void continue_answer(Chat& chat);

/// Makes a sampler from chat.sampling. Errors: Error bad_argument.
void renew_sampler(Chat& chat);

/// Until the end of input, /exit or SIGTERM. Returns the exit code.
int run_chat(Chat& chat);

}  // namespace nibble
