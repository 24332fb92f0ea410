#pragma once
// How fast this machine reads memory: the bound of decoding, which reads every weight once a token.
#include <cstdint>
#include <span>
#include <vector>

namespace nibble {

/// Twice the last cache, 256 MB to 1 GB, and no more than a quarter of the memory that is left.
int64_t read_buffer_bytes() noexcept;

/// Bytes a second that so many threads read together from one buffer, the best of several passes,
/// for each number of threads in the list. Zeros if the buffer cannot be had.
std::vector<double> measure_read_bandwidth(std::span<const int> threads,
                                           int64_t buffer_bytes = read_buffer_bytes());

/// The same for one number of threads.
double measure_read_bandwidth(int threads, int64_t buffer_bytes = read_buffer_bytes());

}  // namespace nibble
