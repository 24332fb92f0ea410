#pragma once
// Brings the weights that are used where the file has them into memory, before the first token asks
// for them a page at a time.
#include <cstdint>

#include "runtime/model/model.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/team.h"

namespace nibble {

/// With all threads of the team; nothing happens where the weights take more than `most` bytes. A
/// few rows of the embedding are read at a time, so it stays out unless it is the output head too.
/// Error: cancelled.
void page_in(const TensorFile&, const Model&, Team&, int64_t most, const CancelToken* cancel);

}  // namespace nibble
