#pragma once
// Chat messages to prompt, through the model's own Jinja template.
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

struct ChatMessage {
  std::string role;     // "system", "user", "assistant", ...
  std::string content;
};

/// A piece of a rendered prompt. Only text that the template itself wrote may hold special tokens;
/// text that came out of a message (also after trim, upper, concatenation, slicing) may not.
struct PromptSegment {
  std::string text;
  bool from_template = true;
};

struct ChatOptions {
  bool add_generation_prompt = true;
  std::string bos_token;  // as text, for templates that write it
  std::string eos_token;
  std::string date;       // for strftime_now, "2026-11-22"; empty: today
};

class ChatTemplate {
 public:
  /// Parses a template. Errors: bad_file with line and column, unsupported (names the construct).
  static ChatTemplate parse(std::string_view source);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  /// Renders a conversation. Neighbouring segments of the same origin are merged.
  /// Errors: bad_argument with the template's own raise_exception text; unsupported; a step, depth
  /// or output limit (bad_file).
  std::vector<PromptSegment> render(std::span<const ChatMessage> messages,
                                    const ChatOptions& options) const;
  const std::string& source() const noexcept;

 private:
  ChatTemplate();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nibble
