#pragma once
// What `nibble tokenize --count` says of a text: tokens, share of the context, tokens per word, and
// what they would cost where tokens are sold.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tensor_file.h"
#include "runtime/text/chat.h"
#include "runtime/text/tokenizer.h"

namespace nibble {

/// Of a million tokens, in any currency.
struct TokenPrices {
  double input = 0;
  double output = 0;
};

struct TokenCount {
  int64_t tokens = 0;
  int64_t bytes = 0;
  int64_t words = 0;      // runs of characters that are no ASCII white space
  int64_t n_context = 0;  // the model's, 0: the file does not say
};

/// "1.5", "3" -> {1.5, 3}: numbers from 0 on. flag: for messages. Errors: CommandError usage.
TokenPrices price_values(std::string_view flag, std::string_view text);

TokenCount count_of(std::string_view text, int64_t n_tokens, const Metadata& meta);
/// A line a figure.
std::string format_count(const TokenCount& count, const std::optional<TokenPrices>& prices);

/// A conversation as the model's template renders it, with the opening of an answer if the last
/// message is not one. Errors: Error (see ChatTemplate), unsupported for a model without template.
std::vector<PromptSegment> render_chat(const Metadata& meta, const Tokenizer& tokenizer,
                                       const std::vector<ChatMessage>& messages);

}  // namespace nibble
