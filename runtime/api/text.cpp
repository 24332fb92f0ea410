// Text and tokens of a model, and conversations as prompts.
#include <algorithm>
#include <limits>

#include "formats/io/error.h"
#include "runtime/api/conversations.h"

using namespace nibble;
using namespace nibble::api;

nibble_status nibble_tokenize(nibble_model* model, const char* text, size_t text_size,
                              uint32_t flags, int32_t* tokens, size_t capacity, size_t* n_tokens,
                              nibble_error* error) {
  return call(error, [&] {
    const Held<ModelObject> held(model);
    if (text_size > 0) expect_given(text, "text");
    if (capacity > 0) expect_given(tokens, "tokens");
    expect_given(n_tokens, "n_tokens");
    const std::vector<int32_t> ids = held->model->engine->tokenizer().encode(
        std::string_view(text_size > 0 ? text : "", text_size), (flags & NIBBLE_ADD_SPECIAL) != 0,
        (flags & NIBBLE_PARSE_SPECIAL) != 0);
    std::copy_n(ids.begin(), std::min(ids.size(), capacity), tokens);
    *n_tokens = ids.size();
  });
}

nibble_status nibble_detokenize(nibble_model* model, const int32_t* tokens, size_t n_tokens,
                                uint32_t flags, nibble_buffer* text, nibble_error* error) {
  return call(error, [&] {
    const Held<ModelObject> held(model);
    if (n_tokens > 0) expect_given(tokens, "tokens");
    const Tokenizer& tokenizer = held->model->engine->tokenizer();
    const std::span<const int32_t> ids(tokens, n_tokens);
    for (const int32_t id : ids) {
      if (id >= 0 && id < tokenizer.n_vocab()) continue;
      fail(ErrorCode::bad_argument, "token: expected 0 to {}, got {}", tokenizer.n_vocab() - 1, id);
    }
    give_buffer(tokenizer.decode(ids, (flags & NIBBLE_SHOW_SPECIAL) != 0), text);
  });
}

nibble_status nibble_chat_render(nibble_model* model, const nibble_message* messages,
                                 size_t n_messages, nibble_buffer* prompt, nibble_error* error) {
  return call(error, [&] {
    const Held<ModelObject> held(model);
    expect_given(prompt, "prompt");
    const Conversation conversation =
        conversation_of(held->model->engine, {messages, n_messages}, {}, nullptr);
    give_buffer(conversation.text(), prompt);
  });
}

nibble_status nibble_count_tokens(nibble_model* model, const nibble_message* messages,
                                  size_t n_messages, size_t* n_tokens, nibble_error* error) {
  return call(error, [&] {
    const Held<ModelObject> held(model);
    expect_given(n_tokens, "n_tokens");
    Conversation conversation =
        conversation_of(held->model->engine, {messages, n_messages}, {}, nullptr);
    constexpr int64_t kAnyLength = std::numeric_limits<int64_t>::max() / 2;
    *n_tokens = continues(conversation) ? conversation.continuation(kAnyLength, nullptr).size()
                                        : conversation.prompt(kAnyLength, nullptr).size();
  });
}
