#pragma once
// A host's messages as a Conversation.
#include <deque>
#include <span>
#include <string>

#include "runtime/api/objects.h"

namespace nibble::api {

/// answers: those that the model gave before, whose tokens are known; may be nullptr.
/// Errors: bad_argument (no message, or one without role or content), unsupported (no template).
Conversation conversation_of(const std::shared_ptr<const Engine>& engine,
                             std::span<const nibble_message> messages,
                             const ConversationOptions& options,
                             const std::deque<SessionAnswer>* answers);
/// Is the last message an answer, to go on with?
bool continues(const Conversation& conversation) noexcept;

}  // namespace nibble::api
