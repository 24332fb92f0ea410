#include "runtime/api/conversations.h"

#include <algorithm>

#include "formats/io/error.h"

namespace nibble::api {
namespace {

void check(std::span<const nibble_message> messages) {
  if (messages.empty()) {
    fail(ErrorCode::bad_argument, "messages: expected at least one, got none");
  }
  expect_given(messages.data(), "messages");
  for (const nibble_message& m : messages) {
    expect_given(m.role, "role of a message");
    expect_given(m.content, "content of a message");
  }
}

}  // namespace

Conversation conversation_of(const std::shared_ptr<const Engine>& engine,
                             std::span<const nibble_message> messages,
                             const ConversationOptions& options,
                             const std::deque<SessionAnswer>* answers) {
  check(messages);
  Conversation conversation(engine, options);
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string role = messages[i].role;
    std::string content = messages[i].content;
    if (i == 0 && role == "system") {
      conversation.set_system(std::move(content));
    } else if (role == "assistant") {
      std::vector<int32_t> tokens;
      if (answers != nullptr) {
        const auto known = std::find_if(answers->rbegin(), answers->rend(),
                                        [&](const auto& a) { return a.text == content; });
        if (known != answers->rend()) tokens = known->tokens;
      }
      conversation.add_assistant(std::move(content), std::move(tokens));
    } else {
      conversation.add(role, std::move(content));
    }
  }
  return conversation;
}

bool continues(const Conversation& conversation) noexcept {
  return !conversation.messages().empty() && conversation.messages().back().role == "assistant";
}

}  // namespace nibble::api
