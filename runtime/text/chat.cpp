#include "runtime/text/chat.h"

#include <algorithm>

#include "formats/io/error.h"
#include "runtime/text/jinja/machine.h"

namespace nibble {
namespace {

using jinja::Entry;
using jinja::Heap;
using jinja::Value;

// Roles that a program chooses. Any other may have come from outside.
bool is_known_role(std::string_view role) noexcept {
  static constexpr std::string_view kRoles[] = {"system", "user", "assistant", "tool", "ipython"};
  return std::find(std::begin(kRoles), std::end(kRoles), role) != std::end(kRoles);
}

Value text(Heap& heap, std::string_view s, bool user) {
  return Value(jinja::make_view(heap, s, user));
}

Value messages_value(Heap& heap, std::span<const ChatMessage> messages) {
  const Value role_key = text(heap, "role", false);
  const Value content_key = text(heap, "content", false);
  std::vector<Value> items;
  items.reserve(messages.size());
  for (const ChatMessage& message : messages) {
    const Entry entries[] = {
        {role_key, text(heap, message.role, !is_known_role(message.role))},
        {content_key, text(heap, message.content, true)},
    };
    items.push_back(jinja::make_dict(heap, entries));
  }
  return jinja::make_seq(heap, jinja::Flavour::list, items);
}

int64_t text_bytes(std::span<const ChatMessage> messages, const ChatOptions& options) {
  size_t bytes = options.tools_json.size();
  for (const auto& [name, json] : options.variables) bytes += json.size();
  for (const ChatMessage& message : messages) bytes += message.content.size();
  return static_cast<int64_t>(bytes);
}

}  // namespace

struct ChatTemplate::Impl {
  std::string source;
  jinja::Program program;
};

ChatTemplate::ChatTemplate() : impl_(std::make_unique<Impl>()) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

ChatTemplate ChatTemplate::parse(std::string_view source) {
  ChatTemplate out;
  out.impl_->source = source;
  jinja::compile(source, out.impl_->program);
  return out;
}

const std::string& ChatTemplate::source() const noexcept {
  return impl_->source;
}

std::vector<PromptSegment> ChatTemplate::render(std::span<const ChatMessage> messages,
                                                const ChatOptions& options) const {
  const auto count = static_cast<int64_t>(messages.size());
  Heap heap(jinja::Budget::for_conversation(count, text_bytes(messages, options)));
  jinja::Context context{heap, options.date};
  jinja::Machine machine(impl_->program, context);
  machine.define("messages", messages_value(heap, messages));
  machine.define("add_generation_prompt", Value(options.add_generation_prompt));
  machine.define("bos_token", text(heap, options.bos_token, false));
  machine.define("eos_token", text(heap, options.eos_token, false));
  machine.define("tools", options.tools_json.empty()
                              ? Value::none()
                              : jinja::parse_json(heap, options.tools_json, "tools_json"));
  machine.define("documents", Value::none());
  for (const auto& [name, json] : options.variables) {
    machine.define(name, jinja::parse_json(heap, json, name));
  }
  const jinja::TextBuilder prompt = machine.run();
  std::vector<PromptSegment> segments;
  int64_t begin = 0;
  for (const jinja::Run& run : prompt.runs()) {
    segments.push_back(
        {prompt.bytes().substr(static_cast<size_t>(begin), static_cast<size_t>(run.end - begin)),
         !run.user});
    begin = run.end;
  }
  return segments;
}

bool ChatTemplate::supports_system(const ChatOptions& options) const {
  const std::string mark = "nibble asks for the system role";
  const ChatMessage probe[] = {{"system", mark}, {"user", "Hello"}};
  try {
    return prompt_text(render(probe, options)).find(mark) != std::string::npos;
  } catch (const Error&) {
    return false;
  }
}

std::vector<ChatMessage> merge_system(std::span<const ChatMessage> messages) {
  std::vector<ChatMessage> out(messages.begin(), messages.end());
  if (out.empty() || out.front().role != "system") return out;
  if (out.size() < 2 || out[1].role != "user") {
    fail(ErrorCode::bad_argument,
         "chat: this model has no system role, and no user message follows the system message");
  }
  out[1].content = out[0].content + "\n\n" + out[1].content;
  out.erase(out.begin());
  return out;
}

std::string prompt_text(std::span<const PromptSegment> segments) {
  std::string out;
  for (const PromptSegment& segment : segments) out += segment.text;
  return out;
}

}  // namespace nibble
