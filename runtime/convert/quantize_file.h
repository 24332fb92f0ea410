#pragma once
// Carries out a plan: reads a file's tensors, encodes them, writes the new file front to back.
// Rows are decoded and encoded a slice at a time, and the source's pages are given back behind, so
// that memory holds a few slices however large a tensor is. Every value read must be finite and
// every row written is decoded again, which also gives each tensor's error.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "formats/tensor_file.h"
#include "runtime/convert/layer_encoder.h"
#include "runtime/convert/quantize_plan.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/thread_source.h"

namespace nibble {

struct QuantizeProgress {
  int64_t tensor = 0;  // finished
  int64_t n_tensors = 0;
  uint64_t done = 0;  // bytes of the source
  uint64_t total = 0;
};

struct QuantizeFileOptions {
  int n_threads = 0;           // 0: what suits the machine
  ThreadSource thread_source;  // where they come from
  /// Called from the calling thread, several times a tensor; may be empty.
  std::function<void(const QuantizeProgress&)> on_progress;
  const CancelToken* cancel = nullptr;  // not owned
  /// Gives the tensors that it encodes; of the same file and plan; not owned. nullptr: each row is
  /// encoded for itself. What it gives depends on all before, so such work is not resumed.
  LayerEncoder* layers = nullptr;
  /// Called when every tensor is in the temporary file, with its path and the errors of the
  /// tensors; may change values of the header, but neither its size nor the tensors. May be empty.
  /// What it throws ends the work; a later call continues with it.
  std::function<void(const std::string& temporary, const std::vector<float>& errors,
                     GgufHeader& header)>
      finish_header;
};

struct QuantizeResult {
  uint64_t file_bytes = 0;
  int64_t n_resumed = 0;  // tensors that an interrupted call had finished
  /// Of each tensor, in file order: root of the sum of squared differences over the sum of squares;
  /// 0 for what was copied.
  std::vector<float> errors;
};

/// The plan must be of this file. The new file appears whole and verified, or not at all. A call
/// that is cancelled or killed leaves OUT.nibble-part and OUT.nibble-journal; the next one with the
/// same output continues there if input, plan and encoders are the same, and else starts anew:
/// either way the result has the same bytes as without interruption. With options.layers nothing is
/// left and the next call starts anew. Errors:
/// bad_argument (out is the input or no regular file; a value that is not finite, or too large for
/// its new type: names tensor and row), io, out_of_memory, cancelled.
QuantizeResult quantize_file(const TensorFile& in, const std::string& out, const QuantizePlan& plan,
                             const QuantizeFileOptions& options = {});

}  // namespace nibble
