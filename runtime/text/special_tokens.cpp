// The sorted list of special tokens and the white space rules of single model families.
#include "runtime/text/special_tokens.h"

#include <algorithm>
#include <limits>

#include "formats/io/error.h"
#include "formats/tensor_file.h"

namespace nibble {
namespace {

std::string lower_ascii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

uint8_t byte_at(const SpecialToken& token, size_t depth) noexcept {
  return static_cast<uint8_t>(token.text[depth]);
}

}  // namespace

SpecialTokens::SpecialTokens(const Metadata& meta, const Vocab& vocab) {
  for (int32_t id = 0; id < vocab.size(); ++id) {
    const TokenType type = vocab.type(id);
    const bool user_defined = type == TokenType::user_defined;
    if (!user_defined && !vocab.is_hidden(id)) continue;
    const std::string_view text = vocab.text(id);
    if (text.empty() || vocab.table.find(text) != id) continue;
    if (text.size() > kMaxSpecialBytes) {
      fail(ErrorCode::bad_file, "{}: special token {}: expected at most {} bytes, got {}",
           meta.file(), id, kMaxSpecialBytes, text.size());
    }
    tokens_.push_back({text, id, user_defined});
  }
  std::sort(tokens_.begin(), tokens_.end(),
            [](const SpecialToken& a, const SpecialToken& b) { return a.text < b.text; });
  for (const SpecialToken& token : tokens_) ++first_[byte_at(token, 0) + size_t{1}];
  for (size_t b = 0; b < 256; ++b) first_[b + 1] += first_[b];
  set_spaces(meta);
}

// GGUF has no place for the lstrip/rstrip flags of a tokenizer, so the families that need them are
// known here: Phi-3's special tokens eat the white space behind them, but for three.
void SpecialTokens::set_spaces(const Metadata& meta) {
  const std::string name = lower_ascii(meta.get_string("general.name").value_or(""));
  const std::string_view arch = meta.get_string("general.architecture").value_or("");
  const bool phi3 = name.find("phi-3") != std::string::npos ||
                    name.find("phi3") != std::string::npos || arch == "phi3";
  const std::string_view model = meta.get_string("tokenizer.ggml.model").value_or("");
  if (!phi3 || model != "llama") return;
  for (SpecialToken& token : tokens_) {
    token.eats_right =
        token.text != "<unk>" && token.text != "<s>" && token.text != "<|endoftext|>";
  }
}

const SpecialToken* SpecialTokens::match(std::string_view text, size_t at,
                                         size_t special_end) const noexcept {
  const auto first = static_cast<uint8_t>(text[at]);
  auto low = tokens_.begin() + first_[first];
  auto high = tokens_.begin() + first_[first + size_t{1}];
  const SpecialToken* best = nullptr;
  for (size_t depth = 1; low != high; ++depth) {
    // All of [low, high) start with text[at, at + depth).
    if (low->text.size() == depth) {
      if (low->user_defined || at + depth <= special_end) best = &*low;
      ++low;
    }
    if (depth >= text.size() - at) break;
    const auto next = static_cast<uint8_t>(text[at + depth]);
    low = std::partition_point(low, high,
                               [&](const SpecialToken& t) { return byte_at(t, depth) < next; });
    high = std::partition_point(low, high,
                                [&](const SpecialToken& t) { return byte_at(t, depth) == next; });
  }
  return best;
}

JoinedText::JoinedText(std::span<const TextSpan> spans) {
  size_t bytes = 0;
  constexpr auto kMaxBytes = static_cast<size_t>(std::numeric_limits<int32_t>::max()) - 1;
  for (const TextSpan& span : spans) {
    if (span.text.size() > kMaxBytes - bytes) {
      fail(ErrorCode::bad_argument, "text to tokenize: expected at most {} bytes, got more",
           kMaxBytes);
    }
    const Region region{bytes, bytes + span.text.size()};
    bytes = region.end;
    if (!span.parse_special || span.text.empty()) continue;
    if (!regions_.empty() && regions_.back().end == region.begin) {
      regions_.back().end = region.end;
    } else {
      regions_.push_back(region);
    }
  }
  if (spans.size() == 1) {
    text_ = spans[0].text;
    return;
  }
  joined_.reserve(bytes);
  for (const TextSpan& span : spans) joined_ += span.text;
  text_ = joined_;
}

}  // namespace nibble
