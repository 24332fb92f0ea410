#pragma once
// A tensor's bytes from one file into another, as they are.
#include "formats/gguf.h"
#include "formats/tensor_file.h"
#include "runtime/threads/cancel.h"

namespace nibble {

/// Writes info's bytes as those of writer's current tensor, a few megabytes at a time, and gives
/// the source's pages back behind. Errors: io, cancelled. cancel: not owned, may be nullptr.
void copy_tensor(const TensorFile& in, const TensorInfo& info, GgufWriter& writer,
                 const CancelToken* cancel);

}  // namespace nibble
