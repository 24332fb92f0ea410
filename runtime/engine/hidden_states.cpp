#include "runtime/engine/hidden_states.h"

#include "formats/io/error.h"
#include "runtime/threads/float_environment.h"

namespace nibble {
namespace {

int checked_threads(int n_threads) {
  if (n_threads < 0 || n_threads > 1024) {
    fail(ErrorCode::bad_argument, "n_threads: expected 0 to 1024, got {}", n_threads);
  }
  return n_threads > 0 ? n_threads : default_threads();
}

}  // namespace

// Keys and values live for one call only: they need not be rounded.
HiddenStates::HiddenStates(std::shared_ptr<const Engine> engine, int n_threads,
                           const ThreadSource& thread_source)
    : engine_(std::move(engine)),
      layout_(std::make_shared<const KvLayout>(KvLayout::of(engine_->model().config, KvType::f32))),
      team_(checked_threads(n_threads), thread_source) {}

void HiddenStates::check(const std::vector<int32_t>& text) const {
  if (text.empty()) fail(ErrorCode::bad_argument, "tokens: expected at least one, got none");
  const auto n = static_cast<int64_t>(text.size());
  if (n > most_tokens()) {
    fail(ErrorCode::bad_argument, "tokens: expected at most {}, got {}", most_tokens(), n);
  }
  for (const int32_t token : text) {
    if (token >= 0 && token < engine_->n_vocab()) continue;
    fail(ErrorCode::bad_argument, "token: expected 0 to {}, got {}", engine_->n_vocab() - 1, token);
  }
}

std::span<const float> HiddenStates::of(std::span<const std::vector<int32_t>> texts,
                                        const CancelToken* cancel) {
  const DefaultFloatEnvironment as_compiled;
  for (const std::vector<int32_t>& text : texts) check(text);
  states_.assign(texts.size(), SequenceState(layout_));
  rows_.clear();
  for (size_t i = 0; i < texts.size(); ++i) {
    states_[i].reserve(static_cast<int64_t>(texts[i].size()));
    int64_t pos = 0;
    for (const int32_t token : texts[i]) {
      rows_.push_back({token, pos++, &states_[i], RowOutput::hidden});
    }
  }
  const Model& model = engine_->model();
  const auto n = static_cast<int64_t>(rows_.size());
  if (n == 0) return {};
  workspace_.reserve(model, engine_->kernels(), team_.size(), n, 0, n);
  if (forward(model, engine_->kernels(), team_, workspace_, rows_, cancel) ==
      ForwardStatus::cancelled) {
    fail(ErrorCode::cancelled, "cancelled");
  }
  engine_->file().require_unchanged();
  return {workspace_.hidden.data(), static_cast<size_t>(n * model.config.n_embd)};
}

}  // namespace nibble
