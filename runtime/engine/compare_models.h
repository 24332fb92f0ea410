#pragma once
// How far one model's predictions are from another's on a text: the measure of what quantizing
// lost. The Kullback-Leibler divergence is in nats, from the first model to the second.
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "runtime/engine/engine.h"
#include "runtime/threads/cancel.h"

namespace nibble {

struct CompareOptions {
  int64_t chunk_size = 256;             // tokens that see each other; the second half is scored
  int64_t most_chunks = 0;              // 0: all of the text
  int n_threads = 0;                    // 0: what suits the machine
  const CancelToken* cancel = nullptr;  // not owned
  /// Called after every chunk; may be empty.
  std::function<void(int64_t done, int64_t total)> on_progress;
};

struct ModelComparison {
  int64_t n_tokens = 0;         // scored
  double divergence = 0;        // mean
  double divergence_error = 0;  // standard error of the mean
  double divergence_most = 0;
  double same_top = 0;          // share of tokens where both find the same one likeliest
  double perplexity = 0;        // of the first
  double other_perplexity = 0;  // of the second
};

/// Chunk after chunk, the rest at the end unused; the first token of each is BOS where the model
/// adds one. Memory: the logits of half a chunk, of both. Errors: bad_argument (vocabularies of
/// different size, a text shorter than a chunk), bad_file (logits that are not finite), cancelled,
/// out_of_memory.
ModelComparison compare_models(std::shared_ptr<const Engine> model,
                               std::shared_ptr<const Engine> other, std::string_view text,
                               const CompareOptions& options);

}  // namespace nibble
