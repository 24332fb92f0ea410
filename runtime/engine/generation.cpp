// The generation loop. A token counts (result.tokens, the sampler's history) once the session has
// taken it in, so that session and result never disagree, whatever ends the loop; but for the last
// of a limited length, whose successor nobody asked for: a forward pass less.
#include "runtime/engine/generation.h"

#include <algorithm>
#include <chrono>

#include "formats/io/error.h"
#include "runtime/engine/stop_matcher.h"

namespace nibble {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// True if the call ran to its end, false if it was cancelled.
template <typename Call>
bool not_cancelled(Call&& call) {
  try {
    call();
    return true;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::cancelled) throw;
    return false;
  }
}

}  // namespace

struct Generation::Impl {
  Impl(Session& s, Sampler& chooser, std::span<const int32_t> ids, const GenerateOptions& o)
      : session(s), sampler(chooser), options(o), prompt(ids.begin(), ids.end()), stops(o.stop) {
    // The session works out the logits that the sampler looks at, until the generation ends.
    session.want_top(sampler.n_top());
    const std::span<const int32_t> old = session.tokens();
    const auto differ = std::mismatch(prompt.begin(), prompt.end(), old.begin(), old.end());
    // The last token is run again for its logits.
    reused = std::min<int64_t>(differ.first - prompt.begin(), n_prompt() - 1);
  }

  int64_t n_prompt() const { return static_cast<int64_t>(prompt.size()); }

  /// The next chunk of the prompt. A prompt that the session knows to its end is one step too.
  Step prompt_step(const CancelToken* cancel) {
    const Clock::time_point begin = Clock::now();
    if (result.prompt.n_evaluated == 0) session.check(prompt);
    const int64_t at = std::max<int64_t>(reused, 0) + result.prompt.n_evaluated;
    const int64_t end = std::min(n_prompt(), at + session.n_batch());
    SyncResult synced;
    const bool whole = not_cancelled(
        [&] { synced = session.sync(std::span(prompt).first(static_cast<size_t>(end)), cancel); });
    if (at == reused) result.prompt.n_reused = whole ? synced.n_reused : reused;
    result.prompt.n_evaluated += synced.n_evaluated;
    result.prompt_seconds += seconds_since(begin);
    if (!whole) return finish(FinishReason::cancelled);
    if (end == n_prompt()) {
      prompt_done = true;
      sampler.set_history(prompt);
    }
    return Step::prompt;
  }

  /// The token of the last step enters the session. False: it is the last, or cancelled.
  bool take_pending(const CancelToken* cancel, FinishReason* why) {
    if (pending < 0) return true;
    const bool last = static_cast<int64_t>(result.tokens.size()) + 1 == options.n_predict;
    if (!last && !not_cancelled([&] { session.append(pending, cancel); })) {
      *why = FinishReason::cancelled;
      return false;
    }
    sampler.accept(pending);
    result.tokens.push_back(pending);
    pending = -1;
    return true;
  }

  Step token_step(const CancelToken* cancel) {
    const Tokenizer& tokenizer = session.engine().tokenizer();
    FinishReason why = FinishReason::stop;
    if (!take_pending(cancel, &why)) return finish(why);
    if (cancel != nullptr && cancel->requested()) return finish(FinishReason::cancelled);
    const auto n = static_cast<int64_t>(result.tokens.size());
    if (options.n_predict >= 0 && n >= options.n_predict) return finish(FinishReason::length);
    if (session.n_used() >= session.n_ctx()) return finish(FinishReason::context);
    const int32_t id = sampler.sample(session.logits());
    if (!options.ignore_eog && tokenizer.is_eog(id)) return finish(FinishReason::stop);
    text = stops.push(utf8.push(tokenizer.piece(id, options.special)));
    if (stops.stopped()) return finish(FinishReason::stop);
    pending = id;
    return Step::token;
  }

  Step finish(FinishReason why) {
    if (prompt_done && !refused && !stops.stopped()) {
      text += stops.push(utf8.finish());
      if (!stops.stopped()) text += stops.finish();
    }
    session.want_top(0);
    finished = true;
    result.finish = stops.stopped() ? FinishReason::stop : why;
    if (prompt_done) result.n_evaluated = session.n_used() - n_prompt();
    return Step::done;
  }

  Step step(const CancelToken* cancel) {
    text.clear();
    if (finished) return Step::done;
    if (!prompt_done) return prompt_step(cancel);
    const Clock::time_point begin = Clock::now();
    const Step done = refused ? finish(FinishReason::cancelled) : token_step(cancel);
    result.decode_seconds += seconds_since(begin);
    result.text += text;
    return done;
  }

  Session& session;
  Sampler& sampler;
  GenerateOptions options;
  std::vector<int32_t> prompt;
  int64_t reused = 0;
  StopMatcher stops;
  Utf8Stream utf8;
  std::string text;
  int32_t pending = -1;  // sampled, not yet evaluated
  bool prompt_done = false;
  bool refused = false;
  bool finished = false;
  GenerateResult result;
};

Generation::Generation(Session& session, Sampler& sampler, std::span<const int32_t> prompt,
                       const GenerateOptions& options)
    : impl_(std::make_unique<Impl>(session, sampler, prompt, options)) {}

Generation::~Generation() {
  if (!impl_->finished) impl_->session.want_top(0);
}

Generation::Step Generation::step(const CancelToken* cancel) {
  return impl_->step(cancel);
}
const std::string& Generation::text() const noexcept {
  return impl_->text;
}
void Generation::refuse() noexcept {
  impl_->refused = true;
  impl_->pending = -1;
}
int64_t Generation::prompt_done() const noexcept {
  return impl_->result.prompt.n_evaluated;
}
int64_t Generation::prompt_total() const noexcept {
  return impl_->n_prompt() - std::max<int64_t>(impl_->reused, 0);
}
GenerateResult& Generation::result() noexcept {
  return impl_->result;
}

}  // namespace nibble
