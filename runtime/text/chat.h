#pragma once
// Chat messages to prompt, through the model's own Jinja template. The interpreter is ours
// (runtime/text/jinja): a template cannot reach the host, and its time and memory are bounded.
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nibble {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", ...
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
  std::string date;  // for strftime_now, "2026-11-22" or "2026-11-22 14:30:00"; empty: now, UTC
  /// Tool descriptions, a JSON array; empty: none.
  std::string tools_json;
  /// Further variables that a template may ask for (enable_thinking, ...): name and JSON value.
  /// Text in them counts as a message's.
  std::vector<std::pair<std::string, std::string>> variables;
};

class ChatTemplate {
 public:
  /// Parses a template. Errors: bad_file with line and column, unsupported (names the construct).
  static ChatTemplate parse(std::string_view source);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  /// Renders a conversation. Neighbouring segments of the same origin are merged. Roles other than
  /// system, user, assistant, tool and ipython count as message text too.
  /// Safe to call from several threads at once.
  /// Errors: bad_argument (the template refuses the conversation: "chat template: " and its own
  /// raise_exception text; or a bad date, tools_json or variable); bad_file (the template fails,
  /// with the line, or exceeds a step, depth, memory or output limit); unsupported.
  std::vector<PromptSegment> render(std::span<const ChatMessage> messages,
                                    const ChatOptions& options) const;
  const std::string& source() const noexcept;

  /// Does a system message reach the prompt? Renders a probe: false if the template refuses the
  /// role, or drops its text without a word. For such a template a caller may decide to use
  /// merge_system.
  bool supports_system(const ChatOptions& options) const;

 private:
  ChatTemplate();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// For a template without a system role: the system message, if it comes first, is put in front of
/// the first user message, with an empty line between. Never done silently: the caller asks for it
/// and says so to the user. Without a system message, a copy. Error: bad_argument if no user
/// message follows.
std::vector<ChatMessage> merge_system(std::span<const ChatMessage> messages);

/// The text of a prompt, all segments joined.
std::string prompt_text(std::span<const PromptSegment> segments);

}  // namespace nibble
