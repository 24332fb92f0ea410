// See answer.h.
#include "tools/answer.h"

#include <chrono>
#include <exception>

#include "tools/progress.h"

namespace nibble {

Answer stream_answer(Session& session, Sampler& sampler, const std::vector<int32_t>& prompt,
                     const GenerationOptions& options, const Terminal& terminal, Output& out,
                     Interrupt& interrupt) {
  const auto start = std::chrono::steady_clock::now();
  GenerateOptions generate_options;
  generate_options.n_predict = options.n_predict;
  generate_options.stop = options.stop;
  Progress progress(terminal, "Reading", "tokens");
  // A failed write ends the generation first and is reported after it, so that the session is not
  // left by an exception in the middle of its loop.
  std::exception_ptr problem;
  const auto on_text = [&](std::string_view text) {
    progress.finish();
    try {
      out.write_foreign(text);
      out.flush();
    } catch (...) {
      problem = std::current_exception();
    }
    return problem == nullptr;
  };
  const auto on_prefill = [&](int64_t done, int64_t total) {
    progress.update(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
    if (done >= total) progress.finish();
  };
  Answer answer;
  answer.result =
      generate(session, sampler, prompt, generate_options, on_text, &interrupt.token(), on_prefill);
  progress.finish();
  if (problem) std::rethrow_exception(problem);

  AnswerStats& stats = answer.stats;
  stats.prompt_tokens = answer.result.prompt.n_evaluated;
  stats.reused_tokens = answer.result.prompt.n_reused;
  stats.prompt_seconds = answer.result.prompt_seconds;
  stats.answer_tokens = static_cast<int64_t>(answer.result.tokens.size());
  stats.evaluated_tokens = answer.result.n_evaluated;
  stats.answer_seconds = answer.result.decode_seconds;
  stats.context_used = session.n_used();
  stats.context_size = session.n_ctx();
  stats.threads = session.n_threads();
  stats.total_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return answer;
}

std::vector<int32_t> raw_prompt(const Engine& engine, const std::string& text) {
  std::vector<int32_t> ids = engine.tokenizer().encode(text, true, false);
  // A text that goes on must not be closed.
  if (engine.tokenizer().adds_eos() && !ids.empty() && ids.back() == engine.tokenizer().eos()) {
    ids.pop_back();
  }
  if (ids.empty() && engine.tokenizer().bos() >= 0) ids.push_back(engine.tokenizer().bos());
  return ids;
}

}  // namespace nibble
