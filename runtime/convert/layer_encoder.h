#pragma once
// Encodes the matrices of a model's layers by what flows through them (gptq.h,
// activation_scales.h): a calibration text runs through the model layer after layer, each layer's
// inputs are measured, its matrices are encoded, and the encoded layer makes the inputs of the next
// one.
//
// Memory: the text's residual stream [tokens, n_embd] in floats, twice the sums of one layer's
// inputs (n^2 floats for each width n; the largest twice more while it is factored), one matrix in
// floats, a forward pass over one chunk, and what is encoded and not yet taken: one layer, where
// the file's tensors stand in the order of layers; nearly all, where they are in that of their
// names.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tensor_file.h"
#include "runtime/convert/quantize_plan.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/thread_source.h"

namespace nibble {

/// How the matrices of layers are encoded.
enum class QuantizeMethod : uint8_t {
  search,    // each row for itself
  gptq,      // what a column loses is made up for in the next ones
  awq,       // columns that are used most are scaled up
  gptq_awq,  // both
};

struct LayerEncoderOptions {
  QuantizeMethod method = QuantizeMethod::gptq;
  std::string_view text;                // to calibrate with; used by the constructor only
  int64_t chunk_size = 512;             // tokens that see each other
  int64_t most_chunks = 0;              // 0: all of the text
  int n_threads = 0;                    // 0: what suits the machine
  ThreadSource thread_source;           // where they come from
  const CancelToken* cancel = nullptr;  // not owned
  /// Called from the calling thread, some times a layer; may be empty.
  std::function<void(int64_t done, int64_t total)> on_progress;
};

struct EncodedTensor {
  std::vector<std::byte> bytes;
  float error = 0;  // root of the sum of squared differences over the sum of squares
};

class LayerEncoder {
 public:
  /// File and plan must outlive it. Errors: those of load_model; unsupported (an architecture that
  /// does not say what its matrices read), bad_argument (a text shorter than a chunk, a plan for
  /// another file), out_of_memory.
  LayerEncoder(const TensorFile& in, const QuantizePlan& plan, LayerEncoderOptions options);
  ~LayerEncoder();
  LayerEncoder(const LayerEncoder&) = delete;
  LayerEncoder& operator=(const LayerEncoder&) = delete;

  /// Does take() give this tensor of the plan?
  bool encodes(int64_t tensor) const noexcept;
  /// Encodes the layers up to the tensor's own, which are not yet; once for each tensor.
  /// Errors: bad_file (values or inputs that are not finite: names tensor and row), out_of_memory,
  /// cancelled.
  EncodedTensor take(int64_t tensor);

  int64_t n_tokens() const noexcept;
  /// What it holds at most, with encoded tensors that wait for their turn in the file.
  int64_t memory_bytes() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nibble
