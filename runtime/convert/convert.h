#pragma once
// Models of other formats to GGUF and back: a folder of the Hugging Face ecosystem or one of its
// safetensors files, a llama2.c checkpoint; and a GGUF file to safetensors. Memory holds a few
// megabytes of a tensor at a time; the new file appears whole and verified, or not at all.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "quant/dtype.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/thread_source.h"

namespace nibble {

struct ConvertOptions {
  /// Of the matrices; vectors are F32. Nothing: as they are stored.
  std::optional<DType> type;
  /// Also where the source is quantized and the type does not hold it without loss.
  bool allow_requantize = false;
  std::string tokenizer;       // llama2.c: tokenizer.bin; empty: the one beside the model
  bool dry_run = false;        // everything but the writing
  int n_threads = 0;           // 0: what suits the machine
  ThreadSource thread_source;  // where they come from
  /// Called with bytes written and bytes in all, from the calling thread; may be empty.
  std::function<void(uint64_t done, uint64_t total)> on_progress;
  const CancelToken* cancel = nullptr;  // not owned
};

struct ConvertResult {
  int64_t n_tensors = 0;
  uint64_t bytes = 0;  // of the new file
  struct TypeCount {
    DType type;
    int64_t n_tensors;
  };
  std::vector<TypeCount> types;
  std::vector<std::string> notes;  // what was left out or is worth knowing; a sentence each
};

/// Converts what `in` is: by its content, not by its name. Errors: not_found, io, bad_file,
/// unsupported (names the architecture, key, tensor or scheme), bad_argument (out is an input; a
/// type that cannot be written), out_of_memory, cancelled.
ConvertResult convert_model(const std::string& in, const std::string& out,
                            const ConvertOptions& options = {});

}  // namespace nibble
