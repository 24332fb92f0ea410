#pragma once
// How fast this machine reads memory: the bound of decoding, which reads every weight once a token.
#include <cstdint>

namespace nibble {

/// Bytes a second that `threads` threads read together from a buffer much larger than the caches;
/// the best of several passes. 0 if the buffer cannot be had.
double measure_read_bandwidth(int threads, int64_t buffer_bytes = int64_t{256} << 20);

}  // namespace nibble
