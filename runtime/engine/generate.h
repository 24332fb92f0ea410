#pragma once
// The generation loop: sync the prompt, then sample, emit, append until something says stop.
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/engine/sampler.h"
#include "runtime/engine/session.h"
#include "runtime/threads/cancel.h"

namespace nibble {

struct GenerateOptions {
  int64_t n_predict = -1;         // tokens at most; -1: until the context is full
  std::vector<std::string> stop;  // the text ends before the first of these; not emitted
  bool ignore_eog = false;        // go on over end-of-generation tokens (benchmarks)
  bool special = false;           // emit the text of control tokens too
};

enum class FinishReason { stop, length, context, cancelled };
/// stop: end-of-generation token or stop string. length: n_predict reached. context: no room left.

struct GenerateResult {
  FinishReason finish = FinishReason::stop;
  std::string text;  // everything that was emitted
  /// Sampled tokens, without the one that ended the generation (end of generation, the last of a
  /// stop string, the one whose text on_text refused or whose evaluation was cancelled).
  std::vector<int32_t> tokens;
  /// Of these, run through the model: all, but for the last one where n_predict was reached.
  int64_t n_evaluated = 0;
  SyncResult prompt;
  double prompt_seconds = 0;  // until the first logits
  double decode_seconds = 0;
};

/// Emits whole code points through on_text; a false return stops (finish = cancelled).
/// While part of a stop string may be under way, its text is held back.
/// The sampler's history becomes the prompt first; its random sequence goes on.
/// After it the session holds the prompt and result.n_evaluated tokens (cancelled mid-forward: as
/// far as it got), so a next turn reuses them. Cancellation is a finish reason here, not an error.
/// Errors: as Session::sync, except cancelled; bad_argument (a stop string is empty or not UTF-8).
GenerateResult generate(Session&, Sampler&, std::span<const int32_t> prompt, const GenerateOptions&,
                        const std::function<bool(std::string_view)>& on_text,
                        const CancelToken* cancel = nullptr,
                        const std::function<void(int64_t, int64_t)>& on_prefill = {});

}  // namespace nibble
