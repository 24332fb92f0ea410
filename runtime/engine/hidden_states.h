#pragma once
// The last hidden states of texts: what embeddings are pooled from. For encoders, which have no
// other output, and for decoders alike.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/model/forward.h"

namespace nibble {

/// One thread at a time uses it; memory is kept from call to call.
class HiddenStates {
 public:
  /// n_threads 0: what suits the machine. Errors: bad_argument.
  explicit HiddenStates(std::shared_ptr<const Engine> engine, int n_threads = 0,
                        const ThreadSource& thread_source = {});

  /// All tokens of all texts in one batch: [sum of lengths, n_embd], text after text, behind the
  /// last norm. A text's rows are the same bits in any company. Valid until the next call.
  /// Errors: bad_argument (no token, a token outside the vocabulary, a text longer than the
  /// positions of the model, with both numbers), out_of_memory, cancelled.
  std::span<const float> of(std::span<const std::vector<int32_t>> texts,
                            const CancelToken* cancel = nullptr);

  /// The longest text: positions that the model was trained for.
  int64_t most_tokens() const noexcept { return engine_->n_ctx_train(); }

 private:
  void check(const std::vector<int32_t>& text) const;

  std::shared_ptr<const Engine> engine_;
  std::shared_ptr<const KvLayout> layout_;
  Team team_;
  Workspace workspace_;
  std::vector<SequenceState> states_;
  std::vector<Row> rows_;
};

}  // namespace nibble
