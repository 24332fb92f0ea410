#pragma once
// A chat as turns: renders them through the model's template, counts them, and drops the oldest
// whole turns when the context is full, if the caller chose that.
//
// An answer keeps the tokens it was sampled as. They need not be what its text would be tokenized
// to, and a session can only reuse its state if a next prompt repeats them exactly: so prompt()
// puts them in place of the answer's text wherever the template writes a control token after it
// (tokenization cannot reach across one).
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/text/chat.h"

namespace nibble {

enum class OverflowPolicy { drop, error };

struct ConversationOptions {
  OverflowPolicy overflow = OverflowPolicy::drop;
  int64_t reserve =
      0;  // tokens kept free for the answer; 0: a quarter of the context, at most 1024
};

/// What prompt() had to do to make the conversation fit.
struct DropReport {
  int64_t turns = 0;  // user turns with their answers
  int64_t messages = 0;
  int64_t tokens = 0;
};

struct PromptParts {   // for /context
  int64_t system = 0;  // tokens before the first message, also those of the template's own prompt
  std::vector<int64_t> messages;
  int64_t total = 0;  // with the generation prompt
  int64_t reserved = 0;
};

class Conversation {
 public:
  /// The engine must have a chat template. Errors: unsupported.
  Conversation(std::shared_ptr<const Engine>, const ConversationOptions& = {});

  void set_system(std::string text) { system_ = std::move(text); }  // "" removes it
  const std::string& system() const noexcept { return system_; }
  void add_user(std::string text);
  /// A message that was no answer of the model: "user", "tool", a later "system" ...
  void add(std::string role, std::string text);
  /// An answer, also a partial one. tokens: as sampled; empty if not known. Where they do not spell
  /// the text, those up to there are kept and the rest of it is tokenized.
  void add_assistant(std::string text, std::vector<int32_t> tokens = {});
  /// Appends to the last message what continuing it gave. Errors: bad_argument (it is no answer).
  void extend_assistant(std::string_view text, const std::vector<int32_t>& tokens);
  void pop_last();  // the last message
  void clear();     // keeps the system prompt
  const std::vector<ChatMessage>& messages() const noexcept { return messages_; }
  const ConversationOptions& options() const noexcept { return options_; }
  void set_options(const ConversationOptions& options) { options_ = options; }

  /// Tokens of the whole conversation with the generation prompt, fitting into n_ctx - reserve.
  /// With OverflowPolicy::drop, oldest turns leave (messages() shrinks too) and report says so;
  /// after an error all are still there.
  /// Errors: context_full (one turn alone does not fit, or policy error: both numbers),
  /// bad_argument (the template refuses the roles: its own words).
  std::vector<int32_t> prompt(int64_t n_ctx, DropReport* report);
  /// Tokens that continue the last message, an answer: no generation prompt after it, no end of
  /// turn. Older turns are dropped as prompt() does. Errors: bad_argument (no answer to continue),
  /// context_full.
  std::vector<int32_t> continuation(int64_t n_ctx, DropReport* report);
  /// What prompt() tokenizes, or continuation() where the last message is an answer, as text.
  /// Errors: bad_argument (the template's).
  std::string text() const;
  PromptParts parts(int64_t n_ctx) const;
  /// Tokens kept free for the answer in a context of n_ctx.
  int64_t reserved(int64_t n_ctx) const noexcept;

 private:
  /// messages_[0, end) after the system prompt.
  std::vector<PromptSegment> segments(size_t end, bool generation_prompt) const;
  /// Their tokens.
  std::vector<int32_t> render(size_t end, bool generation_prompt) const;
  std::vector<int32_t> render_continuation() const;
  std::vector<int32_t> tokens_of(std::string_view text, std::vector<int32_t> sampled) const;
  size_t oldest_turn_length() const noexcept;
  void drop_first(size_t n);
  void check_has_answer() const;
  int64_t system_tokens() const;
  /// Drops turns until the rest fits; the last turn stays.
  std::vector<int32_t> fit(int64_t n_ctx, bool continues, DropReport* report);

  std::shared_ptr<const Engine> engine_;
  ConversationOptions options_;
  std::string system_;
  std::vector<ChatMessage> messages_;          // without the system prompt
  std::vector<std::vector<int32_t>> sampled_;  // [messages_]: an answer's tokens, or empty
};

}  // namespace nibble
