// See token_count.h.
#include "tools/token_count.h"

#include <fmt/format.h>

#include "formats/io/error.h"
#include "tools/exit_code.h"
#include "tools/values.h"

namespace nibble {
namespace {

constexpr double kMillion = 1e6;

int64_t count_words(std::string_view text) {
  int64_t words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool white = c == ' ' || (c >= '\t' && c <= '\r');
    words += !white && !inside ? 1 : 0;
    inside = !white;
  }
  return words;
}

int64_t context_of(const Metadata& meta) {
  const std::string_view arch = meta.get_string("general.architecture").value_or("");
  return meta.get_int(std::string(arch) + ".context_length").value_or(0);
}

std::string text_or_empty(const Tokenizer& tokenizer, int32_t id) {
  return id < 0 ? std::string() : std::string(tokenizer.token_text(id));
}

}  // namespace

TokenPrices price_values(std::string_view flag, std::string_view text) {
  const std::vector<std::string> parts = split_commas(text);
  std::vector<double> prices;
  for (const std::string& part : parts) {
    const std::optional<double> price = parse_float(part);
    if (price && *price >= 0) prices.push_back(*price);
  }
  if (parts.size() != 2 || prices.size() != 2) {
    usage_error(fmt::format("{}: expected two prices of a million tokens, got '{}'", flag, text),
                "for example --price 0.15 0.60");
  }
  return {prices[0], prices[1]};
}

TokenCount count_of(std::string_view text, int64_t n_tokens, const Metadata& meta) {
  return {n_tokens, static_cast<int64_t>(text.size()), count_words(text), context_of(meta)};
}

std::string format_count(const TokenCount& count, const std::optional<TokenPrices>& prices) {
  const auto tokens = static_cast<double>(count.tokens);
  const auto line = [](std::string_view what, const std::string& value) {
    return fmt::format("{:<18}{}\n", what, value);
  };
  std::string out = line("tokens", fmt::to_string(count.tokens));
  if (count.n_context > 0) {
    const double share = tokens / static_cast<double>(count.n_context);
    out += line("of the context", fmt::format("{:.1f} % of {}", 100 * share, count.n_context));
  }
  out += line("words", fmt::to_string(count.words));
  if (count.words > 0) {
    out +=
        line("tokens per word", fmt::format("{:.2f}", tokens / static_cast<double>(count.words)));
  }
  if (count.tokens > 0) {
    out +=
        line("bytes per token", fmt::format("{:.2f}", static_cast<double>(count.bytes) / tokens));
  }
  if (prices) {
    const auto cost = [&](double price) {
      return fmt::format("{:.6f} at {:g} a million", tokens * price / kMillion, price);
    };
    out += line("cost as input", cost(prices->input));
    out += line("cost as output", cost(prices->output));
  }
  return out;
}

std::vector<PromptSegment> render_chat(const Metadata& meta, const Tokenizer& tokenizer,
                                       const std::vector<ChatMessage>& messages) {
  const auto source = meta.get_string("tokenizer.chat_template");
  if (!source) {
    throw Error(ErrorCode::unsupported, meta.file() + ": the model has no chat template",
                "count the text itself: nibble tokenize --count -f FILE");
  }
  ChatOptions options;
  options.add_generation_prompt = messages.empty() || messages.back().role != "assistant";
  options.bos_token = text_or_empty(tokenizer, tokenizer.bos());
  options.eos_token = text_or_empty(tokenizer, tokenizer.eos());
  return ChatTemplate::parse(*source).render(messages, options);
}

}  // namespace nibble
