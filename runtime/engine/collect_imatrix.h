#pragma once
// Measures how strongly each column of each matrix is used while a model reads a text: the sum of
// the squares of the inputs, for the quantizer (formats/imatrix.h).
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "formats/imatrix.h"
#include "runtime/engine/engine.h"
#include "runtime/threads/cancel.h"

namespace nibble {

struct CollectOptions {
  int64_t chunk_size = 512;             // tokens that see each other
  int64_t most_chunks = 0;              // 0: all of the text
  bool output_head = false;             // measure it too, which costs its logits for every token
  int n_threads = 0;                    // 0: what suits the machine
  const CancelToken* cancel = nullptr;  // not owned
  /// Called after every chunk; may be empty.
  std::function<void(int64_t done, int64_t total)> on_progress;
};

/// The text is cut into chunks as llama.cpp cuts it: chunk after chunk, the rest at the end unused,
/// the first token of each replaced by BOS where the model adds one. The sums are the same whatever
/// the number of threads. The engine must have been opened with its weights in the file (repack
/// off): that is where their names come from. Errors: bad_argument (a text shorter than a chunk),
/// bad_file (the model computes numbers that are not finite: names the matrix), out_of_memory,
/// cancelled.
Imatrix collect_imatrix(std::shared_ptr<const Engine> engine, std::string_view text,
                        const CollectOptions& options);

/// XXH3 of a text, in hexadecimal.
std::string hash_of_text(std::string_view text);

}  // namespace nibble
