#pragma once
// A chat as turns: renders them through the model's template, counts them, and drops the oldest
// whole turns when the context is full, if the caller chose that.
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/text/chat.h"

namespace nibble {

enum class OverflowPolicy { drop, error };

struct ConversationOptions {
  OverflowPolicy overflow = OverflowPolicy::drop;
  int64_t reserve = 0;   // tokens kept free for the answer; 0: a quarter of the context, at most 1024
};

/// What prompt() had to do to make the conversation fit.
struct DropReport {
  int64_t turns = 0;     // user turns with their answers
  int64_t messages = 0;
  int64_t tokens = 0;
};

struct PromptParts {     // for /context
  int64_t system = 0;    // tokens
  std::vector<int64_t> messages;
  int64_t total = 0;
  int64_t reserved = 0;
};

class Conversation {
 public:
  /// The engine must have a chat template. Errors: unsupported.
  Conversation(std::shared_ptr<const Engine>, const ConversationOptions& = {});

  void set_system(std::string text);            // "" removes it
  const std::string& system() const noexcept;
  void add_user(std::string text);
  void add_assistant(std::string text);         // also a partial answer
  void pop_last();                              // the last message
  void clear();                                 // keeps the system prompt
  const std::vector<ChatMessage>& messages() const noexcept { return messages_; }

  /// Tokens of the whole conversation with the generation prompt, fitting into n_ctx - reserve.
  /// With OverflowPolicy::drop, oldest turns leave (messages() shrinks too) and report says so.
  /// Errors: context_full (one turn alone does not fit, or policy error: both numbers),
  /// bad_argument (the template refuses the roles: its own words).
  std::vector<int32_t> prompt(int64_t n_ctx, DropReport* report);
  /// Tokens that continue the last assistant message (no generation prompt, no end of turn).
  std::vector<int32_t> continuation(int64_t n_ctx);
  PromptParts parts(int64_t n_ctx) const;

 private:
  std::vector<int32_t> render(size_t first_message, bool generation_prompt) const;
  std::shared_ptr<const Engine> engine_;
  ConversationOptions options_;
  std::string system_;
  std::vector<ChatMessage> messages_;  // without the system prompt
};

}  // namespace nibble
