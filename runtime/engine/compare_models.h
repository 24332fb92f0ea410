#pragma once
// How far one model's predictions are from others' on a text: the measure of what quantizing lost.
// The Kullback-Leibler divergence is in nats, from the first model to the second.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

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
  double same_top = 0;              // share of tokens where both find the same one likeliest
  double perplexity = 0;            // of the first
  double other_perplexity = 0;      // of the second
  std::vector<double> divergences;  // [n_tokens], in the order of the text
};

/// Chunk after chunk, the rest at the end unused; the first token of each is BOS where the model
/// adds one. The first model is evaluated once for all others; one result for each of these, in
/// their order. Memory: the logits of half a chunk, of two. Errors: bad_argument (vocabularies of
/// different size, a text shorter than a chunk), bad_file (logits that are not finite), cancelled,
/// out_of_memory.
std::vector<ModelComparison> compare_models(std::shared_ptr<const Engine> model,
                                            std::span<const std::shared_ptr<const Engine>> others,
                                            std::string_view text, const CompareOptions& options);
ModelComparison compare_models(std::shared_ptr<const Engine> model,
                               std::shared_ptr<const Engine> other, std::string_view text,
                               const CompareOptions& options);

}  // namespace nibble
