#pragma once
// Memory is planned before it is taken: what a model and a context will need, against what the
// machine has left.
#include <cstdint>

namespace nibble {

struct MemoryPlan {
  int64_t weights = 0;        // bytes of the mapped file
  int64_t kv_per_token = 0;   // bytes of keys and values of one position, all layers
  int64_t kv = 0;             // for n_ctx positions; taken page by page as they fill
  int64_t scratch = 0;        // activations and logits
  int64_t n_ctx = 0;
  int64_t available = 0;      // what the machine and its control group have left; 0 unknown
  int64_t total() const noexcept { return weights + kv + scratch; }
  bool fits() const noexcept { return available == 0 || total() <= available; }
};

/// Bytes that may still be used: the smaller of the system's available memory and the control
/// group's limit. 0 if neither can be read.
int64_t available_memory() noexcept;

/// Largest n_ctx, at most `wanted`, whose keys and values fit beside weights and scratch with a
/// tenth of the available memory left over; at least 512 (or `wanted` if smaller).
int64_t context_that_fits(const MemoryPlan& per_token, int64_t wanted) noexcept;

}  // namespace nibble
