#include "runtime/engine/generate.h"

#include "runtime/engine/generation.h"

namespace nibble {

GenerateResult generate(Session& session, Sampler& sampler, std::span<const int32_t> prompt,
                        const GenerateOptions& options,
                        const std::function<bool(std::string_view)>& on_text,
                        const CancelToken* cancel,
                        const std::function<void(int64_t, int64_t)>& on_prefill) {
  Generation generation(session, sampler, prompt, options);
  for (;;) {
    const Generation::Step step = generation.step(cancel);
    if (step == Generation::Step::prompt && on_prefill && generation.prompt_done() > 0) {
      on_prefill(generation.prompt_done(), generation.prompt_total());
    }
    if (!generation.text().empty() && on_text && !on_text(generation.text())) generation.refuse();
    if (step == Generation::Step::done) return std::move(generation.result());
  }
}

}  // namespace nibble
