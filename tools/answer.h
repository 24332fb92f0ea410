#pragma once
// One answer of a model, streamed to standard output: what `run` and `chat` share.
#include <cstdint>
#include <vector>

#include "runtime/engine/generate.h"
#include "tools/interrupt.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/stats.h"
#include "tools/terminal.h"

namespace nibble {

struct Answer {
  GenerateResult result;
  AnswerStats stats;
};

/// Generates after `prompt`; text goes to `out` as it comes, each piece at once. A progress bar
/// shows a long prompt. The caller holds Interrupt's busy state. Errors: CommandError (writing),
/// Error (context_full ...), BrokenPipe.
Answer stream_answer(Session& session, Sampler& sampler, const std::vector<int32_t>& prompt,
                     const GenerationOptions& options, const Terminal& terminal, Output& out,
                     Interrupt& interrupt);

/// Tokens of a text to complete without a template.
std::vector<int32_t> raw_prompt(const Engine& engine, const std::string& text);

}  // namespace nibble
