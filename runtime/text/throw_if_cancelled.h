#pragma once
// How building a tokenizer stops half-way: a big vocabulary may take longer than a user waits for
// Ctrl-C to work.
#include "formats/io/error.h"
#include "runtime/threads/cancel.h"

namespace nibble {

/// Error: cancelled, if the token (which may be nullptr) was asked to stop.
inline void throw_if_cancelled(const CancelToken* cancel) {
  if (cancel != nullptr && cancel->requested()) fail(ErrorCode::cancelled, "cancelled");
}

}  // namespace nibble
