#pragma once
// The work of a model's token in bytes and multiply-adds, and the time it takes: what `bench` and
// `doctor` measure and set against the machine's bounds.
#include <cstdint>
#include <vector>

#include "formats/tensor_file.h"
#include "runtime/engine/session.h"

namespace nibble {

/// Bytes of weights that decoding a token reads. It looks up one row of the embedding table and
/// reads every other matrix once; a tied table is the output head as well and is read whole.
double bytes_per_token(const TensorFile& file);

/// Multiply-adds of weights that a token of a long prompt takes: all matrices of the layers. The
/// output head, which only the last token needs, and attention are left out.
double macs_per_token(const TensorFile& file);

/// Token ids that differ from each other and mean nothing: time does not depend on them.
std::vector<int32_t> filler(int64_t count, int64_t n_vocab);

struct TokenRun {
  int64_t n_depth = 0;   // tokens of filler that the session holds already
  int64_t n_prompt = 0;  // tokens at once
  int64_t n_gen = 0;     // then one by one
  /// Generate the likeliest tokens, for which less of the output head is read, instead of given
  /// ones with all logits each time.
  bool greedy = false;
};

/// Seconds that it takes. Errors: those of Session::sync.
double time_tokens(Session& session, const TokenRun& run, const CancelToken* cancel);

}  // namespace nibble
