#pragma once
// The order of SentencePiece merges: tokenizer.ggml.scores as ranks, the highest score first. The
// merge loop compares and counts ranks, which floats are no good for.
#include <cstdint>
#include <vector>

#include "formats/tensor_file.h"
#include "runtime/threads/cancel.h"

namespace nibble {

struct ScoreRanks {
  /// [n_vocab] below count; lower for a higher score, equal for equal scores. Not every rank need
  /// occur.
  std::vector<int32_t> of;
  int32_t count = 0;
};

/// Errors: bad_file if the scores are absent, NaN or of another number; cancelled.
ScoreRanks read_score_ranks(const Metadata& meta, size_t n_vocab, const CancelToken* cancel);

}  // namespace nibble
