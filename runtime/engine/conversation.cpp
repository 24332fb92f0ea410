// Rendering with spliced answers, and dropping of turns.
#include "runtime/engine/conversation.h"

#include <algorithm>
#include <span>

#include "formats/io/error.h"

namespace nibble {
namespace {

constexpr int64_t kMostReserved = 1024;

std::string token_text_or_empty(const Tokenizer& tokenizer, int32_t id) {
  return id < 0 ? std::string() : std::string(tokenizer.token_text(id));
}

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::span<const PromptSegment> segments) {
  std::vector<TextSpan> spans;
  for (const PromptSegment& s : segments) spans.push_back({s.text, s.from_template});
  return tokenizer.encode(spans, false);
}

bool begins_with_control(const Tokenizer& tokenizer, const PromptSegment& segment) {
  if (!segment.from_template) return false;
  const std::vector<int32_t> ids = encode(tokenizer, {&segment, 1});
  return !ids.empty() && tokenizer.token_type(ids.front()) == TokenType::control;
}

}  // namespace

Conversation::Conversation(std::shared_ptr<const Engine> engine, const ConversationOptions& options)
    : engine_(std::move(engine)), options_(options) {
  if (engine_->chat_template() == nullptr) {
    const std::string& problem = engine_->template_problem();
    throw Error(ErrorCode::unsupported,
                problem.empty() ? engine_->file().path() + ": the model has no chat template"
                                : engine_->file().path() + ": chat template: " + problem,
                "a base model completes text; it does not chat");
  }
}

void Conversation::add_user(std::string text) {
  add("user", std::move(text));
}

void Conversation::add(std::string role, std::string text) {
  messages_.push_back({std::move(role), std::move(text)});
  sampled_.emplace_back();
}

/// Tokens that spell the text: of the sampled ones as many as do, which a session then need not
/// evaluate again, and new ones for the rest. They differ where a stop string was cut off, or where
/// Ctrl-C came between the last token's text and its evaluation. Empty: the text as it stands.
std::vector<int32_t> Conversation::tokens_of(std::string_view text,
                                             std::vector<int32_t> sampled) const {
  const Tokenizer& tokenizer = engine_->tokenizer();
  size_t n = 0;
  for (; n < sampled.size(); ++n) {
    const std::string piece = tokenizer.piece(sampled[n], false);
    if (!text.starts_with(piece)) break;
    text.remove_prefix(piece.size());
  }
  if (n == 0) return {};
  sampled.resize(n);
  std::string spelled;
  for (const int32_t id : tokenizer.encode(text, false, false)) {
    spelled += tokenizer.piece(id, false);
    sampled.push_back(id);
  }
  // A tokenizer may begin every text with a space; that would change what was said.
  return spelled == text ? sampled : std::vector<int32_t>();
}

void Conversation::add_assistant(std::string text, std::vector<int32_t> tokens) {
  sampled_.push_back(tokens_of(text, std::move(tokens)));
  messages_.push_back({"assistant", std::move(text)});
}

void Conversation::check_has_answer() const {
  if (messages_.empty() || messages_.back().role != "assistant") {
    fail(ErrorCode::bad_argument, "conversation: there is no answer to continue");
  }
}

void Conversation::extend_assistant(std::string_view text, const std::vector<int32_t>& tokens) {
  check_has_answer();
  std::string whole = messages_.back().content + std::string(text);
  std::vector<int32_t> ids = sampled_.back();
  if (ids.empty() && !messages_.back().content.empty()) {
    ids = engine_->tokenizer().encode(messages_.back().content, false, false);
  }
  ids.insert(ids.end(), tokens.begin(), tokens.end());
  pop_last();
  add_assistant(std::move(whole), std::move(ids));
}

void Conversation::pop_last() {
  if (messages_.empty()) return;
  messages_.pop_back();
  sampled_.pop_back();
}

void Conversation::clear() {
  messages_.clear();
  sampled_.clear();
}

std::vector<PromptSegment> Conversation::segments(size_t end, bool generation_prompt) const {
  const Tokenizer& tokenizer = engine_->tokenizer();
  std::vector<ChatMessage> all;
  if (!system_.empty()) all.push_back({"system", system_});
  all.insert(all.end(), messages_.begin(), messages_.begin() + static_cast<std::ptrdiff_t>(end));
  ChatOptions options;
  options.add_generation_prompt = generation_prompt;
  options.bos_token = token_text_or_empty(tokenizer, tokenizer.bos());
  options.eos_token = token_text_or_empty(tokenizer, tokenizer.eos());
  return engine_->chat_template()->render(all, options);
}

std::string Conversation::text() const {
  if (messages_.empty() || messages_.back().role != "assistant") {
    return prompt_text(segments(messages_.size(), true));
  }
  return prompt_text(segments(messages_.size() - 1, true)) + messages_.back().content;
}

std::vector<int32_t> Conversation::render(size_t end, bool generation_prompt) const {
  const Tokenizer& tokenizer = engine_->tokenizer();
  const std::vector<PromptSegment> parts = segments(end, generation_prompt);
  std::vector<int32_t> ids;
  const auto append = [&ids](const std::vector<int32_t>& more) {
    ids.insert(ids.end(), more.begin(), more.end());
  };
  const std::span<const PromptSegment> view(parts);
  size_t begin = 0;    // first segment that is not tokenized yet
  size_t message = 0;  // first message whose content has not been met
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].from_template) continue;
    size_t found = message;
    while (found < end && messages_[found].content != parts[i].text) ++found;
    if (found == end) continue;
    message = found + 1;
    if (sampled_[found].empty() || i == 0 || i + 1 == parts.size()) continue;
    if (!begins_with_control(tokenizer, parts[i + 1])) continue;
    append(encode(tokenizer, view.subspan(begin, i - begin)));
    append(sampled_[found]);
    begin = i + 1;
  }
  append(encode(tokenizer, view.subspan(begin)));
  if (tokenizer.adds_bos() && tokenizer.bos() >= 0 &&
      (ids.empty() || ids.front() != tokenizer.bos())) {
    ids.insert(ids.begin(), tokenizer.bos());
  }
  return ids;
}

size_t Conversation::oldest_turn_length() const noexcept {
  size_t n = 1;
  while (n < messages_.size() && messages_[n].role != "user") ++n;
  return n;
}

int64_t Conversation::reserved(int64_t n_ctx) const noexcept {
  const int64_t wanted =
      options_.reserve > 0 ? options_.reserve : std::min(n_ctx / 4, kMostReserved);
  return std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, n_ctx - 1));
}

std::vector<int32_t> Conversation::fit(int64_t n_ctx, bool continues, DropReport* report) {
  Conversation rest = *this;  // turns leave only when it is known that what remains fits
  const auto count = [&] {
    return continues ? rest.render_continuation() : rest.render(rest.messages_.size(), true);
  };
  std::vector<int32_t> ids = count();
  const int64_t before = static_cast<int64_t>(ids.size());
  DropReport dropped;
  for (;;) {
    const size_t oldest = rest.messages_.empty() ? 0 : rest.oldest_turn_length();
    const bool may_drop =
        oldest < rest.messages_.size() && options_.overflow == OverflowPolicy::drop;
    // An answer that goes on may have used the room that was reserved for it.
    const int64_t room = continues && !may_drop ? n_ctx - 1 : n_ctx - reserved(n_ctx);
    if (static_cast<int64_t>(ids.size()) <= room) break;
    if (!may_drop) {
      throw Error(ErrorCode::context_full,
                  fmt::format("context: expected at most {} tokens ({} less {} for the answer), "
                              "got {}",
                              room, n_ctx, n_ctx - room, ids.size()),
                  oldest < rest.messages_.size()
                      ? "clear the conversation, let old turns be dropped or raise the context size"
                      : "shorten the message, reserve less or raise the context size");
    }
    rest.drop_first(oldest);
    ids = count();
    dropped.turns += 1;
    dropped.messages += static_cast<int64_t>(oldest);
    dropped.tokens = before - static_cast<int64_t>(ids.size());
  }
  messages_ = std::move(rest.messages_);
  sampled_ = std::move(rest.sampled_);
  if (report != nullptr) *report = dropped;
  return ids;
}

void Conversation::drop_first(size_t n) {
  const auto count = static_cast<std::ptrdiff_t>(n);
  messages_.erase(messages_.begin(), messages_.begin() + count);
  sampled_.erase(sampled_.begin(), sampled_.begin() + count);
}

std::vector<int32_t> Conversation::prompt(int64_t n_ctx, DropReport* report) {
  return fit(n_ctx, false, report);
}

std::vector<int32_t> Conversation::render_continuation() const {
  std::vector<int32_t> ids = render(messages_.size() - 1, true);
  const std::vector<int32_t> answer =
      sampled_.back().empty() ? engine_->tokenizer().encode(messages_.back().content, false, false)
                              : sampled_.back();
  ids.insert(ids.end(), answer.begin(), answer.end());
  return ids;
}

std::vector<int32_t> Conversation::continuation(int64_t n_ctx, DropReport* report) {
  check_has_answer();
  return fit(n_ctx, true, report);
}

/// What a prompt has before its first turn: what the first turn costs more than the same turn later
/// on. A template may write a system prompt of its own, or put the given one into the first turn.
int64_t Conversation::system_tokens() const {
  Conversation probe(*this);
  probe.clear();
  for (const char* text : {"Hi", "Hi"}) {
    probe.add_user(text);
    probe.add_assistant(text);
  }
  const auto count = [&probe](size_t end) {
    return static_cast<int64_t>(probe.render(end, false).size());
  };
  try {
    const int64_t first = count(1) - (count(3) - count(2));
    return first > 1 ? first : 0;  // a token that begins every text is no system prompt
  } catch (const Error&) {
    return 0;
  }
}

PromptParts Conversation::parts(int64_t n_ctx) const {
  PromptParts out;
  out.reserved = reserved(n_ctx);
  const auto count = [this](size_t end) -> int64_t {
    try {
      return static_cast<int64_t>(render(end, false).size());
    } catch (const Error&) {
      return 0;  // templates may refuse a conversation without a user
    }
  };
  out.system = system_tokens();
  int64_t before = out.system;
  for (size_t i = 0; i < messages_.size(); ++i) {
    const int64_t now = count(i + 1);
    out.messages.push_back(std::max<int64_t>(0, now - before));
    before = std::max(now, before);
  }
  try {
    out.total = static_cast<int64_t>(render(messages_.size(), true).size());
  } catch (const Error&) {
    out.total = before;
  }
  return out;
}

}  // namespace nibble
