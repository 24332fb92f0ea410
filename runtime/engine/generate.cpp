// The generation loop. A token counts (result.tokens, the sampler's history) once the session has
// taken it in, so that session and result never disagree, whatever ends the loop; but for the last
// of a limited length, whose successor nobody asked for: a forward pass less.
#include "runtime/engine/generate.h"

#include <chrono>

#include "formats/io/error.h"
#include "runtime/engine/stop_matcher.h"

namespace nibble {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Token bytes to text: whole code points, held back where a stop string may begin.
class TextOut {
 public:
  TextOut(std::vector<std::string> stops, const std::function<bool(std::string_view)>& on_text,
          std::string& all)
      : stops_(std::move(stops)), on_text_(on_text), all_(all) {}

  void push(std::string_view bytes) { emit(stops_.push(utf8_.push(bytes))); }
  void finish() {
    if (refused_ || stops_.stopped()) return;
    emit(stops_.push(utf8_.finish()));
    if (!refused_) emit(stops_.finish());
  }
  bool stopped() const { return stops_.stopped(); }
  bool refused() const { return refused_; }  // the receiver wants no more

 private:
  void emit(const std::string& text) {
    if (text.empty()) return;
    all_ += text;
    if (on_text_ && !on_text_(text)) refused_ = true;
  }

  Utf8Stream utf8_;
  StopMatcher stops_;
  const std::function<bool(std::string_view)>& on_text_;
  std::string& all_;
  bool refused_ = false;
};

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

// The session works out the logits that the sampler looks at, until the generation ends.
class TopOnly {
 public:
  TopOnly(Session& session, int64_t k) : session_(session) { session_.want_top(k); }
  ~TopOnly() { session_.want_top(0); }
  TopOnly(const TopOnly&) = delete;
  TopOnly& operator=(const TopOnly&) = delete;

 private:
  Session& session_;
};

FinishReason decode(Session& session, Sampler& sampler, const GenerateOptions& options,
                    const CancelToken* cancel, TextOut& out, std::vector<int32_t>& tokens) {
  const Tokenizer& tokenizer = session.engine().tokenizer();
  for (;;) {
    if (cancel != nullptr && cancel->requested()) return FinishReason::cancelled;
    const auto n = static_cast<int64_t>(tokens.size());
    if (options.n_predict >= 0 && n >= options.n_predict) return FinishReason::length;
    if (session.n_used() >= session.n_ctx()) return FinishReason::context;
    const int32_t id = sampler.sample(session.logits());
    if (!options.ignore_eog && tokenizer.is_eog(id)) return FinishReason::stop;
    out.push(tokenizer.piece(id, options.special));
    if (out.stopped()) return FinishReason::stop;
    if (out.refused()) return FinishReason::cancelled;
    const bool last = n + 1 == options.n_predict;
    if (!last && !not_cancelled([&] { session.append(id, cancel); })) {
      return FinishReason::cancelled;
    }
    sampler.accept(id);
    tokens.push_back(id);
  }
}

}  // namespace

GenerateResult generate(Session& session, Sampler& sampler, std::span<const int32_t> prompt,
                        const GenerateOptions& options,
                        const std::function<bool(std::string_view)>& on_text,
                        const CancelToken* cancel,
                        const std::function<void(int64_t, int64_t)>& on_prefill) {
  GenerateResult result;
  TextOut out(options.stop, on_text, result.text);
  const auto start = Clock::now();
  const TopOnly top(session, sampler.n_top());
  const bool prompt_done =
      not_cancelled([&] { result.prompt = session.sync(prompt, cancel, on_prefill); });
  result.prompt_seconds = seconds_since(start);
  if (!prompt_done) {
    result.finish = FinishReason::cancelled;
    return result;
  }
  sampler.set_history(prompt);
  const auto first_logits = Clock::now();
  result.finish = decode(session, sampler, options, cancel, out, result.tokens);
  out.finish();
  if (out.stopped()) result.finish = FinishReason::stop;
  result.decode_seconds = seconds_since(first_logits);
  result.n_evaluated = session.n_used() - static_cast<int64_t>(prompt.size());
  return result;
}

}  // namespace nibble
